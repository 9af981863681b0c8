"""Questions that retire: those that nobody asked for so many nights.

`<data>/anticipated.jsonl` tells since when each question of a collection with `retire_after` is anticipated; a question
counts as unasked from then on, and which wordings it has had. One that retired is in no release until it is asked
again, in its own words or in one of these; it may retire again after as many nights. Nights are days, however many runs
there are in one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from warehouse.append_log import append
from warehouse.log_line import Record, read
from warehouse.planning.demand import Asked

_LOG = "anticipated.jsonl"


@dataclass(frozen=True)
class _Noted:
    """A question on record: since when it is anticipated, and the keys of its further wordings so far."""

    collection: str
    since: date
    wordings: frozenset[str]


@dataclass(frozen=True)
class Unasked:
    """Since when a question is anticipated, and when it was last asked, if it was."""

    since: date
    last_asked: date | None


def retired(data: Path, asked: Asked, nights: Mapping[str, int], today: date) -> Mapping[str, Unasked]:
    """Return the questions that nobody asked for the `nights` of their collection, by key."""
    found: dict[str, Unasked] = {}
    for key, noted in _noted(data).items():
        limit = nights.get(noted.collection)
        if limit is None:
            continue
        last = max((day for each in (key, *noted.wordings) for day in asked.get(each, ())), default=None)
        if max(noted.since, last or noted.since) < today - timedelta(days=limit):
            found[key] = Unasked(noted.since, last)
    return found


def note_anticipated(
    data: Path,
    questions: Collection[tuple[str, str]],
    collections: Collection[str],
    today: date,
    wordings: Mapping[str, Collection[str]] | None = None,
) -> None:
    """Record which questions, as (collection, key), are anticipated today; retired ones are among them.

    `wordings` are the keys of the further wordings of questions. What the collections no longer have begins anew when
    it comes back.

    Raises:
        StorageError: the disk is full or the file can't be written.
    """
    known, worded = _noted(data), wordings or {}
    now = {key: collection for collection, key in questions}
    records = []
    for key, name in now.items():
        before = known.get(key) or _Noted(name, today, frozenset())
        more = before.wordings.union(worded.get(key, ()))
        if key not in known or more != before.wordings:
            records.append(_record(name, key, before.since, more))
    records += [_record(each.collection, key, None) for key, each in known.items()
                if each.collection in collections and key not in now]  # fmt: skip
    if records:
        append(data / _LOG, records)


def _record(collection: str, key: str, since: date | None, wordings: Collection[str] = ()) -> Record:
    named: Record = {"wordings": sorted(wordings)} if wordings else {}
    return {"collection": collection, "query_key": key, "since": None if since is None else since.isoformat(), **named}


def _noted(data: Path) -> dict[str, _Noted]:
    """Return the questions on record; a torn record is none, and one without wordings is from an earlier version."""
    found: dict[str, _Noted] = {}
    for record in read(data / _LOG):
        collection, key, since, named = (record.get(name) for name in ("collection", "query_key", "since", "wordings"))
        if not isinstance(collection, str) or not isinstance(key, str):
            continue
        if not isinstance(since, str):
            found.pop(key, None)
            continue
        known = found.get(key) or _Noted(collection, date.fromisoformat(since), frozenset())
        words = frozenset(each for each in named if isinstance(each, str)) if isinstance(named, list) else frozenset()
        found[key] = replace(known, wordings=known.wordings | words)
    return found
