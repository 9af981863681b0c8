"""Do all runners make the same release, also when a worker or the client is killed in the middle?

Runs a small project with each runner, its data in a folder and in an S3-compatible store (moto), and compares the
releases table by table with that of the embedded runner, similarities rounded to three digits. With a store, the pool
of workers is put where it sees neither the project's folder nor the models (a mount namespace), where that is
permitted: what it works with comes from the store. Prints JSON.

    python bench/runners.py --prism FILE [--only NAME ...] [--documents 12]

Prism, Beam's runner that is a process of its own, is left out where no file is named.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.desk_project import (
    ROOT,
    Content,
    CountingLlm,
    Desk,
    bucket,
    differing,
    free_port,
    running,
    wait_for,
    workers_of,
    write_project,
)
from bench.fake_llm import served


@dataclass(frozen=True)
class Case:
    """A runner, where the data is, and what is killed in the middle of generating: nothing, a worker or the client."""

    runner: str
    store: bool = False
    killed: str = ""

    @property
    def name(self) -> str:
        """Its name in the output."""
        return " ".join(filter(None, [self.runner, "store" if self.store else "folder", self.killed and "kill"])) + (
            f" {self.killed}" if self.killed else ""
        )


CASES = [
    *(Case(runner, store) for store in (False, True) for runner in ("embedded", "several", "loopback", "pool")),
    Case("several", False, "client"),
    *(Case("pool", store, killed) for store in (False, True) for killed in ("worker", "client")),
]


@contextmanager
def prepared(case: Case, folder: Path, prism: str | None, store: str | None, url: str) -> Iterator[Desk | None]:
    """Yield the project with all that the case needs running, None if something is missing."""
    with ExitStack() as around:
        desk = Desk(folder)
        write_project(folder, url, DOCUMENTS)
        if store:
            desk.sets |= {"project.data": f"s3://team/{folder.name}", "project.store_endpoint": store}
        if case.runner == "several":
            desk.sets["batch.runner"] = "multi_processing"
        elif case.runner != "embedded":
            if prism is None:
                yield None
                return
            job, pool = free_port(), free_port()
            server = [prism, "--job_port", str(job), "--serve_http=false", "--log_level", "error"]
            around.enter_context(running(server, job))
            options = [f"--job_endpoint=localhost:{job}", "--environment_type=LOOPBACK"]
            if case.runner == "pool":
                around.enter_context(running(hidden_pool(folder, pool, store), pool, {"PYTHONPATH": str(ROOT)}))
                options[1:] = ["--environment_type=EXTERNAL", f"--environment_config=localhost:{pool}"]
            desk.sets |= {"batch.runner": "portable", "batch.runner_options": json.dumps(options)}
        yield desk


def hidden_pool(folder: Path, port: int, store: str | None) -> list[str]:
    """Return the command of a pool; with a store, one that sees no folder of the project, where that is permitted."""
    pool = [sys.executable, "-m", "beforehand", "workers", "--port", str(port)]
    if store is None:
        return pool
    cache = f"{folder}-worker-cache"
    covered = [str(folder), str((ROOT / "models").resolve())]
    mounts = " && ".join(f"mount -t tmpfs none {each}" for each in covered)
    permitted = subprocess.run(["unshare", "-m", "sh", "-c", mounts], capture_output=True, check=False).returncode == 0
    HIDDEN.append(permitted)
    environment = ["env", f"XDG_CACHE_HOME={cache}"]
    if not permitted:
        return [*environment, *pool]
    return [*environment, "unshare", "-m", "sh", "-c", f'{mounts} && exec "$@"', "sh", *pool]


HIDDEN: list[bool] = []
DOCUMENTS = 12


def carried_out(case: Case, desk: Desk, llm: CountingLlm) -> float:
    """Run to a release, through the kill; return the seconds of all."""
    began = time.monotonic()
    if case.killed:
        llm.asked, llm.seconds = 0, 1.0
        run = desk.start()
        assert wait_for(lambda: llm.asked > 8, run.process, 600), run.said
        if case.killed == "client":
            run.kill()
            run.wait()
        else:
            os.kill(workers_of(os.getpid())[-1], signal.SIGKILL)
        llm.seconds = 0.05
        if case.killed == "worker" and run.wait() == 0:
            return time.monotonic() - began
    desk.finish()
    return time.monotonic() - began


def main() -> None:
    """Run the cases and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prism", help="Beam's runner Prism, as a file that can be run.")
    parser.add_argument("--only", action="append", help="Cases whose names begin with this; repeatable.")
    parser.add_argument("--documents", type=int, default=DOCUMENTS)
    options = parser.parse_args()
    globals()["DOCUMENTS"] = options.documents
    cases = [each for each in CASES if not options.only or any(each.name.startswith(name) for name in options.only)]
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as temporary, bucket() as store:
        from flows.prefect_server import prefect_server

        llm = CountingLlm(seconds=0.05)
        with prefect_server(Path(temporary) / "prefect") as server, served(llm.app) as url:
            if server is not None:
                server.wait_until_ready()
            expected: Content | None = None
            for case in [Case("embedded"), *(each for each in cases if each != Case("embedded"))]:
                folder = Path(temporary) / case.name.replace(" ", "-")
                with prepared(case, folder, options.prism, store if case.store else None, url) as desk:
                    if desk is None:
                        results[case.name] = "skipped: no Prism"
                        continue
                    seconds = carried_out(case, desk, llm)
                    content = desk.content()
                expected = expected or content
                results[case.name] = {
                    "seconds": round(seconds, 1),
                    "rows": {name: len(rows) for name, rows in content.items()},
                    "rows that differ": differing(content, expected),
                }
                print(case.name, json.dumps(results[case.name]), file=sys.stderr, flush=True)
    print(json.dumps({"workers saw no folder": HIDDEN, "cases": results}, indent=1))


if __name__ == "__main__":
    main()
