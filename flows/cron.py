"""Cron expressions: five fields, checked when the configuration is read, long before a window would be missed.

Only what every cron understands is accepted: numbers, names of months and days, `*`, lists, ranges and steps.
"""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo, available_timezones

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# name, least, most, names of the numbers from `least` on
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_LONGEST = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}  # days of the months that have less than 31
_PART = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", re.ASCII)


def checked_cron(text: str) -> str:
    """Return a cron expression with single spaces.

    Raises:
        ValueError: it is none, or no day fits it; the message says what is wrong with which field.
    """
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"a cron expression has five fields (minute, hour, day, month, day of the week), as in '0 2 * * *'; "
            f"this has {len(fields)}"
        )
    values = [_values(field, *about) for field, about in zip(fields, _FIELDS, strict=True)]
    _, _, days, months, _ = values
    if fields[4] == "*" and not any(min(days) <= _LONGEST.get(month, 31) for month in months):
        raise ValueError(f"no month that it names has a day {min(days)}")
    return " ".join(fields)


def _values(field: str, name: str, least: int, most: int, names: tuple[str, ...]) -> set[int]:
    values: set[int] = set()
    for part in field.split(","):
        found = _PART.fullmatch(part)
        if found is None:
            raise ValueError(f"its {name} {field!r} is not a number, '*', a list, a range or a step")
        first, last, step = found.groups()
        if first == "*":
            if last is not None:
                raise ValueError(f"its {name} {field!r} is not a number, '*', a list, a range or a step")
            begin, end = least, most
        else:
            begin = _number(first, field, name, least, most, names)
            end = _number(last, field, name, least, most, names) if last else most if step else begin
        if end < begin:
            raise ValueError(f"its {name} {field!r} ends before it begins")
        if step == "0":
            raise ValueError(f"its {name} {field!r} has a step of 0")
        values.update(range(begin, end + 1, int(step or 1)))
    return values


def _number(text: str, field: str, name: str, least: int, most: int, names: tuple[str, ...]) -> int:
    if text.lower() in names:
        return names.index(text.lower()) + least
    if not text.isdigit() or not least <= int(text) <= most:
        raise ValueError(f"its {name} {field!r} must be from {least} to {most}")
    return int(text)


def checked_timezone(name: str) -> str:
    """Return the name of a time zone.

    Raises:
        ValueError: there is none of this name.
    """
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        last = name.rsplit("/", 1)[-1].replace(" ", "_").lower()
        close = sorted(each for each in available_timezones() if each.rsplit("/", 1)[-1].lower() == last)
        hint = f"did you mean {close[0]!r}?" if close else "write a name such as 'Europe/Berlin'"
        raise ValueError(f"there is no time zone of this name; {hint}") from None
    return name
