"""The wordings of an answer: which questions of the team's files want one answer, and which texts are its wordings.

An answer is named by its primary question. Rows that name the same answer, curated pairs with the same answer and
documents, and the `variants` of a row are further wordings: exact keys and vectors of the answer, which is generated,
fingerprinted and reviewed once. A wording is asked with the filters of its answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from batch.questions.question_attributes import completed
from batch.questions.question_files import LONGEST_QUESTION, CuratedPair, Question, tidy_question
from batch.questions.validity import VALID_UNTIL, has_expired
from rag.errors import QuestionError
from rag.filters import Filters
from rag.identity import normalise, query_key, stable_hash
from rag.text.table_files import Reject
from warehouse.editorial.wordings import Ruling
from warehouse.tables import AnswerWordingRow, FenceRow

Asked = Question | CuratedPair

# What is kept of several items with one key: the team's own words come first, and visitors' last, so that a visitor
# takes neither a canary out of the audit nor a proposed question from the list. Only a person makes a listed question
# the wording of another.
_PRECEDENCE = {"curated": 1, "list": 2, "canary": 3, "golden": 5, "corpus": 6, "journal": 8}
_OF_A_PERSON, _OF_THE_TEAM, _OF_A_JUDGE = 0, 4, 7
_TEAM = frozenset({"list", "curated"})
_YES_OR_NO = frozenset("yes no ja nein oui non sí no si não sim nee tak nie да нет 是 否 はい いいえ".split())
"""Answers that many questions have which ask for different things."""
_NUMBERS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Wording:
    """A further wording of the answer `answer_key`, whose question reads `primary`; `query_key` is its own key.

    `origin` is list, curated, journal, model, judge or review; `by_person` says that a person ruled so.
    """

    collection: str
    query_key: str
    answer_key: str
    question: str
    primary: str
    origin: str
    detail: str
    approved_by: str
    since: str = ""
    filters: Filters = ()
    by_person: bool = False


@dataclass(frozen=True)
class Fence:
    """A text that must not get the answer `answer_key`, which it is near."""

    collection: str
    answer_key: str
    text_key: str
    text: str
    origin: str
    since: str


Item = Asked | Wording


def answer_name(asked: Asked) -> str | None:
    """Return what the questions that want one answer share, or None where a question names no answer."""
    if isinstance(asked, CuratedPair):
        if not asked.documents and normalise(asked.answer) in _YES_OR_NO:
            return None
        until = asked.metadata.get(VALID_UNTIL, [])
        return stable_hash("curated", asked.collection, asked.filters, asked.answer, asked.documents, until)
    name = normalise(asked.answer_name)  # "Returns" and "returns"
    return (
        stable_hash("named", asked.collection, asked.filters, name or asked.answer_name) if asked.answer_name else None
    )


def of_one_answer(
    asked: Iterable[Asked], longest: int = LONGEST_QUESTION
) -> tuple[list[Asked], list[Wording], list[Reject]]:
    """Return the primary question of those that want one answer and its repetitions, their further wordings, rejects.

    The first of them, by file and line, is the primary one; it has what it lacks itself from the others.
    """
    first, *others = sorted(asked, key=lambda each: _place(each.detail))
    repeated = [each for each in others if each.query_key == first.query_key]
    others = [each for each in others if each.query_key != first.query_key]
    primary = completed(first, others)
    wordings = [_wording(primary, each.question, each) for each in others]
    rejects: list[Reject] = []
    for each in (first, *others, *repeated):
        for text in each.variants:
            try:
                wordings.append(_wording(primary, tidy_question(text, longest), each))
            except QuestionError as error:
                rejects.append(Reject(f"{each.detail}, variant {text[:80]!r}", str(error)))
    return [primary, *repeated], [each for each in wordings if each.query_key != primary.query_key], rejects


def _wording(primary: Asked, text: str, of: Asked) -> Wording:
    key = query_key(primary.collection, text, primary.filters)
    return Wording(
        primary.collection, key, primary.query_key, text, primary.question, of.origin, of.detail,
        of.owner or primary.owner, filters=primary.filters,
    )  # fmt: skip


def ruled(ruling: Ruling, about: Sequence[Item]) -> Wording | Fence | None:
    """Return the wording or fence that a ruling makes, given what has the key that it names as its answer.

    None if there is no such answer any more, or if the text is that of the answer itself.
    """
    question = next((each for each in about if not isinstance(each, Wording)), None)
    wording = next((each for each in about if isinstance(each, Wording)), None)
    if question is not None:
        answer_key, primary, filters = question.query_key, question.question, question.filters
    elif wording is not None:
        answer_key, primary, filters = wording.answer_key, wording.primary, wording.filters
    else:
        return None
    key = query_key(ruling.collection, ruling.text, filters)
    if key == answer_key:
        return None
    if ruling.verdict == "fence":
        return Fence(ruling.collection, answer_key, key, ruling.text, ruling.origin, ruling.since)
    return Wording(
        ruling.collection, key, answer_key, ruling.text, primary, ruling.origin, "the log of wordings",
        ruling.approved_by, ruling.since, filters, ruling.person,
    )  # fmt: skip


def keep_first(items: Iterable[Item]) -> tuple[Item, list[Reject]]:
    """Return which of several items with one key is kept, and rejects for what the team would miss.

    Of a curated pair that is over and the one that follows it the latter is.
    """
    kept, *others = sorted(items, key=lambda each: (_rank(each), is_over(each), _place(each.detail)))
    if not isinstance(kept, Wording):
        kept = completed(kept, (each for each in others if not isinstance(each, Wording)))
    return kept, list(_rejected(kept, others))


def is_over(item: Item) -> bool:
    """Whether it is a curated pair that is no longer valid."""
    return isinstance(item, CuratedPair) and has_expired(item.metadata)


def answered_anew(pair: CuratedPair) -> str:
    """Return what becomes of a pair that is over where there is a language model."""
    return f"{pair.detail}: its {VALID_UNTIL} is over, so the language model answers the question instead"


def unanswered(asked: Asked) -> str:
    """Return why a question is left out where there is no language model to answer it."""
    lacks = f"its {VALID_UNTIL} is over" if isinstance(asked, CuratedPair) else "it has no curated answer"
    return f'{asked.detail}: {lacks}, and [llm] mode = "none" says that there is no language model to write one'


def _rejected(kept: Item, others: Sequence[Item]) -> Iterator[Reject]:
    """Yield why items of the team are not kept; those of other origins repeat by nature."""
    for each in others:
        if each.origin not in _TEAM:
            continue
        if isinstance(each, Wording):
            own = kept.answer_key if isinstance(kept, Wording) else kept.query_key
            if own != each.answer_key:
                what = "a wording of another answer" if isinstance(kept, Wording) else "a question of its own"
                reason = f"{each.detail}: is {what} ({kept.detail}), so it is no wording of {each.primary!r}"
                yield Reject(each.question, reason)
        elif not isinstance(kept, Wording):  # else a person joined the two
            differs = isinstance(each, CuratedPair) and isinstance(kept, CuratedPair) and each.answer != kept.answer
            what = "that one's other answer was kept" if differs else "it was kept once"
            yield Reject(each.question, f"{each.detail}: asks the same as {kept.detail}; {what}")


def _rank(item: Item) -> int:
    if not isinstance(item, Wording):
        return _PRECEDENCE[item.origin]
    if item.by_person:
        return _OF_A_PERSON
    return _OF_THE_TEAM if item.origin in _TEAM else _OF_A_JUDGE


def _place(detail: str) -> list[tuple[int, str]]:
    """Return a key that sorts places as people count: line 9 before line 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _NUMBERS.split(detail)]


def wording_row(wording: Wording) -> AnswerWordingRow:
    """Return a wording's row of the wordings table; one of a file counts as known since now."""
    return {
        "collection": wording.collection,
        "query_key": wording.answer_key,
        "wording_key": wording.query_key,
        "wording": wording.question,
        "origin": wording.origin,
        "approved_by": wording.approved_by,
        "since": _time(wording.since) or datetime.now(UTC),
    }


def fence_row(fence: Fence) -> FenceRow:
    """Return a fence's row of the fences table."""
    return {
        "collection": fence.collection,
        "query_key": fence.answer_key,
        "text_key": fence.text_key,
        "text": fence.text,
        "origin": fence.origin,
        "since": _time(fence.since),
    }


def _time(text: str) -> datetime | None:
    """Return a time as logs write it, or None where it isn't one."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
