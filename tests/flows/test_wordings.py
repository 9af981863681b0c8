"""A night's loop: what visitors asked in vain is another wording of a prepared answer the next day."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from online.app import create_app
from online.server import endpoint
from online.settings import KeySettings
from rag.identity import query_key
from rag.settings import LlmSettings
from tests.batch.stages.wordings_project import judging_reply
from tests.corpus_project import Project, ReadingLlm
from tests.fake_llm import MODEL, served
from warehouse.analysis.connection import connect
from warehouse.editorial.wordings import standing_rulings
from warehouse.history.compaction import compact
from warehouse.settings import HistorySettings

WARRANTY = "How long does the warranty last?"
MISSED, ALIKE = "how many years of warranty do i get?", "how many years of warranty are there?"
ASTRAY = "how many spare parts do i get with it?"
PERSONAL, SELDOM = "is the warranty of ada@example.org over?", "does it whistle when it is done?"
VISITORS = ("ada", "ben", "cleo")


class ReadingJudge(ReadingLlm):
    """Answers from its first passage, and judges: what asks for the warranty's years fits the answer about it."""

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        answer = super()._answer(body)
        fitting = {(WARRANTY, MISSED), (WARRANTY, ALIKE)}
        return judging_reply(answer, body, lambda prepared, asked: prepared == asked or (prepared, asked) in fitting)


@pytest.fixture
def judge() -> Iterator[ReadingJudge]:
    model = ReadingJudge()
    with served(model.app) as model.url:
        yield model


def one_day(project: Project, judge: ReadingJudge, *asked: tuple[str, str]) -> list[str]:
    """Let visitors ask the service over HTTP; return where each answer came from."""
    settings = project.settings()
    keys = {
        each: KeySettings.model_validate({"hash": f"sha256:{hashlib.sha256(each.encode()).hexdigest()}"})
        for each in VISITORS
    }
    llm = endpoint(LlmSettings.model_validate({"endpoint": f"{judge.url}/v1", "model": MODEL}), 4, None)
    service = settings.service.model_copy(update={"keys": keys, "comparison_share": 0})
    app = create_app(
        service, project.data, settings.collections, llm, settings.sampling, settings.retrieval, on_stop=llm.aclose
    )
    with served(app) as url, httpx.Client(base_url=url, timeout=120) as client:
        replies = [
            client.post("/v1/answers", json={"question": question}, headers={"authorization": f"Bearer {visitor}"})
            for visitor, question in asked
        ]
    return [str(each.json()["source"]) for each in replies]


def test_what_visitors_ask_in_vain_is_prepared_the_next_day(project: Project, judge: ReadingJudge) -> None:
    project.sets["batch.endpoints"] = f'["{judge.url}/v1"]'
    by_all = [(visitor, question) for question in (MISSED, ASTRAY, PERSONAL) for visitor in VISITORS]
    asked = [*by_all, ("ada", ALIKE), ("ben", ALIKE), ("ada", SELDOM), ("ada", SELDOM)]
    assert set(one_day(project, judge, *asked)) == {"live"}
    judge.requests.clear()

    ledger = project.build().ledger

    wordings = [each for each in standing_rulings(project.data) if each.verdict == "wording"]
    assert {(each.query_key, each.origin) for each in wordings} == {(query_key("default", WARRANTY), "journal")}
    assert {each.text for each in wordings} == {MISSED, ALIKE}, "two visitors alone asked the other phrasing"
    assert (ledger.figure("join", "clusters"), ledger.figure("join", "personal")) == (2, 1)
    assert judge.asked() == [ASTRAY], "the wordings have an answer already"
    origins = dict(project.query("SELECT question, origin FROM questions WHERE origin = 'journal'"))
    assert origins == {ASTRAY: "journal"}
    with connect(project.data) as session:
        told = session.execute("SELECT text FROM rulings WHERE verdict = 'wording'").fetchall()
    assert sorted(told) == [(ALIKE,), (MISSED,)]

    assert one_day(project, judge, *asked) == ["exact"] * 6 + ["live"] * 3 + ["exact"] * 2 + ["live"] * 2
    compact(project.data, HistorySettings())
    with connect(project.data) as session:
        counted = session.execute(
            "SELECT question, count(*) FROM requests WHERE source = 'exact' GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    assert counted == [(ASTRAY, 3), (ALIKE, 2), (MISSED, 3)]
