"""Wordings and fences in a file: exported beside their answers, and imported with a person's word on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from rag.identity import normalise
from rag.text.table_files import as_flag
from warehouse.analysis.connection import connect
from warehouse.editorial.review_files import ReviewRow
from warehouse.editorial.settling import Word, settle
from warehouse.editorial.wordings import KINDS, RulingKind, standing_rulings
from warehouse.sql import sql_text

EXPORTED = (
    "collection", "query_key", "question", "answer", "wording", "origin", "verdict", "approved_by", "since",
    "confidence", "reviewer", "accept",
)  # fmt: skip


def ruled_wordings(data: Path, *, decided: bool = False) -> list[dict[str, object]]:
    """Return the rows to decide about: doubtful wordings of the answers that the current release serves.

    With `decided` all that runs and people found to be wordings and fences of them.

    Raises:
        NoReleaseError: nothing has been published.
    """
    with closing(connect(data, described=False)) as session:
        served = session.execute(sql_text("prepared_answers.sql")).fetchall()
    answers = {(collection, key): (question, answer) for collection, key, question, answer, *_ in served}
    rows = []
    for each in standing_rulings(data):
        known = answers.get((each.collection, each.query_key))
        if known is not None and (decided or each.verdict == "doubtful"):
            about = (each.collection, each.query_key, *known, each.text, each.origin)
            values = (*about, each.verdict, each.approved_by, each.since, each.confidence, "", "")
            rows.append(dict(zip(EXPORTED, values, strict=True)))
    return rows


def settle_rows(data: Path, rows: Mapping[int, ReviewRow], reviewer: str) -> dict[int, str]:
    """Record what rows say, by their numbers; return for each decided one why it does not hold, "" if it does.

    `reviewer` is who decides where a row names nobody.
    """
    decided = {number: row for number, row in rows.items() if row.get("accept")}
    words = {number: word for number, row in decided.items() if (word := _word(row, reviewer)) is not None}
    faults = {number: f"{row['accept']!r} is neither yes nor no." for number, row in decided.items()}
    settled = zip(words, settle(data, list(words.values())), strict=True)
    return faults | {number: fault or "" for number, fault in settled}


def _word(row: ReviewRow, reviewer: str) -> Word | None:
    """Return what a row says, or None if that is neither yes nor no."""
    accepted = as_flag(row["accept"].lower())
    if accepted is None:
        return None
    place = (row.get("collection", ""), row.get("query_key", ""), row.get("wording", ""))
    return Word(*place, row.get("reviewer") or reviewer, "wording" if accepted else "fence", _seen(row))


def _seen(row: ReviewRow) -> RulingKind:
    """Return what was ruled when the row was exported; files of older versions held doubtful wordings alone."""
    return next((kind for kind in KINDS if kind == row.get("verdict")), "doubtful")


def are_settled(data: Path, rows: Sequence[ReviewRow]) -> bool:
    """Whether nothing in the rows is in doubt any more, and all that they say is recorded."""
    standing = {each.about: each for each in standing_rulings(data)}
    for row in rows:
        found = standing.get((row.get("collection", ""), row.get("query_key", ""), normalise(row.get("wording", ""))))
        word = _word(row, "") if row.get("accept") else None
        if found is not None and (found.verdict == "doubtful" or (word is not None and word.verdict != found.verdict)):
            return False
    return True
