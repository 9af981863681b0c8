"""Prepared answers as the judge sees them: with the passages that they rest on.

Visitors' misses are put to the answers of the current release, before the next one is built; what the model writes is
put to the answers of the run itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from batch.plan import RunPlan
from batch.retrieval.prepared_chunks import load_chunks
from batch.stores.parquet import read_rows
from rag.filters import Filters, filters_from
from rag.prompting.template import fenced, quoted
from warehouse.analysis.connection import connect
from warehouse.editorial.decisions import Decisions
from warehouse.editorial.evidence import evidence_of
from warehouse.editorial.wordings import standing_rulings
from warehouse.sql import sql_text
from warehouse.tables import AnswerRow, AnswerWordingRow, CitationRow, QuestionRow


@dataclass(frozen=True)
class PreparedAnswer:
    """An answer; `origin` is that of its question, `wordings` all known ways of asking for it, the question first."""

    collection: str
    query_key: str
    question: str
    answer: str
    fingerprint: str
    passages: tuple[str, ...]
    filters: Filters
    wordings: tuple[str, ...]
    origin: str


def answers_of_release(data: Path) -> list[PreparedAnswer]:
    """Return the answers of the current release that are served, and that nobody has rejected or withdrawn since.

    Raises:
        NoReleaseError: nothing has been published.
    """
    rejected = {key for key, held in Decisions(data).standing().items() if held.decision == "reject"}
    with closing(connect(data, described=False)) as session:
        rows = session.execute(sql_text("prepared_answers.sql")).fetchall()
        evidence = evidence_of(session, [row[1] for row in rows])
        known = session.execute("SELECT query_key, wording FROM wordings ORDER BY ALL").fetchall()
    found = [
        PreparedAnswer(
            collection,
            key,
            question,
            answer,
            mark,
            tuple(fenced(f"{each.title} — {each.heading}\n{each.text}") for each in evidence.get(key, ()) if each.text),
            filters_from(json.loads(filters or "{}")),
            (question,),
            origin,
        )
        for collection, key, question, answer, mark, filters, origin in rows
        if key not in rejected
    ]
    return _with_wordings(found, data, known)


def answers_of_run(plan: RunPlan) -> list[PreparedAnswer]:
    """Return the answers that this run has made and nothing is wrong with so far."""
    questions = {row["query_key"]: row for row in read_rows(f"{plan.folder('anticipate')}/questions", QuestionRow)}
    passages = _passages(plan)
    found = []
    for row in sorted(read_rows(f"{plan.folder('cite')}/answers", AnswerRow), key=lambda row: row["query_key"]):
        asked = questions[row["query_key"]]
        if row["status"] == "served" and asked["origin"] != "canary" and row["answer"].strip():
            found.append(
                PreparedAnswer(
                    row["collection"],
                    row["query_key"],
                    asked["question"],
                    row["answer"],
                    row["fingerprint"],
                    tuple(passages.get(row["query_key"], ())),
                    filters_from(row["filters"]),
                    (asked["question"],),
                    asked["origin"],
                )
            )
    known = read_rows(f"{plan.folder('anticipate')}/wordings", AnswerWordingRow)
    return _with_wordings(found, Path(plan.data), sorted((row["query_key"], row["wording"]) for row in known))


def _passages(plan: RunPlan) -> Mapping[str, list[str]]:
    """Return the passages of each answer, in the order of their numbers."""
    rows = sorted(read_rows(f"{plan.folder('cite')}/citations", CitationRow), key=lambda row: row["number"])
    found: dict[str, list[str]] = {}
    for row in rows:
        chunks = load_chunks(plan.folder("prepare"), row["collection"])
        found.setdefault(row["query_key"], []).append(quoted(chunks[row["chunk_id"]]))
    return found


def _with_wordings(
    answers: Iterable[PreparedAnswer], data: Path, known: Iterable[tuple[str, str]]
) -> list[PreparedAnswer]:
    """Add the wordings that the team lists, by query key, and those that were ruled to be some."""
    found: dict[str, list[str]] = {}
    ruled = ((each.query_key, each.text) for each in standing_rulings(data) if each.verdict == "wording")
    for key, text in (*known, *ruled):
        found.setdefault(key, []).append(text)
    return [
        replace(each, wordings=tuple(dict.fromkeys((each.question, *found.get(each.query_key, ())))))
        for each in answers
    ]
