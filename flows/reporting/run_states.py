"""Flow runs in Prefect: made for a child process, read, tagged, and brought to the state that their process has.

A build that Prefect starts is two processes: the flow that Prefect knows, and `beforehand run`, whose own flow run is
made by the first one as its child. Prefect sees only the first; so each tells the other's end where it can.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from prefect import Flow, Task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Cancelling, Completed, Crashed, Failed, Pending, State
from prefect.utilities.urls import url_for

from flows.prefect_server import PAGELESS
from rag.credentials import public_address

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

INTERRUPTED_STATE = "Interrupted"
"""The name of the state of a run whose process was told to end, by Ctrl-C or SIGTERM."""
WAITING_STATE = "Waiting"
"""The name of the state of a run that waits for answers that are made elsewhere."""
_RETRY_SECONDS = 5.0


@contextmanager
def prefect_client() -> Iterator[SyncPrefectClient]:
    """Yield a client of its own, which any thread may use."""
    with get_client(sync_client=True) as client:
        yield client


def make_child_run(flow: Flow[..., Any], parameters: dict[str, Any], tags: list[str]) -> UUID:
    """Make a flow run that is a child of the running one, in the state Pending, and return its id."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise RuntimeError("a child run is made inside a flow")
    stand_in: Task[..., Any] = Task(name=flow.name, fn=lambda: None)
    with prefect_client() as client:
        step = client.create_task_run(
            task=stand_in,
            flow_run_id=context.flow_run.id,
            dynamic_key=str(uuid4()),
            state=Pending(),
        )
        run = client.create_flow_run(
            flow=flow, parameters=parameters, state=Pending(), parent_task_run_id=step.id, tags=tags
        )
    return UUID(str(run.id))


def read_run(run: UUID) -> FlowRun:
    """Return a flow run."""
    with prefect_client() as client:
        return client.read_flow_run(run)


def parent_of(run: UUID) -> UUID | None:
    """Return the flow run whose child a flow run is, if any."""
    with contextlib.suppress(Exception), prefect_client() as client:
        step = client.read_flow_run(run).parent_task_run_id
        found = client.read_task_run(step).flow_run_id if step else None
        return UUID(str(found)) if found else None
    return None


def is_cancelled(run: UUID) -> bool:
    """Whether somebody cancelled a flow run in Prefect; False if its server can't be asked."""
    with contextlib.suppress(Exception):
        state = read_run(run).state
        return state is not None and (state.is_cancelling() or state.is_cancelled())
    return False


def end_run_surely(run: UUID, state: State[Any], seconds: float) -> None:
    """Bring a flow run to its final state; while Prefect can't write, for want of disk say, try again for so long."""
    deadline = time.monotonic() + seconds
    while not end_run(run, state) and is_open(run) and time.monotonic() < deadline:
        time.sleep(_RETRY_SECONDS)


def is_open(run: UUID) -> bool:
    """Whether a flow run has not ended, as Prefect has it; True as well if its server can't be asked."""
    try:
        state = read_run(run).state
    except ObjectNotFound:
        return False
    except Exception:
        return True
    return state is None or not state.is_final()


def begin_cancelling(run: UUID) -> None:
    """Note that a flow run is being cancelled, so that its process knows why it is stopped."""
    _set(run, Cancelling(message="Its parent was cancelled."))


def end_run(run: UUID, state: State[Any]) -> bool:
    """Bring a flow run to its final state; return False if it has one, or if its server is gone: that is no error."""
    return _set(run, state)


def _set(run: UUID, state: State[Any]) -> bool:
    with contextlib.suppress(Exception), prefect_client() as client:
        now = client.read_flow_run(run).state
        if now is None or not now.is_final():
            client.set_flow_run_state(run, state, force=True)
            return True
    return False


def cancelled_state(*, in_prefect: bool) -> State[Any]:
    """Return the state of a run that was cancelled in Prefect, or else ended by Ctrl-C or SIGTERM."""
    if in_prefect:
        return Cancelled(message="The build was cancelled; finished work is kept.")
    return Cancelled(name=INTERRUPTED_STATE, message="The build's process was told to end; finished work is kept.")


def superseded_state(later: datetime) -> State[Any]:
    """Return the state of a scheduled run that is not carried out, since a later one stands for it."""
    return Cancelled(name="Skipped", message=f"The run that was due at {later.isoformat()} stands for this one.")


def waiting_state(message: str) -> State[Any]:
    """Return the state of a run that ends because its answers are made elsewhere: nothing failed."""
    return Completed(name=WAITING_STATE, message=message)


def crashed_state(message: str) -> State[Any]:
    """Return the state of a run whose process died."""
    return Crashed(message=message)


def failed_state(message: str) -> State[Any]:
    """Return the state of a run that could not begin, or failed."""
    return Failed(message=message)


def add_tags(run: UUID, *tags: str) -> None:
    """Add tags to a flow run; failing to is no error, since they only help to find it."""
    with contextlib.suppress(Exception), prefect_client() as client:
        client.update_flow_run(run, tags={*client.read_flow_run(run).tags, *tags})


def page_of(run: UUID) -> str | None:
    """Return the address of a flow run on Prefect's page, None if the server has no page."""
    address = url_for("flow-run", obj_id=run)
    if address is None or PAGELESS in os.environ:
        return None
    return str(public_address(address))
