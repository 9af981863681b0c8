"""Doubtful wordings in a file: exported beside their answers, and imported with a person's word on each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rag.identity import normalise
from rag.text.table_files import as_flag
from warehouse.analysis.connection import connect
from warehouse.editorial.review_files import ReviewRow
from warehouse.editorial.wordings import doubts, settle
from warehouse.sql import sql_text

EXPORTED = ("collection", "query_key", "question", "answer", "wording", "origin", "confidence", "reviewer", "accept")


@dataclass(frozen=True)
class Settled:
    """What became of a row: undecided, or held, or not with a sentence that says why."""

    undecided: bool
    fault: str = ""


def doubtful_wordings(data: Path) -> list[dict[str, object]]:
    """Return the rows to decide about: doubtful wordings of the answers that the current release serves.

    Raises:
        NoReleaseError: nothing has been published.
    """
    with closing(connect(data, described=False)) as session:
        served = session.execute(sql_text("prepared_answers.sql")).fetchall()
    answers = {(collection, key): (question, answer) for collection, key, question, answer, *_ in served}
    rows = []
    for each in doubts(data):
        if (known := answers.get((each.collection, each.query_key))) is not None:
            values = (each.collection, each.query_key, *known, each.text, each.origin, each.confidence, "", "")
            rows.append(dict(zip(EXPORTED, values, strict=True)))
    return rows


def settle_row(data: Path, row: ReviewRow, reviewer: str) -> Settled:
    """Record what a row says; `reviewer` is who decides where the row names nobody."""
    said = row.get("accept", "")
    if not said:
        return Settled(undecided=True)
    accepted = as_flag(said.lower())
    if accepted is None:
        return Settled(undecided=False, fault=f"{said!r} is neither yes nor no.")
    place = (row.get("collection", ""), row.get("query_key", ""), row.get("wording", ""))
    fault = settle(data, *place, row.get("reviewer") or reviewer, accepted=accepted)
    return Settled(undecided=False, fault=fault or "")


def are_settled(data: Path, rows: Sequence[ReviewRow]) -> bool:
    """Whether nothing in the rows is in doubt any more."""
    waiting = {each.about for each in doubts(data)}
    return all(
        (row.get("collection", ""), row.get("query_key", ""), normalise(row.get("wording", ""))) not in waiting
        for row in rows
    )
