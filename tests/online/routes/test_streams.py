"""Server-sent events of the answers route."""

from __future__ import annotations

import json
import threading
from typing import Any

import httpx
import pytest

from tests.fake_llm import FakeLlm
from tests.online.conftest import LIBRARY
from tests.waiting import until

OPEN = "When does the library open?"
NEW = "Where can people park their cars?"

Event = tuple[str, dict[str, Any]]


def events(text: str) -> list[Event]:
    found = []
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def stream(client: httpx.Client, question: str, **headers: str) -> tuple[httpx.Response, list[Event]]:
    response = client.post("/v1/answers", json={"question": question, "stream": True}, headers=headers)
    return response, events(response.text)


@pytest.mark.parametrize("question", [OPEN, f"Please, {OPEN}", NEW])
def test_every_source_streams_in_the_same_shape(client: httpx.Client, question: str) -> None:
    whole = client.post("/v1/answers", json={"question": question}).json()
    response, found = stream(client, question)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-status"]
    assert response.headers["etag"] == f'"{whole["fingerprint"]}"'
    assert found[0][0] == "start"
    assert found[-1][0] == "answer"
    assert found[0][1]["id"] == response.headers["x-request-id"]
    assert found[0][1]["source"] == whole["source"]
    text = "".join(data["text"] for name, data in found if name == "delta")
    assert text == found[-1][1]["answer"] == whole["answer"]
    assert found[-1][1]["citations"] == whole["citations"]


def test_a_live_answer_comes_piece_by_piece(client: httpx.Client) -> None:
    _, found = stream(client, NEW)
    assert sum(name == "delta" for name, _ in found) > 3


def test_a_reference_to_a_passage_that_was_not_there_is_never_shown(client: httpx.Client, llm: FakeLlm) -> None:
    llm.behaviour.text = "Nine [1], says the sign [42]. Or ten [7, 1]."
    _, found = stream(client, NEW)
    shown = "".join(data["text"] for name, data in found if name == "delta")
    assert shown == "Nine [1], says the sign. Or ten [1]."
    assert "beforehand_invalid_citations_total 2.0" in client.get("/metrics").text


def test_a_stream_that_breaks_off_ends_with_a_problem(client: httpx.Client, llm: FakeLlm) -> None:
    llm.behaviour.break_stream_after = 3
    response, found = stream(client, NEW)
    assert response.status_code == 200
    name, problem = found[-1]
    assert name == "problem"
    assert problem["type"] == "urn:beforehand:problem:llm-down"
    assert problem["request_id"] == response.headers["x-request-id"]


def test_a_failure_before_the_first_word_is_an_ordinary_problem(client: httpx.Client, llm: FakeLlm) -> None:
    llm.behaviour.gate = threading.Event()
    llm.behaviour.gate.set()
    response = client.post("/v1/answers", json={"question": "", "stream": True})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"


def test_a_disconnect_in_the_middle_frees_the_place_at_the_model(client: httpx.Client, llm: FakeLlm) -> None:
    llm.behaviour.text = "word " * 2000
    llm.behaviour.seconds = 60.0
    admission = client.app.state.service.model.admission
    with client.stream("POST", "/v1/answers", json={"question": NEW, "stream": True}) as response:
        pieces = response.iter_bytes()  # kept: to drop it would close the stream
        next(pieces)
        until("the model was asked", lambda: llm.running)  # the first event comes before the model is asked
        assert admission.running == 1
    until("the place is free", lambda: not (admission.running or llm.running))
    assert llm.finished == 0
    assert client.post("/v1/answers", json={"question": OPEN}).status_code == 200


def test_no_cache_answers_an_anticipated_question_live(client: httpx.Client, llm: FakeLlm) -> None:
    response, found = stream(client, OPEN, **{"Cache-Control": "no-cache"})
    assert response.headers["cache-status"] == "beforehand; fwd=bypass"
    assert found[-1][1]["answer"] == llm.behaviour.text != LIBRARY.answers[OPEN][0]
