"""A night's loop: what visitors asked in vain is another wording of a prepared answer the next day."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rag.identity import query_key
from tests.batch.stages.wordings_project import ask, judging_reply
from tests.corpus_project import Project, ReadingLlm
from tests.fake_llm import served
from warehouse.analysis.connection import connect
from warehouse.editorial.wordings import standing_rulings

WARRANTY = "How long does the warranty last?"
MISSED = "how many years of warranty do i get?"
ASTRAY = "how many spare parts do i get with it?"


class ReadingJudge(ReadingLlm):
    """Answers from its first passage, and judges: what asks for the warranty's years fits the answer about it."""

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        answer = super()._answer(body)
        return judging_reply(
            answer, body, lambda prepared, asked: prepared == asked or (prepared, asked) == (WARRANTY, MISSED)
        )


@pytest.fixture
def judge() -> Iterator[ReadingJudge]:
    model = ReadingJudge()
    with served(model.app) as model.url:
        yield model


def test_a_miss_becomes_a_wording_of_the_answer_that_fits_it_and_is_not_generated(
    project: Project, judge: ReadingJudge
) -> None:
    project.sets["batch.endpoints"] = f'["{judge.url}/v1"]'
    ask(project, MISSED)
    ask(project, ASTRAY)

    ledger = project.build().ledger

    (wording,) = [each for each in standing_rulings(project.data) if each.verdict == "wording"]
    assert (wording.query_key, wording.text, wording.origin) == (query_key("default", WARRANTY), MISSED, "journal")
    assert (ledger.figure("join", "clusters"), ledger.figure("join", "wordings")) == (2, 1)
    assert judge.asked() == [ASTRAY], "the wording has an answer already"
    origins = dict(project.query("SELECT question, origin FROM questions WHERE origin = 'journal'"))
    assert origins == {ASTRAY: "journal"}
    with connect(project.data) as session:
        told = session.execute("SELECT text FROM rulings WHERE verdict = 'wording'").fetchall()
    assert told == [(MISSED,)]
