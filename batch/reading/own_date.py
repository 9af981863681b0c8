"""The date that a document gives itself: of its last change, else of its publication.

Dates are written in many ways. One that can be read in two ways (03/04/2024) is no date.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# Names without "-", "_" and blanks; the first that holds a date counts.
_NAMES = (
    "updated", "updatedat", "lastupdated", "lastupdate", "lastmodified", "lastmod", "modified", "modifiedat",
    "modifieddate", "datemodified", "articlemodifiedtime", "dctermsmodified", "changed", "changedat", "lastchanged",
    "revised", "revdate", "reviewed", "lastreviewed", "date", "pubdate", "published", "publishedat",
    "articlepublishedtime", "created", "createdat",
)  # fmt: skip
_FORMATS = (
    "%Y-%m", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d %Y", "%B %d %Y", "%B %Y",
    "%b %Y", "%d-%m-%Y", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%d.%m.%Y %H:%M", "%Y-%m-%d %H:%M:%S %z",
    "%Y-%m-%d %H:%M %z", "%Y-%m-%d %H:%M:%S %Z",
)  # fmt: skip
_SEPARATORS = re.compile(r"[-_\s:.]+")
_ORDINAL = re.compile(r"(?<=\d)(?:st|nd|rd|th)\b", re.IGNORECASE)
_SLASHES = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})\Z")
_EPOCH = re.compile(r"\d{10}(?:\d{3})?(?:\.\d+)?\Z")
_EARLIEST, _LATEST = 1000, 9998  # years that every reader of the tables can show in any time zone


def own_date(fields: Mapping[str, object]) -> datetime | None:
    """Return the date that fields give in UTC, or None."""
    by_name = {_SEPARATORS.sub("", str(name).lower()): value for name, value in fields.items()}
    dates = (date for name in _NAMES for text in _texts(by_name.get(name)) if (date := read_date(text)))
    return next(dates, None)


def read_date(text: str) -> datetime | None:
    """Return the date that a text is, in UTC, or None."""
    text = " ".join(_ORDINAL.sub("", text.replace(",", " ")).split())
    for read in (_iso, _epoch, _slashes, _written, _of_a_mail):
        try:
            date = read(text)
            if date is not None:
                date = date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
                return date if _EARLIEST <= date.year <= _LATEST else None
        except (ValueError, OverflowError, TypeError, IndexError):
            continue
    return None


def _texts(value: object) -> Iterator[str]:
    """Yield what may be a date: a value, or the values of an object, as Docusaurus writes `last_update`."""
    match value:
        case Mapping():
            yield from (str(each) for each in value.values())
        case list() | tuple():
            yield from map(str, value)
        case None | bool():
            return
        case _:
            yield str(value)


def _iso(text: str) -> datetime | None:
    return datetime.fromisoformat(text)


def _epoch(text: str) -> datetime | None:
    if not _EPOCH.match(text):
        return None
    seconds = float(text)
    return datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, UTC)


def _slashes(text: str) -> datetime | None:
    found = _SLASHES.match(text)
    if found is None:
        return None
    first, second, year = map(int, found.groups())
    if first <= 12 and second <= 12 and first != second:
        return None  # the day first, or the month?
    day, month = (first, second) if first > 12 else (second, first)
    return datetime(year, month, day, tzinfo=UTC)


def _written(text: str) -> datetime | None:
    for form in _FORMATS:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None


def _of_a_mail(text: str) -> datetime | None:
    return parsedate_to_datetime(text)
