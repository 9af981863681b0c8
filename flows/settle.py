"""What the start of a schedule does about runs that the last one left behind, killed with its machine or by hand."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from uuid import UUID

from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType

from flows.reporting.open_runs import settle_killed
from flows.reporting.run_states import crashed_state, end_run, prefect_client
from warehouse.errors import BuildInProgressError
from warehouse.lease import Lease

_ALIVE = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


def settle_before_schedule(data: Path, *, own_server: bool) -> None:
    """Settle the runs whose processes are gone; nothing is done while a build is running.

    On a server of our own nobody but a schedule carries out flow runs, and there was none until now: what it calls
    running is dead. On a shared server only the runs that this data folder knows are settled.
    """
    lease_file = data / "releases" / ".lease"
    lease_file.parent.mkdir(parents=True, exist_ok=True)
    try:
        lease = Lease.acquire(lease_file, "a schedule that is starting")
    except BuildInProgressError:
        return
    try:
        settle_killed(data, os.environ.get("PREFECT_API_URL", ""))
        if own_server:
            _end_all()
    finally:
        lease.release()


def _end_all() -> None:
    with contextlib.suppress(Exception), prefect_client() as client:
        alive = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_ALIVE)))
        )
        for run in alive:
            end_run(UUID(str(run.id)), crashed_state("Its process had ended before the schedule was started again."))
