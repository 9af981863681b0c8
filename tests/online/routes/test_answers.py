"""The answers route: exact hits, live answers, and what both say about themselves."""

from __future__ import annotations

import httpx
import pytest

from tests.fake_llm import FakeLlm
from tests.online.conftest import LIBRARY, Library, Serve
from tests.waiting import until


def ask(client: httpx.Client, question: str, **fields: object) -> httpx.Response:
    return client.post("/v1/answers", json={"question": question, **fields})


@pytest.mark.parametrize(
    "typed", ["When does the library open?", "  WHEN does the\tlibrary open ", "when does the library open!"]
)
def test_an_anticipated_question_is_an_exact_hit_however_it_is_typed(
    client: httpx.Client, llm: FakeLlm, typed: str
) -> None:
    response = ask(client, typed)
    body = response.json()
    assert response.status_code == 200
    assert body["source"] == "exact"
    assert body["answer"] == "The library opens at nine in the morning [1]."
    assert body["confidence"] == 1
    assert body["citations"][0]["passage"] == LIBRARY.documents["hours"]
    assert llm.requests == []


def test_an_exact_hit_says_where_it_came_from_in_its_headers(client: httpx.Client) -> None:
    response = ask(client, "How do I renew a loan?")
    body = response.json()
    assert response.headers["cache-status"] == "beforehand; hit; detail=exact"
    assert int(response.headers["age"]) == pytest.approx(body["age_seconds"], abs=1)
    assert 3600 <= body["age_seconds"] < 3 * 3600  # generated an hour before the tests began
    assert response.headers["etag"] == f'"{body["fingerprint"]}"'
    assert response.headers["x-request-id"] == body["id"]


def test_a_new_question_is_answered_live_with_its_sources(client: httpx.Client, llm: FakeLlm) -> None:
    response = ask(client, "Can the morning desk renew my lost card?")
    body = response.json()
    assert response.status_code == 200
    assert body["source"] == "live"
    assert body["answer"] == llm.behaviour.text
    assert {each["kind"] for each in body["citations"]} == {"cited"}
    assert body["model"] == "fake-model"
    assert body["finish_reason"] == "stop"
    assert 0 < body["support"] <= 1
    assert body["timings"]["llm_ms"] > 0
    assert response.headers["cache-status"] == "beforehand; fwd=miss"


def test_a_live_question_is_searched_for_in_the_models_words_too(library: Library, serve: Serve, llm: FakeLlm) -> None:
    library.publish(library=LIBRARY)
    client = serve(rewrite_queries=True)
    llm.behaviour.text = "opening hours of the library"

    body = ask(client, "Can I come round before work?", explain=True).json()

    rewriting, answering = llm.requests
    assert rewriting["messages"][-1]["content"].startswith("Question: Can I come round before work?")
    assert body["explanation"]["rewritten"] == "opening hours of the library"
    assert LIBRARY.documents["hours"] in answering["messages"][-1]["content"]
    assert "Can I come round before work?" in answering["messages"][-1]["content"]


def test_a_live_answer_is_never_served_to_the_next_caller(client: httpx.Client, llm: FakeLlm) -> None:
    for _ in range(2):
        assert ask(client, "Is there a place to park?").json()["source"] == "live"
    assert len(llm.requests) == 2


def test_a_service_without_a_release_is_alive_but_not_ready(serve: Serve) -> None:
    client = serve()
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    assert ask(client, "Anything?").json()["type"] == "urn:beforehand:problem:no-release"


def test_the_first_release_is_served_without_a_restart(library: Library, serve: Serve) -> None:
    client = serve()
    library.publish(library=LIBRARY)
    until("it is ready", lambda: client.get("/readyz").is_success)
    assert ask(client, "When does the library open?").json()["source"] == "exact"
