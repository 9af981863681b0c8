"""Runs that ended without a word: what the start of a schedule, and then the schedule every minute, does about them.

They were killed, with their machine or by hand, or Prefect's server could not write down how they ended: its database
is in the data folder, whose disk may have been full.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType

from flows.reporting.alerts import Alert, send
from flows.reporting.open_runs import open_notes, settle_killed
from flows.reporting.run_states import crashed_state, end_run, prefect_client
from rag.credentials import SecretAddress
from warehouse.errors import BuildInProgressError
from warehouse.lease import Lease

_ALIVE = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


def settle_before_schedule(data: Path, webhook: SecretAddress | None, *, own_server: bool) -> None:
    """Settle the runs whose processes are gone; nothing is done while a build is running.

    On a server of our own nobody but a schedule carries out flow runs, and there was none until now: what it calls
    running is dead. On a shared server only the runs that this data folder knows are settled.

    Raises:
        StorageError: the disk is full.
    """
    with _alone(data, "a schedule that is starting") as alone:
        if alone:
            _settle(data, webhook)
            if own_server:
                _end_all()


def settle_meanwhile(data: Path, webhook: SecretAddress | None, seen: Collection[str]) -> Collection[str]:
    """Settle the runs of `seen` that are still open though none is running; return those that are open now.

    Two looks, since whoever started a run has the first word on its end.

    Raises:
        StorageError: the disk is full.
    """
    found = {note.stem for note in open_notes(data)}
    if not found:
        return ()
    with _alone(data, "the schedule, which settles a run that was killed") as alone:
        if not alone:
            return ()
        _settle(data, webhook, found.difference(seen))
    return found


@contextmanager
def _alone(data: Path, holder: str) -> Iterator[bool]:
    """Hold the lease during the block; yield False if a build has it."""
    lease_file = data / "releases" / ".lease"
    lease_file.parent.mkdir(parents=True, exist_ok=True)
    try:
        lease = Lease.acquire(lease_file, holder)
    except BuildInProgressError:
        yield False
        return
    try:
        yield True
    finally:
        lease.release()


def _settle(data: Path, webhook: SecretAddress | None, spared: Collection[str] = ()) -> None:
    for killed in settle_killed(data, os.environ.get("PREFECT_API_URL", ""), spared):
        send(webhook, Alert("crashed", f"the build of run {killed} was killed", killed))


def _end_all() -> None:
    with contextlib.suppress(Exception), prefect_client() as client:
        alive = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_ALIVE)))
        )
        for run in alive:
            end_run(UUID(str(run.id)), crashed_state("Its process had ended before the schedule was started again."))
