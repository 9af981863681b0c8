"""Questions that retire: those that nobody asked for so many nights.

`<data>/anticipated.jsonl` tells since when each question of a collection with `retire_after` is anticipated; a question
counts as unasked from then on. One that retired is in no release until it is asked again in its own words; it may
retire again after as many nights. Nights are days, however many runs there are in one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from warehouse.append_log import append
from warehouse.log_line import read
from warehouse.planning.demand import Asked

_LOG = "anticipated.jsonl"


@dataclass(frozen=True)
class Unasked:
    """Since when a question is anticipated, and when it was last asked, if it was."""

    since: date
    last_asked: date | None


def retired(data: Path, asked: Asked, nights: Mapping[str, int], today: date) -> Mapping[str, Unasked]:
    """Return the questions that nobody asked for the `nights` of their collection, by key."""
    found: dict[str, Unasked] = {}
    for key, (collection, since) in _since(data).items():
        limit = nights.get(collection)
        if limit is None:
            continue
        last = max(asked.get(key, ()), default=None)
        if max(since, last or since) < today - timedelta(days=limit):
            found[key] = Unasked(since, last)
    return found


def note_anticipated(
    data: Path, questions: Collection[tuple[str, str]], collections: Collection[str], today: date
) -> None:
    """Record which questions, as (collection, key), are anticipated today; retired ones are among them.

    Those that the collections no longer have begin anew when they come back.

    Raises:
        StorageError: the disk is full or the file can't be written.
    """
    known = _since(data)
    now = {key: collection for collection, key in questions}
    records = [_record(name, key, today) for key, name in now.items() if key not in known]
    records += [_record(name, key, None) for key, (name, _) in known.items() if name in collections and key not in now]
    if records:
        append(data / _LOG, records)


def _record(collection: str, key: str, since: date | None) -> dict[str, str | None]:
    return {"collection": collection, "query_key": key, "since": None if since is None else since.isoformat()}


def _since(data: Path) -> dict[str, tuple[str, date]]:
    """Return the collection of each question on record and since when it is anticipated; a torn record is none."""
    found: dict[str, tuple[str, date]] = {}
    for record in read(data / _LOG):
        collection, key, since = (record.get(name) for name in ("collection", "query_key", "since"))
        if not isinstance(collection, str) or not isinstance(key, str):
            continue
        if isinstance(since, str):
            found.setdefault(key, (collection, date.fromisoformat(since)))
        else:
            found.pop(key, None)
    return found
