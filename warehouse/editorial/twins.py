"""Twins: questions of a release that have the answer of another, so that a person may join the two."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from rag.identity import normalise

if TYPE_CHECKING:
    from warehouse.editorial.wordings import Ruling


@dataclass(frozen=True)
class Twin:
    """A question beside another that has the same answer, or nearly so; `how` says which in a clause."""

    collection: str
    query_key: str
    question: str
    kept_key: str
    kept_question: str
    how: str


def twins(session: duckdb.DuckDBPyConnection) -> list[Twin]:
    """Return the questions of a release that have the answer of another, beside the one that is worth more."""
    rows = session.execute(
        "SELECT collection, query_key, question, other_key, other_question, how FROM same_answers ORDER BY ALL"
    ).fetchall()
    return [Twin(*row) for row in rows]


def undecided(found: Iterable[Twin], rulings: Iterable[Ruling]) -> list[Twin]:
    """Return the twins about which no person has ruled."""
    ruled = {each.about for each in rulings if each.person}
    return [each for each in found if (each.collection, each.kept_key, normalise(each.question)) not in ruled]
