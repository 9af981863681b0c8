"""Is a release the same if its runs were killed at random moments?

Kills runs of a small project with SIGKILL, each somewhere in a stage drawn by lot, more than half of them while answers
are generated, and starts the next at once. A run that comes to its end has published: its release is compared with that
of an undisturbed run, and a new project begins. With a store, one kill in seven takes the machine along: another one,
which shares nothing but the store, goes on once the dead one's lease has lapsed. With `--runner multi_processing` every
other kill is that of a worker process, which the run has to outlive. Prints JSON: the kills by stage, what is left
behind, the rows that differ, and how many prompts each kill has lost: asked, and in no checkpoint that the next run
finds, so that they are asked again.

    python bench/kills.py [--kills 30] [--store] [--runner multi_processing] [--seed 1] [--answer-seconds 1.0]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from batch.stores.generation_store import known_fingerprints
from batch.stores.object_files import objects_address
from bench.desk_project import (
    CHECKPOINT_ANSWERS,
    CREDENTIALS,
    IN_FLIGHT,
    PATIENCE,
    Content,
    Desk,
    Run,
    bucket,
    differing,
    wait_for,
    workers_of,
    write_project,
)
from bench.fake_llm import FakeLlm, served

_TOLD = ("prepare", "index", "anticipate", "retrieve", "calibrate", "generate", "cite", "load", "changes", "audit")
STAGES = ("start, prepare", *_TOLD[1:], "publish")
_GENERATING, _TAKEOVERS = 0.6, 0.15  # the shares of kills while generating, and of those that take the machine along
_SPARED = 0.75  # the share of runs with nothing left to generate that come to their end
_LEASE_SECONDS = 62.0  # until a dead machine's lease has lapsed


@dataclass
class Progress:
    """How many prompts a run has asked, and how many answers it was given."""

    asked: int = 0
    given: int = 0


@dataclass
class UnevenLlm(FakeLlm):
    """The fake model, whose answers take up to twice its seconds; it counts how often it was asked each prompt."""

    dice: random.Random = field(default_factory=random.Random)
    asked: Counter[str] = field(default_factory=Counter)
    run: Progress = field(default_factory=Progress)

    async def _complete(self, request: Request) -> Response:
        run = self.run
        run.asked += 1
        self.asked[str((await request.json())["messages"])] += 1
        await asyncio.sleep(self.dice.uniform(0.0, self.seconds))
        response = await super()._complete(request)
        run.given += 1
        return response


@dataclass(frozen=True)
class Moment:
    """When to kill: in which stage, after which share of its usual time, or of the answers that are missing."""

    stage: str
    share: float

    @classmethod
    def draw(cls, dice: random.Random, since: str) -> Moment:
        """Draw one that is not in a stage before `since`."""
        left = STAGES[STAGES.index(since) :]
        generates = "generate" in left and dice.random() < _GENERATING
        return cls("generate" if generates else dice.choice(left), dice.random())


@dataclass(frozen=True)
class Kill:
    """What was killed and where, with how many answers in flight and how many stored, and the prompts that are lost."""

    victim: str
    stage: str
    in_flight: int
    stored: int
    lost: int


@dataclass(frozen=True)
class Tally:
    """Of a project: how often the model was asked, how many prompts these were, and how many have no stored answer."""

    asked: int = 0
    prompts: int = 0
    unstored: int = 0

    def lost(self, since: Tally) -> int:
        """Return how many prompts became such that have to be asked again."""
        again = (self.asked - since.asked) - (self.prompts - since.prompts)
        return self.unstored - since.unstored + again


@dataclass
class Bench:
    """What the projects of a bench have in common; `usual` are the seconds of each stage."""

    folder: Path
    options: argparse.Namespace
    llm: UnevenLlm
    url: str
    store: str | None
    dice: random.Random
    usual: dict[str, float] = field(default_factory=dict)
    expected: Content = field(default_factory=dict)
    kills: list[Kill] = field(default_factory=list)
    last: Tally = field(default_factory=Tally)

    def desk(self, name: str) -> Desk:
        """Write a project."""
        desk = Desk(self.folder / name, {"batch.runner": self.options.runner})
        write_project(desk.folder, self.url, self.options.documents)
        if self.store:
            desk.sets |= {"project.data": f"s3://team/{name}", "project.store_endpoint": self.store}
        self.llm.asked.clear()
        self.last = Tally()
        return desk

    def start(self, desk: Desk) -> Run:
        """Start a run."""
        self.llm.run = Progress()
        return desk.start()

    def stored(self, desk: Desk) -> int:
        """Return how many answers the machine's next run finds: in the store, for one that has no data yet."""
        folders = [f"{each}/answers" for each in desk.data_folders() if (each / "answers").is_dir()]
        if not folders and self.store:
            folders = [f"{objects_address(desk.sets['project.data'], self.store)}/answers"]
        return sum(len(known_fingerprints(each)) for each in folders)


def stage_of(run: Run) -> str:
    """Return the stage that a run is in: the one after the last that it has told the end of."""
    told = [line.split()[0] for line in run.said.splitlines() if line.split()[:1] and line.split()[0] in _TOLD]
    return STAGES[_TOLD.index(told[-1]) + 1] if told else STAGES[0]


def run_undisturbed(bench: Bench) -> None:
    """Run a project to its end, for its content and the times of its stages."""
    desk = bench.desk("undisturbed")
    run, began, seconds = bench.start(desk), time.monotonic(), dict.fromkeys(STAGES, 0.0)

    def step() -> bool:
        nonlocal began
        seconds[stage_of(run)] += time.monotonic() - began
        began = time.monotonic()
        return False

    wait_for(step, run.process, PATIENCE)
    ended_well(run)
    bench.usual, bench.expected = seconds, desk.content()


def ended_well(run: Run) -> None:
    """Wait for a run's end; raise if it failed."""
    if code := run.wait():
        raise RuntimeError(f"exit code {code}: {run.said}")


def wait_until(bench: Bench, moment: Moment, run: Run, missing: int) -> bool:
    """Wait until a run is where the moment says, or beyond; return whether it lives."""
    entered: dict[str, float] = {}
    given = bench.llm.run.given

    def has_come() -> bool:
        stage = stage_of(run)
        entered.setdefault(stage, time.monotonic())
        if stage != moment.stage:
            return STAGES.index(stage) > STAGES.index(moment.stage)
        if stage == "generate" and missing:
            return bench.llm.run.asked > 0 and bench.llm.run.given - given >= int(moment.share * missing)
        return time.monotonic() - entered[stage] >= moment.share * bench.usual[stage]

    wait_for(has_come, run.process, PATIENCE)
    if moment.stage == "generate":
        time.sleep(bench.dice.uniform(0.0, bench.llm.seconds))
    return run.process.poll() is None


def kill(bench: Bench, desk: Desk, run: Run, victim: str) -> None:
    """Kill a run, its newest worker process, or the machine, so that the next run finds nothing but the store."""
    workers = workers_of(run.process.pid) if victim == "worker" else []
    if workers:
        os.kill(workers[-1], signal.SIGKILL)
    else:
        run.kill()
        run.wait()
    stage, progress = stage_of(run), bench.llm.run
    if victim == "machine":
        desk.machine = f"machine-{desk.started}"
    stored, prompts = bench.stored(desk), len(bench.llm.asked)
    tally = Tally(bench.llm.asked.total(), prompts, prompts - stored)
    name = "run" if victim == "worker" and not workers else victim
    bench.kills.append(Kill(name, stage, progress.asked - progress.given, stored, tally.lost(bench.last)))
    bench.last = tally
    print(len(bench.kills), bench.kills[-1], file=sys.stderr, flush=True)


def victim_of(bench: Bench) -> str:
    """Draw what is killed."""
    if bench.options.runner != "embedded" and bench.dice.random() < 0.5:
        return "worker"
    return "machine" if bench.store and bench.dice.random() < _TAKEOVERS else "run"


def run_with_kills(bench: Bench, desk: Desk) -> None:
    """Kill runs of a project until one has come to its end, or there are enough kills, and finish it."""
    run, since = bench.start(desk), STAGES[0]
    while len(bench.kills) < bench.options.kills:
        missing = 3 * bench.options.documents - bench.stored(desk)
        if not missing and bench.dice.random() < _SPARED:
            break
        if wait_until(bench, Moment.draw(bench.dice, since), run, missing):
            kill(bench, desk, run, victim_of(bench))
            if bench.kills[-1].victim == "machine":
                refused(bench.start(desk))
                time.sleep(_LEASE_SECONDS)
        elif run.wait() == 0:
            return
        elif bench.kills[-1].victim != "worker":  # else they were killed too often
            ended_well(run)
        if run.process.poll() is None:
            since = stage_of(run)
        else:
            run, since = bench.start(desk), STAGES[0]
    ended_well(run)


def refused(run: Run) -> None:
    """Check that a run is refused while the lease of a dead machine holds."""
    if run.wait() != 2 or "until the lease lapses" not in run.said:
        raise RuntimeError(f"it should have been refused: {run.said}")


def left_behind(desk: Desk) -> list[str]:
    """Return what no finished run may leave: half-written files, builds, notes of runs and jobs."""
    patterns = ("releases/.building-*", "releases/.*.tmp", "open_runs/*", "open_jobs/*", "answers/.*", "embeddings/.*")
    return sorted(path.name for data in desk.data_folders() for each in patterns for path in data.glob(each))


def finished(bench: Bench, desk: Desk, kills: list[Kill]) -> dict[str, object]:
    """Return what a project has come to."""
    return {
        "kills": len(kills),
        "asked again": bench.llm.asked.total() - len(bench.llm.asked),
        "left behind": left_behind(desk),
        "rows that differ": differing(desk.content(), bench.expected),
    }


def summary(bench: Bench, results: list[dict[str, object]]) -> dict[str, object]:
    """Return the figures of all kills."""
    generating = [each for each in bench.kills if each.in_flight]
    return {
        "kills": len(bench.kills),
        "by victim": Counter(each.victim for each in bench.kills),
        "by stage": {stage: n for stage in STAGES if (n := sum(each.stage == stage for each in bench.kills))},
        "with answers in flight": len(generating),
        "with finished answers in no checkpoint": sum(each.lost > each.in_flight for each in generating),
        "lost at each kill": {
            victim: dict(sorted(Counter(each.lost for each in bench.kills if each.victim == victim).items()))
            for victim in sorted({each.victim for each in bench.kills})
        },
        "at risk at a kill: in flight, answers per checkpoint": [IN_FLIGHT, CHECKPOINT_ANSWERS],
        "usual seconds": {stage: round(seconds, 1) for stage, seconds in bench.usual.items()},
        "load": os.getloadavg()[0],
        "finished": results,
    }


@contextmanager
def prepared(options: argparse.Namespace) -> Iterator[Bench]:
    """Yield the bench with the servers that its runs need."""
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as around:
        from flows.prefect_server import prefect_server

        os.environ |= CREDENTIALS
        store = around.enter_context(bucket()) if options.store else None
        server = around.enter_context(prefect_server(Path(temporary) / "prefect"))
        dice = random.Random(options.seed)
        llm = UnevenLlm(seconds=options.answer_seconds)
        url = around.enter_context(served(llm.app))
        if server is not None:
            server.wait_until_ready()
        yield Bench(Path(temporary), options, llm, url, store, dice)


def main() -> None:
    """Kill, finish, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--store", action="store_true", help="Keep the data in an S3-compatible store.")
    parser.add_argument("--runner", choices=("embedded", "multi_processing"), default="embedded")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--answer-seconds", type=float, default=1.0)
    parser.add_argument("--documents", type=int, default=8)
    options = parser.parse_args()
    results: list[dict[str, object]] = []
    with prepared(options) as bench:
        run_undisturbed(bench)
        while (before := len(bench.kills)) < options.kills:
            desk = bench.desk(f"killed-{len(results)}")
            run_with_kills(bench, desk)
            results.append(finished(bench, desk, bench.kills[before:]))
            print(json.dumps(results[-1]), file=sys.stderr, flush=True)
        print(json.dumps(summary(bench, results), indent=1))


if __name__ == "__main__":
    main()
