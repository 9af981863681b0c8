"""Exams of the judge: the nearest question of another answer is none if that answer says the same."""

from __future__ import annotations

from batch.wordings.exams import exam_of
from batch.wordings.nearest_answers import Near
from batch.wordings.prepared_answers import PreparedAnswer


def prepared(question: str, answer: str) -> PreparedAnswer:
    return PreparedAnswer("default", question, question, answer, "f", (), (), (question,))


CARD = prepared("How do I get a card?", "Open the page cards [1].")
AGAIN = prepared("Where do I order a card?", "Open the page Cards [2]")
LOAN = prepared("How do I get a loan?", "Open the page loans [1].")


def unfitting(*near: PreparedAnswer) -> list[str]:
    """The questions that the exam takes for ones that want another answer, but for those about other subjects."""
    exam = exam_of([CARD], [[Near(each, each.question, 0.9) for each in near]])
    return [case.text for case in exam.unfitting if "card" in case.text or "loan" in case.text]


def test_a_question_whose_answer_says_the_same_is_no_other_question() -> None:
    assert unfitting(CARD, AGAIN, LOAN) == [LOAN.question]


def test_where_all_that_is_near_says_the_same_nothing_is_asked_of_it() -> None:
    assert unfitting(CARD, AGAIN) == []
