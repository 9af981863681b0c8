"""Reviews: exports answers for people to decide about, imports the decisions, applies them to builds.

A decision names a fingerprint, so it applies to every release in which the answer would be generated the same way, and
lapses when a passage, the prompt or the model changes. Decisions are appended to `<data>/reviews.jsonl` with reviewer
and time; the last one for a fingerprint counts, and running servers follow the file (`warehouse.editorial.decisions`).
Labels of near-misses are appended to `<data>/labelled_pairs.jsonl`, the training data of the verifier; for the pair
itself they take effect at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from rag.text.table_files import as_flag
from warehouse.analysis.connection import connect
from warehouse.append_log import Record, append, now
from warehouse.editorial.decisions import Decisions, Standing, decisions_file
from warehouse.editorial.review_files import ReviewRow, read_rows, write_rows
from warehouse.editorial.withdrawal import Tombstones, tombstone, untombstone
from warehouse.errors import ReviewError
from warehouse.sql import sql_text
from warehouse.tables import REVIEWS

DECISIONS = ("approve", "edit", "reject")
_DECISION_COLUMNS = ("collection", "query_key", "fingerprint", "decision", "new_answer", "reviewer", "note")
_PAIR_COLUMNS = ("a", "b", "same", "a_key", "b_key")


@dataclass(frozen=True)
class Imported:
    """The counts of an import: decisions by kind, labelled pairs, and undecided rows."""

    decisions: Mapping[str, int]
    pairs: int
    undecided: int


def export_reviews(data: Path, target: Path, release: str | None = None) -> int:
    """Write a release's withheld and doubtful answers with their evidence; return how many.

    Raises:
        ReviewError: the ending of `target` is unknown.
    """
    return _export(data, target, "review_export.sql", release)


def export_near_misses(data: Path, target: Path) -> int:
    """Write pairs of questions that nearly hit, for labelling; return how many."""
    return _export(data, target, "near_miss_export.sql", None)


def _export(data: Path, target: Path, statement: str, release: str | None) -> int:
    with connect(data, release) as connection:
        found = connection.execute(sql_text(statement))
        names = [column[0] for column in found.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    write_rows(target, names, rows)
    return len(rows)


def import_reviews(data: Path, source: Path, reviewer: str) -> Imported:
    """Import decisions, or labels of near-misses, from a file: all of them or none.

    `reviewer` is the default for rows that name no reviewer.

    Raises:
        ReviewError: a row is wrong; the message names it.
    """
    rows = read_rows(source, (*_DECISION_COLUMNS, *_PAIR_COLUMNS))
    if rows and "same" in rows[0]:
        return _import_pairs(data, source, rows, reviewer)
    if rows and "decision" not in rows[0]:
        raise ReviewError(f"{source}: there is neither a column 'decision' nor 'same' in it.")
    records = [
        _decision(source, number, row, reviewer) for number, row in enumerate(rows, start=1) if row.get("decision")
    ]
    if records:
        append(decisions_file(data), records)
    counts = {decision: sum(r["decision"] == decision for r in records) for decision in DECISIONS}
    return Imported(counts, 0, len(rows) - len(records))


def _decision(source: Path, number: int, row: ReviewRow, reviewer: str) -> Record:
    place = f"{source}, row {number}"
    decision = row["decision"].lower()
    if decision not in DECISIONS:
        raise ReviewError(f"{place}: the decision {decision!r} is none of {', '.join(DECISIONS)}.")
    answer = row.get("new_answer") or None
    if decision == "edit" and answer is None:
        raise ReviewError(f"{place}: an edit needs the text of the answer in the column 'new_answer'.")
    for name in ("collection", "query_key", "fingerprint"):
        if not row.get(name):
            raise ReviewError(f"{place}: the column {name!r} is empty or missing.")
    return {
        "collection": row["collection"],
        "query_key": row["query_key"],
        "fingerprint": row["fingerprint"],
        "decision": decision,
        "answer": answer if decision == "edit" else None,
        "reviewer": row.get("reviewer") or reviewer,
        "reviewed_at": now(),
        "note": row.get("note") or None,
    }


def _settle_tombstones(data: Path, labelled: list[tuple[str, str, bool]], reviewer: str) -> None:
    """Stop a pair from hitting if a person labelled it different, and allow it again if labelled same."""
    dead = Tombstones(data).pairs()
    for first, second, same in labelled:
        if same == (frozenset({first, second}) in dead):
            (untombstone if same else tombstone)(data, first, second, f"labelled by {reviewer}")


def _import_pairs(data: Path, source: Path, rows: list[ReviewRow], reviewer: str) -> Imported:
    pairs, keys = [], []
    for number, row in enumerate(rows, start=1):
        label = row.get("same", "").lower()
        if not label:
            continue
        same = as_flag(label)
        if same is None:
            raise ReviewError(f"{source}, row {number}: {label!r} is neither yes nor no.")
        pairs.append({"a": row.get("a", ""), "b": row.get("b", ""), "same": same})
        keys.append((row.get("a_key", ""), row.get("b_key", ""), same))
    if pairs:
        append(data / "labelled_pairs.jsonl", pairs)
        _settle_tombstones(data, [each for each in keys if each[0] and each[1]], reviewer)
    return Imported({}, len(pairs), len(rows) - len(pairs))


def apply_reviews(connection: duckdb.DuckDBPyConnection, data: Path) -> int:
    """Apply what people decided to a build's answers, and record it with the audit's own verdict; return how many."""
    standing = Decisions(data).standing()
    connection.execute("DELETE FROM reviews")
    answers = connection.execute(
        "SELECT collection, query_key, fingerprint FROM answers WHERE list_contains(?, query_key)", [list(standing)]
    ).fetchall()
    rows = [
        _review_row(standing[query_key], query_key, fingerprint)
        for collection, query_key, fingerprint in answers
        if standing[query_key].collection == collection
    ]
    connection.register("decided", pa.Table.from_pylist(rows, schema=_DECIDED))
    connection.execute(sql_text("apply_reviews.sql"))
    connection.unregister("decided")
    return len(rows)


_DECIDED = pa.schema([*(field for field in REVIEWS if not field.name.startswith("former_")), ("verdict", pa.string())])


def _review_row(standing: Standing, query_key: str, fingerprint: str) -> dict[str, object]:
    """Return a row of `reviews` with what it means for an answer with this fingerprint."""
    verdict = standing.verdict(fingerprint)
    return {
        "collection": standing.collection,
        "query_key": query_key,
        "fingerprint": fingerprint if verdict == "approve" else standing.fingerprint,
        "decision": standing.decision,
        "answer": standing.answer,
        "reviewer": standing.reviewer,
        "reviewed_at": _time(standing.reviewed_at),
        "note": standing.note,
        "verdict": verdict,
    }


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
