"""Does a run lose or double an answer where servers of its fleet misbehave?

Runs a small project through `beforehand run`, its servers processes of their own: beside a good one each kind of
`bench.hostile_servers`, then many together, and two prompts that fail everywhere. Compares what was released with the
questions: one answer each, or a reject with the question and a reason. Prints JSON.

    python bench/hostile_fleets.py [--only NAME ...] [--documents 8]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from batch.stores.parquet import count_rows
from bench.desk_project import ROOT, Desk, free_port, wait_for, write_project
from bench.hostile_servers import ENDLESS, KINDS, POISON
from warehouse.releases.release import current

_TIME_LIMIT = 4.0  # seconds
_BACK_AFTER = 2.0  # seconds, for a server that died
_ALONE = ("dies", "busy", "busy_without_a_time")  # kinds that answer at times, so that they need no good one
CASES: dict[str, tuple[str, ...]] = {
    **{kind: ("good", kind) for kind in KINDS if kind not in ("good", "other_model")},
    **{f"{kind} alone": (kind,) for kind in _ALONE},
    "all": ("good", *(kind for kind in KINDS if kind not in ("good", "other_model"))),
    "two bad prompts": ("good+prompts", "good+prompts"),
    "two bad prompts, one server": ("good+prompts",),
    "two bad prompts, bad servers": ("good+prompts", "resets+prompts", "html+prompts"),
    "other_model": ("good", "other_model"),
    "nothing but 500": ("fails", "fails"),
}
_COUNTS = """
SELECT (SELECT count(*) FROM questions), (SELECT count(*) FROM answers), (SELECT count(DISTINCT query_key) FROM answers)
"""


@contextmanager
def server(kind: str, port: int) -> Iterator[None]:
    """Keep a server of a kind running until the block ends: one that dies is started again."""
    command = [sys.executable, "-m", "bench.hostile_servers", kind, str(port)]
    ended = threading.Event()

    def keep() -> None:
        while not ended.is_set():
            process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
            wait_for(ended.is_set, process, 3600)
            process.kill()
            process.wait()
            ended.wait(_BACK_AFTER)

    keeper = threading.Thread(target=keep)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()


def released(desk: Desk) -> dict[str, object]:
    """Return what a project's release holds, and how many generations its store has."""
    with duckdb.connect(str(current(desk.folder / "data").database), read_only=True) as connection:
        questions, answers, distinct = connection.execute(_COUNTS).fetchall()[0]
        rejects = connection.execute("SELECT item, reason FROM rejects WHERE stage = 'generate'").fetchall()
    stored = count_rows(str(desk.folder / "data" / "answers"))
    return {
        "exactly once": questions - len(rejects) == answers == distinct == stored,
        "questions, answers, stored": [questions, answers, stored],
        "rejects": rejects,
    }


def carried_out(folder: Path, kinds: Sequence[str], documents: int) -> dict[str, object]:
    """Run a project with a fleet; return what came of it."""
    ports = [free_port() for _ in kinds]
    endpoints = json.dumps([f"http://127.0.0.1:{port}/v1" for port in ports])
    desk = Desk(folder, {"llm.timeout_seconds": str(_TIME_LIMIT), "batch.endpoints": endpoints})
    write_project(folder, "http://127.0.0.1:1", documents)
    with (folder / "questions.txt").open("a") as file:
        file.write(f"Where is the {POISON} of district 1?\nHow long is the {ENDLESS} of district 2?\n")
    with ExitStack() as around:
        for kind, port in zip(kinds, ports, strict=True):
            around.enter_context(server(kind, port))
        began = time.monotonic()
        run = desk.start()
        code = run.wait()
    lines = run.said.splitlines()
    generating = next((line for line in lines if line.startswith("generate ")), "")
    outcome = {"exit code": code, "seconds": round(time.monotonic() - began, 1), "generate": generating}
    return outcome | (released(desk) if code == 0 else {"said": lines[-3:]})


def main() -> None:
    """Run the cases and print what came of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", help="Cases whose names begin with this; repeatable.")
    parser.add_argument("--documents", type=int, default=8)
    options = parser.parse_args()
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as temporary:
        from flows.prefect_server import prefect_server

        with prefect_server(Path(temporary) / "prefect") as prefect:
            if prefect is not None:
                prefect.wait_until_ready()
            for number, (name, kinds) in enumerate(CASES.items()):
                if not options.only or any(name.startswith(each) for each in options.only):
                    results[name] = carried_out(Path(temporary) / str(number), kinds, options.documents)
                    print(name, json.dumps(results[name]), file=sys.stderr, flush=True)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
