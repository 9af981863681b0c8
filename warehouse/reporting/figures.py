"""What the report is about: a release, some collections, a period, and all figures of them.

The session's variables narrow the history to the period and the collections, so that each table keeps to the heading.
What is compared with the period before is queried again with that period. What waits for a person is the review queue.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from warehouse.analysis.connection import connect
from warehouse.editorial.queue import QueueItem, ReasonKind, queue
from warehouse.history.compaction import naming_torn_days
from warehouse.history.redaction import Mode
from warehouse.releases.release import Release, current
from warehouse.settings import CostSettings
from warehouse.sql import sql_text

Figures = Mapping[str, Any]  # a row of a report query: its columns differ from query to query
Tables = Mapping[str, Sequence[Figures]]

_COMPARED = ("totals", "by_collection", "saved", "spent", "asked")
_OF_CHANGES = ("changed", "changed_answers")
_STALE: frozenset[ReasonKind] = frozenset({"document changed", "document withdrawn", "edited before"})
_LAPSED: frozenset[ReasonKind] = frozenset({"approval lapsed", "rejected before"})


@dataclass(frozen=True)
class Scope:
    """What a report covers: `days` up to and including the day of `now`; `collections` are all if it is None."""

    days: int
    now: datetime
    collections: tuple[str, ...] | None = None

    @property
    def last(self) -> date:
        """The last day."""
        return self.now.date()

    @property
    def first(self) -> date:
        """The first day."""
        return self.last - timedelta(days=self.days - 1)

    @property
    def dates(self) -> list[date]:
        """All days."""
        return [self.first + timedelta(days=n) for n in range(self.days)]


@dataclass(frozen=True)
class Task:
    """An answer that somebody should look at: why, and how often its question was asked in the period."""

    collection: str
    question: str
    query_key: str
    detail: str
    asked: int


@dataclass(frozen=True)
class Report:
    """All that a report shows. `before` are the compared tables of the period before, `previous` the last release."""

    scope: Scope
    release: Release
    previous: str | None
    now: Tables
    before: Tables
    withheld: tuple[Task, ...]
    stale: tuple[Task, ...]
    lapsed: tuple[Task, ...]
    waiting: Mapping[str, int]

    def asked_before(self, query_keys: Sequence[str]) -> int:
        """Return how often questions were asked in the period before."""
        counts = {row["query_key"]: row["asked"] for row in self.before["asked"]}
        return sum(counts.get(key, 0) for key in query_keys)


def report_of(
    data: Path, scope: Scope, cost: CostSettings, redaction: Mode | None = None, threads: int | None = None
) -> Report:
    """Return the report on the current release; `threads` limits the processors that the queries take.

    Raises:
        NoReleaseError: nothing has been published.
        StorageError: a file of the history can't be read.
    """
    release = current(data)
    with naming_torn_days(data), closing(connect(data, None, cost, redaction, threads, described=False)) as session:
        _set(session, scope, scope.first - timedelta(days=scope.days), scope.first - timedelta(days=1))
        before = {name: _rows(session, query) for name, query in _queries().items() if name in _COMPARED}
        _set(session, scope, scope.first, scope.last)
        session.execute("SET VARIABLE release = ?", [release.release_id])
        now = {name: _rows(session, query) for name, query in _queries().items() if name not in _OF_CHANGES}
        previous = next((row["release_id"] for row in now["before"]), None)
        session.execute("SET VARIABLE previous = ?", [previous])
        now |= {name: _rows(session, _queries()[name]) if previous else [] for name in _OF_CHANGES}
    items = [
        each
        for each in queue(data, evidence=False)
        if scope.collections is None or each.collection in scope.collections
    ]
    return _with_tasks(scope, release, previous, now, before, items)


def _set(session: duckdb.DuckDBPyConnection, scope: Scope, first: date, last: date) -> None:
    named = None if scope.collections is None else list(scope.collections)
    for name, value in (("first_day", first), ("last_day", last), ("now", scope.now), ("collections", named)):
        session.execute(f"SET VARIABLE {name} = ?", [value])


def _with_tasks(
    scope: Scope, release: Release, previous: str | None, now: Tables, before: Tables, items: Sequence[QueueItem]
) -> Report:
    asked = {row["query_key"]: row["asked"] for row in now["asked"]}
    found = [
        Task(row["collection"], row["question"], row["query_key"], row["detail"], asked.get(row["query_key"], 0))
        for row in (*now["gone"], *now["expired"])
    ]
    known = {each.query_key for each in found}
    waiting: dict[str, int] = {}
    for item in items:
        for kind in {each.kind for each in item.reasons}:
            waiting[kind] = waiting.get(kind, 0) + 1
    return Report(
        scope, release, previous, now, before,
        _most_asked(_tasks(items, frozenset({"withheld"}), asked)),
        _most_asked([*found, *(each for each in _tasks(items, _STALE, asked) if each.query_key not in known)]),
        _most_asked(_tasks(items, _LAPSED, asked)),
        waiting,
    )  # fmt: skip


def _tasks(items: Sequence[QueueItem], kinds: frozenset[ReasonKind], asked: Mapping[str, int]) -> list[Task]:
    tasks = []
    for item in items:
        reasons = [each for each in item.reasons if each.kind in kinds]
        if reasons:
            detail = "; ".join(each.detail or each.kind for each in reasons)
            tasks.append(Task(item.collection, item.question, item.query_key, detail, asked.get(item.query_key, 0)))
    return tasks


def _most_asked(tasks: Sequence[Task]) -> tuple[Task, ...]:
    """Return tasks with the most asked first; those that were not asked stay in the order of the queue."""
    return tuple(sorted(tasks, key=lambda task: -task.asked))


def _queries() -> dict[str, str]:
    return dict(re.findall(r"^-- (\w+)\n([^;]+);", sql_text("report.sql"), re.MULTILINE))


def _rows(session: duckdb.DuckDBPyConnection, query: str) -> list[Figures]:
    found = session.execute(query)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, map(_figure, row), strict=True)) for row in found.fetchall()]


def _figure(value: object) -> object:
    """Return a value, or None for NaN and infinity, which histories of earlier versions contain."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
