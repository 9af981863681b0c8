"""Which due runs are carried out, with the dates that Prefect makes of a cron expression, also as clocks change."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.server.schemas.schedules import CronSchedule

from flows.due import PlannedRun, superseded


def planned(cron: str, timezone: str, start: datetime, runs: int) -> list[PlannedRun]:
    """Return the runs that Prefect's scheduler would create from a moment on."""
    dates = asyncio.run(CronSchedule(cron=cron, timezone=timezone).get_dates(n=runs, start=start))
    return [PlannedRun(uuid4(), datetime.fromtimestamp(date.timestamp(), UTC), by_schedule=True) for date in dates]


def carried_out(runs: list[PlannedRun], now: datetime) -> list[str]:
    """Return when the runs were due that are carried out at a moment at which none has begun."""
    skipped = superseded(runs, now)
    return [f"{each.due:%d %H:%M}" for each in runs if each.due <= now and each.run not in skipped]


@pytest.mark.parametrize(
    ("start", "down_for_days", "expected"),
    [
        (datetime(2026, 3, 27, 12, tzinfo=UTC), 1, ["28 01:30"]),
        (datetime(2026, 3, 27, 12, tzinfo=UTC), 2, ["29 00:30"]),  # 02:30 does not exist that night
        (datetime(2026, 10, 23, 12, tzinfo=UTC), 2, ["25 00:30"]),  # 02:30 comes twice that night
        (datetime(2026, 10, 23, 12, tzinfo=UTC), 3, ["26 01:30"]),
        (datetime(2026, 10, 23, 12, tzinfo=UTC), 0, []),
    ],
)
def test_after_any_pause_one_build_catches_up(start: datetime, down_for_days: int, expected: list[str]) -> None:
    nights = planned("30 2 * * *", "Europe/Berlin", start, 5)

    assert carried_out(nights, start + timedelta(days=down_for_days)) == expected


@pytest.mark.parametrize("first", [datetime(2026, 3, 26, 12, tzinfo=UTC), datetime(2026, 10, 22, 12, tzinfo=UTC)])
def test_without_a_pause_every_night_has_one_build(first: datetime) -> None:
    nights = planned("30 2 * * *", "Europe/Berlin", first, 6)

    for number, night in enumerate(nights):
        begun = [PlannedRun(each.run, each.due, by_schedule=True, begun=True) for each in nights[:number]]
        assert superseded([*begun, *nights[number:]], night.due + timedelta(seconds=5)) == {}
    assert len({night.due.date() for night in nights}) == 6


def test_a_run_that_waited_for_a_later_one_is_skipped_however_that_ended() -> None:
    first, second, third = planned("0 2 * * *", "UTC", datetime(2026, 11, 1, tzinfo=UTC), 3)
    over = PlannedRun(third.run, third.due, by_schedule=True, begun=True)

    assert superseded([first, second, over], third.due) == {first.run: third.due, second.run: third.due}


def test_what_somebody_asked_for_is_carried_out_and_stands_for_nothing_else() -> None:
    now = datetime(2026, 11, 5, tzinfo=UTC)
    night = PlannedRun(uuid4(), now - timedelta(hours=3), by_schedule=True)
    asked = [PlannedRun(uuid4(), now - timedelta(hours=hours), by_schedule=False) for hours in (1, 2, 4)]

    assert superseded([night, *asked], now) == {}


@given(st.lists(st.tuples(st.integers(-50, 50), st.booleans(), st.booleans()), max_size=12))
def test_the_last_due_run_of_the_schedule_is_never_skipped(drawn: list[tuple[int, bool, bool]]) -> None:
    now = datetime(2026, 11, 5, tzinfo=UTC)
    runs = [PlannedRun(uuid4(), now + timedelta(hours=hours), *kind) for hours, *kind in drawn]

    skipped = superseded(runs, now)

    due = [each for each in runs if each.by_schedule and each.due <= now]
    last = max((each.due for each in due), default=None)
    assert all(each.run not in skipped for each in runs if each.due == last)
    waiting = [each for each in due if not each.begun and each.run not in skipped]
    assert {each.due for each in waiting} <= {last}
