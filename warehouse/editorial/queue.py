"""The queue: everything in the current release that waits for a person, with the reasons and the evidence.

It is computed when somebody looks, from the release, the decisions so far, the withdrawals and the feedback; so a
decision leaves it at once, and what was decided before comes back when the answer has changed since.
`editorial/review_desk.py` takes the decisions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

import duckdb
import pyarrow as pa

from rag.filters import Filters
from warehouse.analysis.connection import connect
from warehouse.editorial.decisions import (
    Decision,
    Decisions,
    Standing,
    by_question,
    described,
    disagreement,
    repeated,
    standing_after,
)
from warehouse.editorial.evidence import Evidence, evidence_of, filters_of
from warehouse.editorial.sources import Source
from warehouse.editorial.twins import twins, undecided
from warehouse.editorial.withdrawal import Withdrawals
from warehouse.editorial.wordings import doubts, standing_rulings
from warehouse.log_line import read
from warehouse.sql import sql_text

ReasonKind = Literal[
    "rejected before",
    "edited before",
    "conflict",
    "document withdrawn",
    "document changed",
    "withheld",
    "nowhere written",
    "approval lapsed",
    "poor feedback",
    "doubtful",
    "asked otherwise",
    "same answer",
    "asked by visitors",
]
REASONS: tuple[ReasonKind, ...] = get_args(ReasonKind)
"""The reasons, the most urgent first."""


@dataclass(frozen=True)
class Reason:
    """Why an answer waits; `detail` is a clause for a person, "" where the kind says it all."""

    kind: ReasonKind
    detail: str


@dataclass(frozen=True)
class QueueItem:
    """A question that waits for a person.

    `answer` is the text to decide about: the reviewer's own after an edit, else the machine's. `former_answer` is the
    text that was decided about before, or, beside an edit, what the machine says now. `decisions` counts those made so
    far; a decision that names a smaller count was made without knowing the last one. `owner` looks after the question,
    `weight` is what it is worth beside others, `filters` are what it is asked with: other values get other answers.
    """

    collection: str
    query_key: str
    fingerprint: str
    question: str
    answer: str
    former_answer: str | None
    status: str
    origin: str
    reasons: tuple[Reason, ...]
    evidence: tuple[Evidence, ...]
    support: float | None
    decided_before: Standing | None
    conflicts: tuple[str, ...]
    decisions: int
    owner: str = ""
    weight: float = 1.0
    filters: Filters = ()


def queue(
    data: Path,
    collection: str | None = None,
    reason: str | None = None,
    release: str | None = None,
    *,
    evidence: bool = True,
) -> list[QueueItem]:
    """Return what waits for a person in a release, by default the current one; the most urgent first.

    Without `evidence` most items have no passages: a list of 100,000 comes in half the time.

    Raises:
        NoReleaseError: nothing has been published.
    """
    wanted = [
        item
        for item in queue_and(data, "", release, evidence=evidence)
        if collection in (None, item.collection) and (reason is None or reason in {each.kind for each in item.reasons})
    ]
    return most_urgent_first(wanted)


def most_urgent_first(items: Iterable[QueueItem]) -> list[QueueItem]:
    """Return the items that wait, in the order of the queue."""
    waiting = [item for item in items if item.reasons]
    return sorted(
        waiting, key=lambda item: (REASONS.index(item.reasons[0].kind), -item.weight, item.question, item.query_key)
    )


def queue_and(data: Path, query_key: str, release: str | None = None, *, evidence: bool = True) -> list[QueueItem]:
    """Return what waits, unsorted, and the question with this key, also if nothing about it waits.

    Without `evidence` only that question has its passages, and what was decided before.

    Raises:
        NoReleaseError: nothing has been published.
    """
    made = by_question(Decisions(data).all())
    standing = {key: held for key, each in made.items() if (held := standing_after(each)) is not None}
    with closing(connect(data, release, described=False)) as connection:
        _register(connection, data, made, standing)
        rows = _rows(connection, sql_text("queue.sql"), query_key)
        keys = [row["query_key"] for row in rows]
        filters = filters_of(connection, keys)
        # what lapsed says what has changed among its passages
        shown = keys if evidence else [key for key in keys if key == query_key or key in standing]
        passages = evidence_of(connection, shown)
    return [
        _item(row, passages.get(key, ()), made.get(key, ()), standing.get(key), filters.get(key, ()))
        for key, row in zip(keys, rows, strict=True)
    ]


def _rows(connection: duckdb.DuckDBPyConnection, query: str, *parameters: str) -> list[dict[str, Any]]:
    found = connection.execute(query, parameters)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _register(
    connection: duckdb.DuckDBPyConnection,
    data: Path,
    made: Mapping[str, Sequence[Decision]],
    standing: Mapping[str, Standing],
) -> None:
    """Give the session the tables that the query joins."""
    decided = [_decided_row(key, each) for key, each in standing.items()]
    reviewed = _rows(connection, "FROM reviews")
    withdrawn = [{"collection": name, "document_id": document} for name, document in Withdrawals(data).documents()]
    disagreeing = [
        {"query_key": key, "detail": text} for key, each in made.items() if (text := disagreement(each)) is not None
    ]
    alike = [
        {"query_key": each.query_key, "detail": f"{each.how} as {each.kept_question!r}"}
        for each in undecided(twins(connection), standing_rulings(data))
    ]
    listed = [{"query_key": str(record.get("query_key"))} for record in read(data / "listings.jsonl")]
    otherwise = [{"query_key": each.query_key, "detail": f"“{each.text}”"} for each in doubts(data)]
    for name, columns, rows in (
        ("decided", _DECIDED, decided),
        ("former", _FORMER, [row for row in reviewed if row.get("former_status") is not None]),
        ("withdrawn", ("collection", "document_id"), withdrawn),
        ("listed", ("query_key",), listed),
        ("twins", ("query_key", "detail"), alike),
        ("conflicts", ("query_key", "detail"), disagreeing),
        ("asked_otherwise", ("query_key", "detail"), otherwise),
    ):
        connection.register(name, _table(columns, rows))


_DECIDED = ("collection", "query_key", "decision", "fingerprint", "approved", "reviewed_at")
_FORMER = ("query_key", "former_answer", "former_origin", "former_status", "former_reason")
_TYPES = {"approved": pa.list_(pa.string()), "reviewed_at": pa.timestamp("us", "UTC")}


def _table(columns: Iterable[str], rows: Sequence[Mapping[str, object]]) -> pa.Table:
    schema = pa.schema([(name, _TYPES.get(name, pa.string())) for name in columns])
    return pa.Table.from_pylist([{name: row[name] for name in schema.names} for row in rows], schema=schema)


def _decided_row(query_key: str, standing: Standing) -> Mapping[str, object]:
    return {
        "collection": standing.collection,
        "query_key": query_key,
        "decision": standing.decision,
        "fingerprint": standing.fingerprint,
        "approved": sorted(standing.approved),
        "reviewed_at": time_of(standing),
    }


def time_of(standing: Standing) -> datetime | None:
    """Return when a decision was made; None where an old record has no readable time."""
    try:
        return datetime.fromisoformat(standing.reviewed_at)
    except ValueError:
        return None


def _item(
    row: Mapping[str, Any],
    evidence: tuple[Evidence, ...],
    made: Sequence[Decision],
    held: Standing | None,
    filters: Filters,
) -> QueueItem:
    reasons = [
        Reason(each["kind"], _detail(each["kind"], each["detail"], held, row, evidence))
        for each in row["reasons"] or ()
    ]
    answer, former = row["answer"], None if held is None else held.about
    if held is not None and held.decision == "edit" and held.answer is not None:
        answer, former = held.answer, row["answer"]
    return QueueItem(
        row["collection"],
        row["query_key"],
        row["fingerprint"],
        row["question"],
        answer,
        None if former == answer else former,
        row["status"],
        row["origin"],
        tuple(sorted(reasons, key=lambda each: REASONS.index(each.kind))),
        evidence,
        row["support"],
        held,
        tuple(each.detail for each in reasons if each.kind == "conflict"),
        len(made),
        row["owner"],
        row["weight"],
        filters,
    )


def _detail(kind: str, detail: str, held: Standing | None, row: Mapping[str, Any], evidence: Sequence[Evidence]) -> str:
    if detail or held is None or kind not in ("rejected before", "edited before", "approval lapsed"):
        return detail
    return f"{described(held)}; changed since: {what_changed(held, row['model_id'], evidence)}"


def what_changed(held: Standing, model: str | None, evidence: Sequence[Evidence]) -> str:
    """Return what the answer is made from now that it was not when the decision was made."""
    if not held.sources and held.model is None:  # an old record
        return "its passages, its prompt or its model"
    before, after = {_mark(each) for each in held.sources}, {_mark(each) for each in evidence}
    passages: tuple[Source | Evidence, ...] = (*held.sources, *evidence)
    titles = {each.title or each.document_id for each in passages if _mark(each) in before ^ after}
    changed = [f"its passages of {', '.join(sorted(titles))}"] if titles else []
    if (held.model or None) != (model or None):
        changed.append(f"its model ({held.model or 'none'} before, {model or 'none'} now)")
    return " and ".join(changed) or "its prompt or other passages in it"


def _mark(passage: Source | Evidence) -> tuple[str, str]:
    return passage.document_id, passage.content_hash


def confirmation(item: QueueItem, reviewer: str) -> Decision | None:
    """Return the decision that lets what was decided before hold for the answer as it is now; None if nothing was."""
    if item.decided_before is None:
        return None
    return replace(
        repeated(item.decided_before, item.query_key, reviewer), fingerprint=item.fingerprint, seen=item.decisions
    )
