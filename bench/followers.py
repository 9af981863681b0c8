"""Do machines that follow one store build what is new once?

Starts `beforehand follow` on several machines that share nothing but an S3-compatible store (moto), each with its own
copy of the documents, and puts a document and a question about it on all of them at once, round after round. Prints
JSON: for each round how many builds there were, the seconds to the release, and those until the last of the others has
noticed that it covers the news.

    python bench/followers.py [--machines 2] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.desk_project import PATIENCE, CountingLlm, Desk, Run, bucket, wait_for, write_project
from bench.fake_llm import served

_BUILT, _COVERED = "published release", "covers what is new"


def machine(folder: Path, url: str, store: str) -> Desk:
    """Return a machine with a copy of the project."""
    write_project(folder, url, 4)
    place = {"project.data": "s3://team/followed", "project.store_endpoint": store}
    return Desk(folder, {**place, "follow.poll_seconds": "1", "follow.settle_seconds": "1"})


def add_news(desk: Desk, number: int) -> None:
    """Put a document and a question about it on a machine."""
    text = f"# The lake {number}\n\nThe lake {number} of district 77 is {number + 3} metres deep.\n"
    (desk.folder / "documents" / f"lake-{number}.md").write_text(text)
    with (desk.folder / "questions.txt").open("a") as file:
        file.write(f"How deep is the lake {number} of district 77?\n")


def followed(runs: Sequence[Run], before: Sequence[str]) -> dict[str, object]:
    """Wait until all have the release of a round, and return how often and when it was built."""

    def count(word: str) -> int:
        return sum(run.said[len(said) :].count(word) for run, said in zip(runs, before, strict=True))

    began = time.monotonic()
    wait_for(lambda: count(_BUILT) > 0, None, PATIENCE)
    built = time.monotonic()
    wait_for(lambda: count(_BUILT) + count(_COVERED) >= len(runs), None, PATIENCE)
    known = time.monotonic()
    time.sleep(5.0)  # in which a second build would begin
    starts = count(": building")
    return {"builds": starts, "seconds": round(built - began, 1), "seconds to all": round(known - began, 1)}


def main() -> None:
    """Follow, and print what became of each round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    llm = CountingLlm(seconds=0.05)
    with tempfile.TemporaryDirectory() as temporary, bucket() as store, served(llm.app) as url:
        from flows.prefect_server import prefect_server

        with prefect_server(Path(temporary) / "prefect") as server:
            if server is not None:
                server.wait_until_ready()
            desks = [machine(Path(temporary) / f"machine-{n}", url, store) for n in range(options.machines)]
            runs = [desk.start("follow") for desk in desks]
            try:
                rounds = [followed(runs, [""] * len(runs))]
                for number in range(options.rounds):
                    before = [run.said for run in runs]
                    for desk in desks:
                        add_news(desk, number)
                    rounds.append(followed(runs, before))
            finally:
                for run in runs:
                    run.kill()
    print(json.dumps({"machines": options.machines, "rounds": rounds, "load": os.getloadavg()[0]}, indent=1))


if __name__ == "__main__":
    main()
