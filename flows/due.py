"""Which of the due runs of a schedule are carried out: after any pause one build catches up, not one per missed night.

Prefect creates runs ahead and keeps those whose time has passed as late; it would carry out each of them, in no
certain order. A build reads what is there now, so one does for all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class PlannedRun:
    """A run of a deployment; `by_schedule` is False for one that somebody asked for."""

    run: UUID
    due: datetime
    by_schedule: bool
    begun: bool = False


def superseded(planned: Iterable[PlannedRun], now: datetime) -> dict[UUID, datetime]:
    """Return the scheduled runs that have not begun and for which a later one stands, each with when that was due.

    The later one may be due as well, under way, or over, however it ended. What somebody asked for is never
    superseded, and supersedes nothing: it may have other parameters.
    """
    due = sorted((each for each in planned if each.by_schedule and each.due <= now), key=lambda each: each.due)
    return {each.run: due[-1].due for each in due if each.due < due[-1].due and not each.begun}
