"""Exams of the judge: cases of a collection whose right verdict is known without a person.

An answer fits the question that it was prepared for. It does not fit the nearest question that another answer was
prepared for, nor a question about another subject.
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
_FOREIGN = 10


def examined(answers: Sequence[PreparedAnswer]) -> list[PreparedAnswer]:
    """Return the answers of a place that an exam is about: chosen by their keys, so that they are the same again."""
    return sorted(answers, key=lambda each: stable_hash("exam", each.query_key))[:_ANSWERS]


def exam_of(chosen: Sequence[PreparedAnswer], near: Sequence[Sequence[Near]]) -> Exam:
    """Return the exam about n answers, given what is near the question of each."""
    fitting = tuple(Case(each.question, each) for each in chosen)
    others = (_other(answer, found) for answer, found in zip(chosen, near, strict=True))
    foreign = (Case(text, chosen[number % len(chosen)]) for number, text in enumerate(foreign_questions()[:_FOREIGN]))
    return Exam(fitting, (*(each for each in others if each is not None), *foreign)) if chosen else Exam((), ())


def _other(answer: PreparedAnswer, near: Sequence[Near]) -> Case | None:
    """Return the nearest question of another answer beside this answer, unless both say the same, references aside."""
    for each in near:
        if each.answer is not answer and bare_words(each.answer.answer) != bare_words(answer.answer):
            return Case(each.answer.question, answer)
    return None
