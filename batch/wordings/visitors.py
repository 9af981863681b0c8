"""What visitors asked that no prepared answer was found for: without what is personal, clustered, by who asked.

A cluster counts from a floor of different askers on, over all its phrasings: the keys, and of the anonymous askers, who
can be told apart within a day only, those of the day with the most. Of what holds something personal nothing is kept.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from batch.plan import MissedQuestion, RunPlan
from batch.questions.question_files import tidy_question
from batch.reading.personal_data import Finding, finder, is_public, words_in, words_of
from batch.rejects import reject_row
from batch.stores.parquet import list_files, read_file_rows
from rag.errors import QuestionError
from rag.filters import Filters
from rag.identity import normalise, query_key
from rag.text.table_files import Reject
from warehouse.analysis.connection import connect
from warehouse.editorial.decisions import Decisions
from warehouse.editorial.unlisted import unlisted_questions
from warehouse.editorial.wordings import Ruling, standing_rulings
from warehouse.sql import sql_text
from warehouse.tables import ChunkRow, RejectRow

VISITORS = "visitors"
"""Who rules that a wording is doubtful whose answer did not help."""

Asker = tuple[str, str]
"""A key as ("", name), or an anonymous asker as (day, hash)."""


@dataclass(frozen=True)
class Phrasing:
    """What visitors typed, how often, and who; only its text and its counts leave the run."""

    collection: str
    text: str
    filters: Filters
    asked: int
    askers: frozenset[Asker]

    @property
    def query_key(self) -> str:
        """The phrasing's key as a question."""
        return query_key(self.collection, self.text, self.filters)


def unanswered(plan: RunPlan) -> tuple[list[Phrasing], int]:
    """Return what visitors asked in vain, the most frequent first, and how many were left out as personal.

    Raises:
        NoReleaseError: nothing has been published.
    """
    with closing(connect(Path(plan.data), redaction=plan.redaction, described=False)) as session:
        rows = session.execute(sql_text("unanswered_phrasings.sql")).fetchall()
    found: list[Phrasing] = []
    for collection, text, filters, asked, keys, anonymous in rows:
        if collection in plan.collections:
            given = {str(name): str(value) for name, value in json.loads(filters or "{}").items()}
            asked_with = plan.collections[collection].filtering.of(given)
            try:
                tidy = tidy_question(text, plan.settings.max_question_characters)
            except QuestionError:
                continue  # "???"
            found.append(Phrasing(collection, tidy, asked_with, asked, _askers(keys, anonymous)))
    personal = personal_in(plan, [(each.text, each.filters) for each in found])
    harmless = [each for each, told in zip(found, personal, strict=True) if not told]
    return harmless, len(found) - len(harmless)


def unjudged(plan: RunPlan) -> frozenset[str]:
    """Return the keys of visitors' questions that are anticipated, and that no judge and no person said anything about.

    In the night that they were anticipated in the judge was cut off, or no answer was near them.

    Raises:
        NoReleaseError: nothing has been published.
    """
    data = Path(plan.data)
    decided = Decisions(data).standing()
    ruled = {(each.collection, normalise(each.text)) for each in standing_rulings(data)}
    return frozenset(
        each.query_key
        for each in unlisted_questions(data)
        if each.query_key not in decided and (each.collection, normalise(each.question)) not in ruled
    )


def unhelpful_wordings(plan: RunPlan) -> list[Ruling]:
    """Return the wordings whose answer enough different visitors found unhelpful, as doubts: a person decides.

    Raises:
        NoReleaseError: nothing has been published.
    """
    with closing(connect(Path(plan.data), redaction=plan.redaction, described=False)) as session:
        rows = session.execute(sql_text("unhelpful_wordings.sql")).fetchall()
    return [
        Ruling(collection, query_key, text, "doubtful", origin, VISITORS)
        for collection, query_key, text, origin, keys, anonymous in rows
        if collection in plan.collections and _different(_askers(keys, anonymous)) >= plan.settings.least_askers
    ]


def askers_of(phrasings: Iterable[Phrasing]) -> int:
    """Return how many different askers some phrasings have, at least."""
    return _different(frozenset[Asker]().union(*(each.askers for each in phrasings)))


def personal_in(plan: RunPlan, typed: Sequence[tuple[str, Filters]]) -> list[list[Finding]]:
    """Return what is personal in each of n texts that visitors typed, and in the filters that they chose.

    What stands in the team's documents is not.
    """
    find = finder(plan.settings.pii_model if typed else None)
    findings = [[*find(text), *(one for _, value in filters for one in find(value))] for text, filters in typed]
    public = _public_words(plan, words_of([each for found in findings for each in found]))
    return [[each for each in found if not is_public(each, public)] for found in findings]


def refused_miss(plan: RunPlan, stage: str, missed: MissedQuestion, why: QuestionError) -> RejectRow:
    """Return the reject of a visitors' question, which names it by its key alone: the text may be personal."""
    item = query_key(missed.collection, missed.question, plan.asked_with(missed))
    reason = f"the journal, asked {missed.times} times by {missed.askers} askers: {why}"
    return reject_row(plan.run_id, stage, missed.collection, Reject(item, reason))


def _askers(keys: Iterable[str], anonymous: Iterable[Mapping[str, object]]) -> frozenset[Asker]:
    return frozenset({("", key) for key in keys} | {(str(each["day"]), str(each["asker"])) for each in anonymous})


def _different(askers: frozenset[Asker]) -> int:
    days = Counter(day for day, _ in askers)
    return days.pop("", 0) + max(days.values(), default=0)


def _public_words(plan: RunPlan, wanted: Collection[str]) -> set[str]:
    """Return those of some words that stand in the documents."""
    found: set[str] = set()
    for path in list_files(f"{plan.folder('prepare')}/chunks/*.parquet") if wanted else []:
        for row in read_file_rows(path, ChunkRow):
            found.update(set(wanted).intersection(words_in(f"{row['heading']} {row['text']}")))
    return found
