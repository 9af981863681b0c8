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
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound

from flows.due import PlannedRun, superseded
from flows.reporting.run_states import prefect_client, superseded_state

_BY_HAND = ("Run from the Prefect UI", "Run through the")  # what the page and Prefect's command line write


def skip_superseded(deployments: Sequence[str], now: datetime) -> int:
    """Skip the runs that were missed while nothing ran, but for the last of each deployment; return how many."""
    skipped = 0
    with prefect_client() as client:
        for name in deployments:
            with contextlib.suppress(ObjectNotFound):
                known = client.read_deployment_by_name(name)
                for run, later in superseded(_planned(client, UUID(str(known.id))), now).items():
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
        return superseded([mine, *_planned(client, UUID(str(own.deployment_id)))], now).get(run)


def _planned(client: SyncPrefectClient, deployment: UUID) -> list[PlannedRun]:
    """Return the runs of a deployment that have not begun, the queued ones included."""
    runs: list[FlowRun] = client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
        ),
    )
    return [
        PlannedRun(UUID(str(run.id)), run.expected_start_time, run.auto_scheduled)
        for run in runs
        if run.expected_start_time is not None
    ]


def trigger_of(run: UUID) -> str:
    """Return what started a run of a deployment: the schedule, a person on the page, or a program."""
    with contextlib.suppress(Exception), prefect_client() as client:
        if client.read_flow_run(run).auto_scheduled:
            return "schedule"
        first = min(client.read_flow_run_states(run), key=lambda state: state.timestamp)
        return "manual" if str(first.message or "").startswith(_BY_HAND) else "api"
    return "api"
