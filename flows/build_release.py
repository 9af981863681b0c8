"""Build a release: the stages in order, each a Prefect task, then write, audit, publish.

The stages' bodies live in `batch`; here is only their order, what a retry can help, and what is told about
them. A retry of `generate` costs little: what was generated is in the answer store. No Prefect server is
needed; one that is configured (`PREFECT_API_URL`) is used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from batch import progress
from batch.anticipate import anticipate
from batch.cite import cite
from batch.generate import generate
from batch.index import index
from batch.plan import Figures, RunPlan
from batch.prepare import prepare
from batch.retrieve import retrieve
from flows.publish_release import Ledger, load_release, publish_release
from warehouse.errors import WarehouseError
from warehouse.release import begin_build


@dataclass(frozen=True)
class Stage:
    """A stage of the batch work: its name, what it does in words for a person, its body."""

    name: str
    doing: str
    body: Callable[[RunPlan], Figures]
    retries: int = 0


STAGES: tuple[Stage, ...] = (
    Stage("prepare", "reading and chunking documents", prepare, retries=1),
    Stage("index", "embedding chunks and building the indexes", index),
    Stage("anticipate", "collecting the anticipated questions", anticipate, retries=1),
    Stage("retrieve", "finding the passages of each question", retrieve),
    Stage("generate", "generating answers", generate, retries=2),
    Stage("cite", "linking answers to their passages", cite),
)


class UnknownStageError(WarehouseError):
    """A stage was named that does not exist."""


@dataclass(frozen=True)
class Outcome:
    """How a build ended: the release that was published, and what each stage did."""

    run_id: str
    release_id: str
    ledger: Ledger


@flow(name="build_release", flow_run_name="{run_id}", validate_parameters=False, persist_result=False)
def build_release(run_id: str, plan: RunPlan) -> Outcome:
    """Run every stage, load, audit and publish.

    Raises:
        BuildInProgressError: another build is at work.
    """
    ledger = Ledger()
    build = begin_build(Path(plan.data), run_id)
    try:
        for stage in STAGES:
            run_stage(stage, plan, ledger)
        _timed("load", "loading the warehouse", ledger, lambda: load_release(plan, build, ledger))
        release = _timed("publish", "publishing the release", ledger, lambda: publish_release(plan, build, {}))
    finally:
        build.lease.release()
    create_markdown_artifact(markdown=summary(run_id, ledger), key="build-release")
    return Outcome(run_id, release.release_id, ledger)


def run_one_stage(name: str, plan: RunPlan) -> None:
    """Run one stage alone, outside a flow, over the folders of the stages before it.

    Raises:
        UnknownStageError: there is none of that name.
    """
    for stage in STAGES:
        if stage.name == name:
            progress.enter(stage.name, stage.doing)
            started = time.monotonic()
            progress.leave(stage.name, stage.body(plan), time.monotonic() - started)
            return
    raise UnknownStageError(f"--stage {name}: unknown; the stages are {', '.join(stage.name for stage in STAGES)}")


def run_stage(stage: Stage, plan: RunPlan, ledger: Ledger) -> None:
    """Run one stage as a task and write down what it did."""
    ledger.figures[stage.name] = _timed(stage.name, stage.doing, ledger, lambda: stage.body(plan), stage.retries)


def _timed(name: str, doing: str, ledger: Ledger, body: Callable[[], Any], retries: int = 0) -> Any:
    """Run a body as a task under the progress display and write down its time."""
    progress.enter(name, doing)
    ledger.started[name] = datetime.now(UTC)
    started = time.monotonic()
    as_task = task(name=name, retries=retries, retry_delay_seconds=5, cache_policy=NO_CACHE, persist_result=False)
    outcome = as_task(body)()
    ledger.seconds[name] = time.monotonic() - started
    progress.leave(name, outcome if isinstance(outcome, Mapping) else {}, ledger.seconds[name])
    return outcome


def summary(run_id: str, ledger: Ledger) -> str:
    """Return the summary of a run as Markdown."""
    rows = [
        f"| {stage} | {seconds:.1f} | {progress.describe_figures(ledger.figures.get(stage, {}))} |"
        for stage, seconds in ledger.seconds.items()
    ]
    return "\n".join([f"# Run {run_id}", "", "| stage | seconds | what |", "|---|---:|---|", *rows])
