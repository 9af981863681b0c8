"""Build a shadow: the stages of a release with other settings, audited and kept apart, published never.

It runs beside whatever else happens: it has a lease of its own, tells no webhook, and its flow runs have a name and a
tag of their own. What it generates goes to the stores of all runs, so a run that takes over its settings pays nothing
again. While one runs, a build of a release leaves the stores uncompacted, since that deletes files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from prefect import flow
from prefect.exceptions import CancelledRun
from prefect.states import State

from batch.plan import RunPlan
from flows.errors import without_secrets
from flows.ledger import Ledger
from flows.publish_release import Publication, audit_release, facts_of_build, fill_release, load_release
from flows.reporting import artifacts
from flows.reporting.run_states import add_tags
from flows.step import loaded_figures, timed
from flows.tidy_data import prune_runs
from flows.tracked_run import TrackedRun, carry_out, current_flow_run, stopped_by
from rag.credentials import secret_values
from warehouse.audit.release_audit import Check
from warehouse.releases.build import seal
from warehouse.releases.build_folder import Held
from warehouse.releases.changes import note_changes
from warehouse.releases.release import Release
from warehouse.releases.shadows import keep_shadow, shadow_folder, shadowing

BUILT = "shadow"
"""The status of a shadow build that came to its end, whatever its audit says."""
_KEPT_RUNS = 2


@dataclass(frozen=True)
class Shadow:
    """A shadow build that was kept, and the checks that would have kept it from being published."""

    name: str
    release: Release
    failed: tuple[Check, ...]
    ledger: Ledger


RunStages = Callable[[RunPlan, Ledger, Held], RunPlan]


def build_shadow(config: Path, plan: RunPlan, publication: Publication, name: str, run_stages: RunStages) -> Shadow:
    """Run every stage with the settings of a shadow, audit the build and keep it; `plan.data` is the real data folder.

    `run_stages` are those of the build of a release.

    Raises:
        BuildInProgressError: a shadow of this name is being built.
        AnswersPendingError: answers that are made elsewhere are not there yet.
        BuildCancelledError: somebody cancelled it in Prefect.
    """
    data = Path(plan.data)
    ledger = Ledger(secrets=secret_values(plan), shadow=name)
    apart = replace(plan, data=str(shadow_folder(data, name)))
    kept: list[Shadow] = []
    stopped: list[State[None]] = []

    @flow(name="shadow_build", flow_run_name="{shadow}-{run_id}", validate_parameters=False, persist_result=False)
    def shadow_build(run_id: str, config: str, shadow: str) -> State[None] | None:  # noqa: ARG001  # for people
        run = TrackedRun(apart, ledger, current_flow_run(), None, linked=False, log=data, done=BUILT)
        work = partial(_build, data, apart, publication, run, run_stages, kept)
        state = without_secrets(lambda: carry_out(run, work), ledger.secrets)
        stopped.extend([state] if state else [])
        return state

    try:
        shadow_build(plan.run_id, str(config), name)
    except CancelledRun:
        raise stopped_by(stopped[0]) from None
    return kept[0]


def _build(
    data: Path, plan: RunPlan, publication: Publication, run: TrackedRun, run_stages: RunStages, kept: list[Shadow]
) -> None:
    ledger, build = run.ledger, run.begin()
    name = ledger.shadow or ""
    add_tags(run.flow_run, "shadow", f"shadow:{name}")
    prune_runs(plan, _KEPT_RUNS)
    with shadowing(data, Path(plan.data)):
        plan = run_stages(plan, ledger, build.lease)
        timed("load", "loading the warehouse", ledger, lambda: loaded_figures(load_release(plan, build, ledger)))
        timed("changes", "comparing with the current release", ledger, lambda: note_changes(build))
        checks = timed("audit", "auditing the build", ledger, lambda: audit_release(plan, build, publication))
        facts = {**facts_of_build(plan, build, checks, run.facts), "shadow": name}
        release = timed("keep", "keeping the shadow build", ledger, lambda: _kept(plan, run, facts))
    kept.append(Shadow(name, release, tuple(each for each in checks if not each.passed), ledger))
    stages = artifacts.stages(plan.run_id, ledger.seconds, ledger.figures)
    artifacts.show_lines("shadow-build", f"Shadow build {name}", stages.splitlines())


def _kept(plan: RunPlan, run: TrackedRun, facts: dict[str, object]) -> Release:
    return keep_shadow(run.begun, seal(run.begun, facts | fill_release(plan, run.begun)))
