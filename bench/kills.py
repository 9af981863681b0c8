"""Is a release the same if its runs were killed at random moments?

Kills runs of a small project with SIGKILL, each at a random moment of its life, and starts the next at once; the model
is slow, so that many moments are in the middle of generating. A run that comes to its end before its moment has
published: its release is compared with that of an undisturbed run, and a new project begins. Prints JSON: the kills by
the stage that was running, what is left behind, and the rows that differ.

    python bench/kills.py [--kills 30] [--store] [--seed 1] [--answer-seconds 0.5]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.desk_project import CountingLlm, Desk, Run, bucket, differing, wait_for, write_project
from bench.fake_llm import served

_STAGES = ("prepare", "index", "anticipate", "retrieve", "calibrate", "generate", "cite", "load", "changes", "audit")


def stage_of(run: Run) -> str:
    """Return the stage that a run was in: the one after the last that it has told the end of."""
    told = [line.split()[0] for line in run.said.splitlines() if line.split()[:1] and line.split()[0] in _STAGES]
    if not told:
        return "start or prepare"
    return (*_STAGES[1:], "publish")[_STAGES.index(told[-1])]


def left_behind(desk: Desk) -> list[str]:
    """Return what no finished run may leave: half-written files, builds, notes of runs and jobs."""
    found = []
    for data in desk.data_folders():
        found += [*data.glob("releases/.building-*"), *data.glob("releases/.*.tmp"), *data.glob("open_runs/*")]
        found += [
            *data.glob("open_jobs/*"),
            *(path for name in ("answers", "embeddings") for path in data.glob(f"{name}/.*")),
        ]
    return sorted(path.name for path in found)


def main() -> None:
    """Kill, finish, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--store", action="store_true", help="Keep the data in an S3-compatible store.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--answer-seconds", type=float, default=0.5)
    parser.add_argument("--documents", type=int, default=8)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    stages: Counter[str] = Counter()
    results: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as around:
        from flows.prefect_server import prefect_server

        store = around.enter_context(bucket()) if options.store else None
        server = around.enter_context(prefect_server(Path(temporary) / "prefect"))
        llm = CountingLlm(seconds=0.05)
        url = around.enter_context(served(llm.app))
        if server is not None:
            server.wait_until_ready()

        def new_desk(name: str) -> Desk:
            desk = Desk(Path(temporary) / name)
            write_project(desk.folder, url, options.documents)
            if store:
                desk.sets |= {"project.data": f"s3://team/{name}", "project.store_endpoint": store}
            return desk

        undisturbed = new_desk("undisturbed")
        llm.seconds = options.answer_seconds
        usual = undisturbed.finish()
        expected, asked = undisturbed.content(), llm.asked
        while sum(stages.values()) < options.kills:
            desk, kills, llm.asked = new_desk(f"killed-{len(results)}"), 0, 0
            while sum(stages.values()) < options.kills:
                run = desk.start()
                moment = time.monotonic() + dice.uniform(0.0, usual)
                wait_for(lambda moment=moment: time.monotonic() > moment, run.process, usual + 60)  # type: ignore[misc]
                if run.process.poll() is not None:
                    break
                run.kill()
                run.wait()
                kills += 1
                stages[stage_of(run)] += 1
                print(sum(stages.values()), stage_of(run), file=sys.stderr, flush=True)
            desk.finish()
            results.append(
                {
                    "kills": kills,
                    "asked": llm.asked,
                    "left behind": left_behind(desk),
                    "rows that differ": differing(desk.content(), expected),
                }
            )
    print(
        json.dumps(
            {
                "kills": sum(stages.values()),
                "by stage": dict(stages),
                "undisturbed": {"seconds": round(usual, 1), "asked": asked},
                "finished": results,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
