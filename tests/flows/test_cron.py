"""Cron expressions and time zones: what Prefect's own croniter understands passes, and a mistake is one sentence."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect._vendor.croniter import croniter

from beforehand.settings_loader import load
from flows.cron import checked_cron, checked_timezone
from flows.settings import ScheduleSettings
from rag.errors import ConfigurationError


@pytest.mark.parametrize(
    "text", ["0 2 * * *", "*/15 * * * *", "5,35 8-18/2 1 jan,Jul mon-fri", "0 0 29 2 *", "0 5 * * 7"]
)
def test_an_expression_that_cron_understands_is_taken(text: str) -> None:
    assert checked_cron(f" {text} ") == text
    assert croniter(text, datetime(2026, 1, 1)).get_next(datetime)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("2 o'clock", "has five fields"),
        ("0 2 * *", "this has 4"),
        ("60 2 * * *", "minute '60' must be from 0 to 59"),
        ("0 25 * * *", "hour '25' must be from 0 to 23"),
        ("0 2 0 * *", "day of the month '0' must be from 1 to 31"),
        ("0 2 * foo *", "month 'foo' must be from 1 to 12"),
        ("0 5-2 * * *", "hour '5-2' ends before it begins"),
        ("*/0 2 * * *", "minute '*/0' has a step of 0"),
        ("0 2 30 2 *", "no month that it names has a day 30"),
        ("0 2 ? * *", "day of the month '?' is not a number"),
    ],
)
def test_a_mistake_is_named_with_its_field(text: str, what: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        load(ScheduleSettings, {"cron": text}, "beforehand.toml")

    assert str(told.value).startswith("beforehand.toml: cron = ")
    assert what in str(told.value)
    assert "\n" not in str(told.value)


FIELDS = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]
NUMBERS = st.tuples(*(st.integers(least, most) for least, most in FIELDS))


@given(NUMBERS, st.lists(st.booleans(), min_size=5, max_size=5))
def test_what_is_taken_prefect_can_schedule(numbers: tuple[int, ...], stars: list[bool]) -> None:
    text = " ".join("*" if star else str(number) for number, star in zip(numbers, stars, strict=True))
    try:
        taken = checked_cron(text)
    except ValueError:
        return
    assert croniter(taken, datetime(2026, 1, 1)).get_next(datetime)


@pytest.mark.parametrize(
    ("name", "hint"), [("Berlin", "did you mean 'Europe/Berlin'"), ("Mars/Base", "Europe/Berlin"), ("", "write a name")]
)
def test_an_unknown_time_zone_is_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match="there is no time zone of this name") as told:
        checked_timezone(name)

    assert hint in str(told.value)
    assert checked_timezone("Europe/Berlin") == "Europe/Berlin"
