"""Golden questions that stand in the team's own lists: those that say what their answers must contain."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from rag.filters import filters_from
from warehouse.audit.golden import Golden

if TYPE_CHECKING:
    import duckdb


def expected_questions(connection: duckdb.DuckDBPyConnection, known: Collection[str] = ()) -> list[Golden]:
    """Return the questions of lists and curated pairs that have `expected` texts, but for the keys in `known`.

    A release that is older than the column has none.
    """
    columns = connection.execute("SELECT column_name FROM duckdb_columns() WHERE table_name = 'questions'").fetchall()
    if not {("expected",), ("filters",)}.issubset(columns):
        return []
    rows = connection.execute(
        "SELECT collection, query_key, question, expected, coalesce(detail, ''), coalesce(weight, 1), filters "
        "FROM questions WHERE expected <> '' ORDER BY query_key"
    ).fetchall()
    return [
        Golden(collection, key, question, tuple(expected.split("\n")), None, detail, weight, filters_from(filters))
        for collection, key, question, expected, detail, weight, filters in rows
        if key not in known
    ]
