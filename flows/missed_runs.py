"""Missed and queued runs of the schedule, as Prefect keeps them: the superseded ones are skipped, and say so."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound

from flows.due import PlannedRun, superseded
from flows.reporting.run_states import prefect_client, superseded_state

_MOST = 200  # the server's own limit
_BY_HAND = ("Run from the Prefect UI", "Run through the")  # what the page and Prefect's command line write


def skip_superseded(deployments: Sequence[str], now: datetime) -> int:
    """Skip the runs that were missed while nothing ran, but for the last of each deployment; return how many."""
    skipped = 0
    with prefect_client() as client:
        for name in deployments:
            with contextlib.suppress(ObjectNotFound):
                known = client.read_deployment_by_name(name)
                for run, later in superseded(_due(client, UUID(str(known.id)), now), now).items():
                    client.set_flow_run_state(run, superseded_state(later), force=True)
                    skipped += 1
    return skipped


def is_superseded(run: UUID, now: datetime) -> datetime | None:
    """Return when the run was due that stands for a run that has just begun, None if it is to be carried out."""
    with prefect_client() as client:
        own = client.read_flow_run(run)
        if own.deployment_id is None or not own.auto_scheduled or own.expected_start_time is None:
            return None
        mine = PlannedRun(run, own.expected_start_time, by_schedule=True)
        others = [each for each in _due(client, UUID(str(own.deployment_id)), now) if each.run != run]
        return superseded([mine, *others], now).get(run)


def _due(client: SyncPrefectClient, deployment: UUID, now: datetime) -> list[PlannedRun]:
    """Return the newest runs of a deployment whose time has come."""
    runs: list[FlowRun] = client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment])),
        flow_run_filter=FlowRunFilter(expected_start_time=FlowRunFilterExpectedStartTime(before_=now)),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=_MOST,
    )
    return [
        PlannedRun(UUID(str(run.id)), run.expected_start_time, run.auto_scheduled, _has_begun(run))
        for run in runs
        if run.expected_start_time is not None
    ]


def _has_begun(run: FlowRun) -> bool:
    return run.state is not None and run.state.type != StateType.SCHEDULED


def trigger_of(run: UUID) -> str:
    """Return what started a run of a deployment: the schedule, a person on the page, or a program."""
    with contextlib.suppress(Exception), prefect_client() as client:
        if client.read_flow_run(run).auto_scheduled:
            return "schedule"
        first = min(client.read_flow_run_states(run), key=lambda state: state.timestamp)
        return "manual" if str(first.message or "").startswith(_BY_HAND) else "api"
    return "api"
