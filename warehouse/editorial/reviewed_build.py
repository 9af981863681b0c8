"""Applies what people decided to the answers of a build, by the same rule as a server does to those of a release."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from warehouse.editorial.decisions import Decisions, Standing
from warehouse.sql import sql_text
from warehouse.tables import REVIEWS


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
