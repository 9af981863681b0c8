"""A run as others see it, from its lease to its last word: run log, Prefect, and whoever is to be told of a failure.

However a run ends, its row, its flow run and its folder say the same. What a killed process could not say is made up
for by the next one that holds the lease.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from prefect.context import FlowRunContext
from prefect.states import State

from batch import progress
from batch.plan import RunPlan
from batch.runners.jobs import cancel_left_jobs
from flows.errors import BuildCancelledError
from flows.interruption import ending_soon, interruptions
from flows.ledger import FAILED_AUDIT, PUBLISHED, Ledger, run_row
from flows.reporting.alerts import Alert, Event, send
from flows.reporting.logs import say, warnings_in_prefect
from flows.reporting.open_runs import OpenRun, note_ended, note_open, settle_killed
from flows.reporting.run_states import (
    INTERRUPTED_STATE,
    WAITING_STATE,
    add_tags,
    cancelled_state,
    end_run,
    is_cancelled,
    page_of,
    parent_of,
    waiting_state,
)
from flows.reporting.watch import watching
from rag.credentials import SecretAddress, hide
from rag.errors import AnswersPendingError
from warehouse.durable import storage_errors
from warehouse.errors import AuditFailedError, BuildInProgressError
from warehouse.history.run_log import log_run
from warehouse.releases.build import abandon, begin_build, clear
from warehouse.releases.build_folder import Build

_INTERRUPTED, CANCELLED, _FAILED, _WAITING = "interrupted", "cancelled", "failed", "waiting"
_MOST_TAGS = 20
_LONGEST_WAIT = 7 * 24 * 3600.0  # seconds for the lease; a scheduled build has nothing better to do


@dataclass
class TrackedRun:
    """A run inside its flow; `linked` says that another process made the flow run and waits for it.

    `log` is the data folder whose log gets the run's row, by default the plan's; `done` is its status at a good end.
    """

    plan: RunPlan
    ledger: Ledger
    flow_run: UUID
    webhook: SecretAddress | None
    linked: bool
    log: Path | None = None
    done: str = PUBLISHED
    build: Build | None = field(default=None, init=False)
    _ended: bool = field(default=False, init=False)

    @property
    def begun(self) -> Build:
        """The build, once `begin` has made it."""
        assert self.build is not None
        return self.build

    @property
    def facts(self) -> dict[str, object]:
        """What a manifest says about the flow run."""
        return {"id": str(self.flow_run), "url": page_of(self.flow_run)}

    def begin(self) -> Build:
        """Take the lease, settle the runs that were killed, and note that this one has begun.

        Raises:
            BuildInProgressError: another build is running, and nobody said to wait.
        """
        data = Path(self.plan.data)
        self.build = self._first_in_line(data)
        end_left_jobs(data)
        server = os.environ.get("PREFECT_API_URL", "")
        for killed in settle_killed(data, server, [self.plan.run_id], self.log):
            say(f"run {killed} was killed; it is in the run log now")
            send(self.webhook, Alert("crashed", f"the build of run {killed} was killed", killed))
        parent = parent_of(self.flow_run)
        known = (str(self.flow_run), *([str(parent)] if parent else []))
        started = self.ledger.started_at.isoformat()
        about = self.ledger.shadow, self.ledger.trigger
        note_open(data, OpenRun(self.plan.run_id, started, self.plan.settings.runner, known, server, *about))
        own = () if self.linked else (f"trigger:{self.ledger.trigger}",)
        add_tags(self.flow_run, *own, *(f"collection:{name}" for name in [*self.plan.collections][:_MOST_TAGS]))
        return self.build

    def _first_in_line(self, data: Path) -> Build:
        try:
            return begin_build(data, self.plan.run_id)
        except BuildInProgressError as error:
            if not self.linked:
                raise
            say(str(error))
        return begin_build(data, self.plan.run_id, _LONGEST_WAIT)

    def end(self, status: str) -> None:
        """Write the run's row and remove what is unfinished; a second call does nothing."""
        if self._ended or self.build is None:
            return
        self._ended = True
        data = Path(self.plan.data)
        try:
            clear(self.build)  # first, since the row needs room, and the disk may be full
            log_run(self.log or data, run_row(self.plan, self.ledger, status))
            note_ended(data, self.plan.run_id)
        finally:
            abandon(self.build)

    def stop(self) -> State[None]:
        """End the run after a signal, and return the state of its flow run."""
        cancelled = is_cancelled(self.flow_run)
        self.end(CANCELLED if cancelled else _INTERRUPTED)
        return cancelled_state(in_prefect=cancelled)

    def leave(self) -> None:
        """End the run when its process can't be waited for."""
        end_run(self.flow_run, self.stop())

    def tell(self, event: Event, error: Exception) -> None:
        """Tell the webhook what became of the run."""
        message = hide(str(error), self.ledger.secrets)
        send(self.webhook, Alert(event, message, self.plan.run_id, str(self.flow_run), page_of(self.flow_run)))


def end_left_jobs(data: Path) -> None:
    """Cancel the jobs of runs that were killed, and tell it; the caller holds the lease."""
    for each in cancel_left_jobs(data):
        progress.warn([each])
        say(f"warning: {each}")


@contextmanager
def tracked(run: TrackedRun) -> Iterator[None]:
    """Track a run during the block, which begins it; whatever ends the block ends the run as well."""
    try:
        with warnings_in_prefect(run.ledger.secrets), storage_errors(Path(run.plan.data), "build a release"):
            yield
    except AuditFailedError as error:
        run.end(FAILED_AUDIT)
        run.tell("audit refused", error)
        raise
    except AnswersPendingError:
        run.end(_WAITING)
        raise
    except Exception as error:
        run.end(_FAILED)
        run.tell("failed", error)
        raise
    else:
        run.end(run.done)


def carry_out(run: TrackedRun, work: Callable[[], None]) -> State[None] | None:
    """Do the work of a run; return the state of its flow run if it ended early: by a signal, in Prefect, or to wait."""
    try:
        with ending_soon(run.leave), watching(run.flow_run) as watch, tracked(run), interruptions():
            work()
            watch.finish(run.done)
    except KeyboardInterrupt:
        return run.stop()
    except AnswersPendingError as error:
        return waiting_state(str(error))
    return None


def current_flow_run() -> UUID:
    """Return the id of the flow run that this code runs in."""
    context = FlowRunContext.get()
    assert context is not None and context.flow_run is not None
    return UUID(str(context.flow_run.id))


def stopped_by(state: State[None]) -> BaseException:
    """Return what to raise outside a flow that ended early: an error that says so, or the interruption itself."""
    if state.name == WAITING_STATE:
        return AnswersPendingError(state.message or "")
    if state.name == INTERRUPTED_STATE:
        return KeyboardInterrupt()
    return BuildCancelledError("the build was cancelled in Prefect; finished work is kept, and the next run goes on")
