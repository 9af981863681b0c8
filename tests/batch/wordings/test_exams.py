"""Exams of the judge: which questions are asked beside an answer that they surely do not want."""

from __future__ import annotations

from dataclasses import replace

from batch.wordings.exams import exam_of, examined
from batch.wordings.nearest_answers import Near
from batch.wordings.prepared_answers import PreparedAnswer


def prepared(question: str, answer: str, *passages: str, origin: str = "list") -> PreparedAnswer:
    return PreparedAnswer("default", question, question, answer, "f", passages, (), (question,), origin)


CARD = prepared("How do I get a card?", "Open the page cards [1].", "Cards are ordered on the page cards.")
AGAIN = prepared("Where do I order a card?", "Open the page Cards [2]")
LOAN = prepared("How do I get a loan?", "Open the page loans [1].")
TEAM = tuple(prepared(f"How do I get a card of the kind {number}?", f"Number {number}.") for number in range(5))


def unfitting(chosen: PreparedAnswer, *near: PreparedAnswer) -> list[str]:
    """The questions that the exam takes for ones that want another answer, but for those about other subjects."""
    exam = exam_of([chosen], [[Near(each, each.question, 0.9) for each in near]])
    return [case.text for case in exam.unfitting if "card" in case.text or "loan" in case.text]


def test_a_question_whose_answer_says_the_same_is_no_other_question() -> None:
    assert unfitting(CARD, CARD, AGAIN, LOAN) == [LOAN.question]


def test_a_question_whose_answer_rests_on_the_same_passage_is_no_other_question() -> None:
    visitors = prepared("can I get a card", "You get a card on its page [1].", *CARD.passages, origin="journal")

    assert unfitting(CARD, CARD, visitors, LOAN) == [LOAN.question]


def test_where_all_that_is_near_says_the_same_nothing_is_asked_of_it() -> None:
    assert unfitting(CARD, CARD, AGAIN) == []


def test_what_visitors_ask_is_in_no_exam_where_the_team_has_questions_enough() -> None:
    visitors = [replace(each, query_key=f"visitors {each.question}", origin="journal") for each in TEAM]

    assert {each.origin for each in examined([*TEAM, *visitors])} == {"list"}
    assert {each.origin for each in examined([*TEAM[:2], *visitors])} == {"list", "journal"}


def test_an_exam_about_the_teams_answers_asks_the_nearest_question_of_the_team() -> None:
    asked = prepared("how do i get a loan then", "It is on its own page [1].", origin="journal")
    near = [[Near(each, each.question, 0.9) for each in (one, asked, LOAN)] for one in TEAM]

    exam = exam_of(TEAM, near)

    assert {case.text for case in exam.unfitting if "loan" in case.text} == {LOAN.question}
