"""Exams of the judge: cases of a collection whose right verdict is known without a person.

An answer fits the question that it was prepared for. It does not fit the two nearest questions that other answers were
prepared for, nor a question about another subject. The questions are the team's own, as far as there are any: visitors
ask one thing in many ways, and each cluster of them that was not joined has an answer of its own. Nor is anything asked
about two answers that say the same or share a passage, since either may answer the other's question.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from batch.retrieval.foreign_questions import foreign_questions
from batch.wordings.cases import Case, Exam
from rag.identity import stable_hash
from rag.prompting.citations import bare_words

if TYPE_CHECKING:
    from batch.wordings.nearest_answers import Near
    from batch.wordings.prepared_answers import PreparedAnswer

_ANSWERS = 20  # of a place
_FEWEST = 5  # of the team; with fewer, questions of visitors and of the corpus are in the exam too
_TEAM = frozenset(("list", "curated", "golden"))
_FOREIGN = 10
_OTHERS = 2  # of each answer: of half as many, a judge who errs in 3 of 100 cases would fail one exam in twenty


def examined(answers: Sequence[PreparedAnswer]) -> list[PreparedAnswer]:
    """Return the answers of a place that an exam is about: chosen by their keys, so that they are the same again."""
    chosen = _of_the_team(answers) or answers
    return sorted(chosen, key=lambda each: stable_hash("exam", each.query_key))[:_ANSWERS]


def _of_the_team(answers: Sequence[PreparedAnswer]) -> list[PreparedAnswer]:
    """Return the answers to the team's own questions, none if they are too few for an exam."""
    found = [each for each in answers if each.origin in _TEAM]
    return found if len(found) >= _FEWEST else []


def exam_of(chosen: Sequence[PreparedAnswer], near: Sequence[Sequence[Near]]) -> Exam:
    """Return the exam about n answers, given what is near the question of each."""
    fitting = tuple(Case(each.question, each) for each in chosen)
    of_the_team = bool(_of_the_team(chosen))
    others = (
        other for answer, found in zip(chosen, near, strict=True) for other in _others(answer, found, of_the_team)
    )
    foreign = (Case(text, chosen[number % len(chosen)]) for number, text in enumerate(foreign_questions()[:_FOREIGN]))
    return Exam(fitting, (*others, *foreign)) if chosen else Exam((), ())


def _others(answer: PreparedAnswer, near: Sequence[Near], of_the_team: bool) -> list[Case]:
    """Return the nearest questions of other answers that surely do not fit it."""
    others = (each.answer for each in near if each.answer.origin in _TEAM or not of_the_team)
    return [Case(other.question, answer) for other in others if not _may_fit(other, answer)][:_OTHERS]


def _may_fit(one: PreparedAnswer, other: PreparedAnswer) -> bool:
    """Whether two answers are the same, say the same but for their references, or share a passage."""
    same = one is other or bare_words(one.answer) == bare_words(other.answer)
    return same or not set(one.passages).isdisjoint(other.passages)
