"""Lookups: an answer that lies ready or a clear no, and the language model is never asked."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx
import openai
import pytest

from online.app import create_app
from online.model.no_model import NoModel
from online.settings import ServiceSettings
from rag.collection_settings import CollectionSettings
from rag.identity import query_key
from rag.llm.openai_client import OpenAIEndpoint
from tests.fake_llm import MODEL, FakeLlm, served
from tests.online.conftest import LIBRARY, Corpus, Library, Serve, recorded
from tests.waiting import PATIENCE, until
from warehouse.editorial.decisions import Decision, append_decisions

OPEN = "When does the library open?"
ANSWER = LIBRARY.answers[OPEN][0]
REWORDED = "When does the library open please?"
MISS = "When does the library close?"
ONLY_READY = {"Cache-Control": "only-if-cached"}


def test_a_service_without_a_language_model_says_so_and_is_asked_only_once(library: Library, published: Path) -> None:
    shutil.copytree(published, library.data)
    collections = {"library": CollectionSettings(documents=[])}
    app = create_app(ServiceSettings(comparison_share=0), library.data, collections, NoModel())
    with served(app) as url, httpx.Client(base_url=url, timeout=PATIENCE) as client:
        hit = client.post("/v1/answers", json={"question": REWORDED})
        missed = client.post("/v1/answers", json={"question": MISS})
        pirate = [{"role": "system", "content": "Speak like a pirate."}, {"role": "user", "content": OPEN}]
        bypassed = [
            client.post("/v1/chat/completions", json={"model": "m", "messages": pirate, "stream": stream})
            for stream in (False, True)
        ]
        page, ready = client.get("/").text, client.get("/readyz").json()
        with openai.OpenAI(base_url=f"{url}/v1", api_key="-", max_retries=5) as official:
            chat = official.chat.completions
            with pytest.raises(openai.NotFoundError, match="this service has no language model") as error:
                chat.create(model="beforehand", messages=[{"role": "user", "content": MISS}])
            names = [each.id for each in official.models.list()]

    assert (hit.json()["source"], hit.json()["answer"]) == ("semantic", ANSWER)
    assert (missed.status_code, missed.json()["type"]) == (404, "urn:beforehand:problem:no-answer")
    assert missed.json()["suggestions"][0]["question"] == OPEN
    assert error.value.code == "no_answer"
    assert [(each.status_code, each.json()["error"]["code"]) for each in bypassed] == [(404, "no_answer")] * 2
    assert "out of reach" not in page and "written for you" not in page
    assert ready["language_model"] == "none"
    assert names == ["beforehand/library"]


def look(client: httpx.Client, **body: object) -> httpx.Response:
    return client.post("/v1/lookup", json=body)


def test_an_answer_or_a_clear_no_without_a_language_model(library: Library, published: Path) -> None:
    shutil.copytree(published, library.data)
    endpoint = OpenAIEndpoint("http://127.0.0.1:9/v1", MODEL)  # nobody listens there
    collections = {"library": CollectionSettings(documents=[])}
    app = create_app(ServiceSettings(comparison_share=0), library.data, collections, endpoint, on_stop=endpoint.aclose)
    with served(app) as url, httpx.Client(base_url=url, timeout=PATIENCE) as client:
        exact, semantic, missed = (look(client, question=each) for each in (OPEN, REWORDED, MISS))
    assert (exact.json()["source"], exact.json()["answer"]) == ("exact", ANSWER)
    assert (semantic.json()["source"], semantic.json()["matched_question"]) == ("semantic", OPEN)
    assert semantic.headers["cache-status"] == "beforehand; hit; detail=semantic"
    assert missed.status_code == 404
    problem = missed.json()
    assert missed.headers["content-type"] == "application/problem+json"
    assert problem["type"] == "urn:beforehand:problem:no-answer"
    assert problem["candidates"][0]["question"] == OPEN
    assert problem["candidates"][0]["similarity"] > 0.5
    assert problem["candidates"][0]["score"] == 0.0
    assert problem["reason"]


def test_only_if_cached_gets_what_lies_ready_or_504(
    client: httpx.Client, official: openai.OpenAI, llm: FakeLlm
) -> None:
    asked = client.post("/v1/answers", json={"question": REWORDED}, headers=ONLY_READY)
    missed = client.post("/v1/answers", json={"question": MISS}, headers=ONLY_READY | {"Prefer": "respond-async"})
    assert (asked.status_code, asked.json()["answer"]) == (200, ANSWER)
    assert (missed.status_code, missed.headers["x-should-retry"]) == (504, "false")
    assert missed.json()["candidates"][0]["question"] == OPEN

    def chat(*messages: dict[str, str], **more: object) -> httpx.Response:
        body = {"model": "m", "messages": messages, **more}
        return client.post("/v1/chat/completions", json=body, headers=ONLY_READY)

    user = {"role": "user", "content": OPEN}
    assert chat(user).json()["choices"][0]["message"]["content"] == ANSWER
    assert chat(user, stream=True).text.endswith("data: [DONE]\n\n")
    refused = [
        chat({"role": "user", "content": MISS}),
        chat({"role": "system", "content": "Speak like a pirate."}, user),
        chat(user, max_tokens=2),
        chat(user, n=2),
    ]
    assert [each.status_code for each in refused] == [504] * 4
    assert refused[0].json()["error"]["candidates"][0]["question"] == OPEN
    with pytest.raises(openai.InternalServerError, match="No prepared answer"):
        official.chat.completions.create(
            model="m", messages=[{"role": "user", "content": MISS}], extra_headers=ONLY_READY
        )
    assert llm.requests == []


def test_a_batch_has_a_row_for_each_question_in_their_order(client: httpx.Client, llm: FakeLlm) -> None:
    questions = [OPEN, MISS, "?!", REWORDED, *(f"Where do {number} trees park?" for number in range(96))] * 10
    response = look(client, questions=questions)
    rows = response.json()["results"]
    assert response.status_code == 200
    assert [each["question"] for each in rows] == questions
    first = rows[:4]
    assert [each["found"] for each in first] == [True, False, False, True]
    assert first[0]["answer"]["answer"] == first[3]["answer"]["answer"] == ANSWER
    assert first[3]["answer"]["source"] == "semantic"
    assert first[1]["candidates"][0]["question"] == OPEN
    assert first[2]["reason"] == "empty"
    assert len({each["answer"]["id"] for each in rows if each["found"]}) == 20
    assert llm.requests == []


def test_a_request_may_only_be_stricter_than_its_collection(client: httpx.Client) -> None:
    assert look(client, question=REWORDED, tolerated_error=0.01, threshold=1).status_code == 200
    assert look(client, question=REWORDED, tolerated_error=0).status_code == 404
    laxer = look(client, question=REWORDED, tolerated_error=0.02)
    assert (laxer.status_code, laxer.json()["detail"]) == (
        422,
        "tolerated_error may be at most 0.01, as the collection has it.",
    )


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"question": OPEN, "questions": [OPEN]},
        {"questions": []},
        {"questions": [OPEN] * 1001},
        {"questions": [1]},
        {"question": "?!"},
        {"question": OPEN, "threshold": 1.5},
        {"question": OPEN, "k": 1},
    ],
)
def test_a_body_that_asks_nothing_sensible_is_refused(client: httpx.Client, body: dict[str, object]) -> None:
    assert look(client, **body).status_code == 422


def test_what_visitors_typed_is_no_candidate_and_what_a_person_rejected_no_answer(
    library: Library, serve: Serve, llm: FakeLlm
) -> None:
    typed = "When does the library open, asks Jane Doe?"
    corpus = Corpus(LIBRARY.documents, {**LIBRARY.answers, typed: (ANSWER, "hours")}, visitors=frozenset({typed}))
    library.publish(library=corpus)
    client = serve()
    own = look(client, question=typed.upper()).json()
    assert (own["answer"], own["question"]) == (ANSWER, typed.upper())
    assert "Jane" not in look(client, question="When does Jane Doe open?").text
    append_decisions(library.data, [Decision("library", query_key("library", OPEN), "any", "reject", "Ada")])
    until("the rejection is followed", lambda: look(client, question=OPEN).status_code != 200)
    refused = [look(client, question=OPEN), look(client, question=REWORDED)]
    assert [(each.status_code, each.json()["reason"]) for each in refused] == [(404, "rejected")] * 2
    row = look(client, questions=[OPEN]).json()["results"][0]
    assert row == {"question": OPEN, "found": False, "reason": "rejected", "candidates": []}
    assert llm.requests == []


def test_what_is_looked_up_in_vain_may_be_anticipated(client: httpx.Client, library: Library) -> None:
    look(client, question=MISS)
    look(client, questions=[OPEN, MISS])
    records = recorded(library.data, 3)
    assert [(each["question"], each["source"], each["status"]) for each in records] == [
        (MISS, "refused", 404), (OPEN, "exact", 200), (MISS, "refused", 404),
    ]  # fmt: skip
    assert records[0]["matched_key"] == query_key("library", OPEN)
