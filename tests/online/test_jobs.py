"""Asynchronous questions: 202, then poll."""

from __future__ import annotations

import threading

import httpx
import pytest

from tests.fake_llm import FakeLlm
from tests.online.conftest import LIBRARY, Library, Serve

LATER = {"Prefer": "respond-async"}
NEW = {"question": "Where can people park their cars?"}


def poll(client: httpx.Client, location: str) -> httpx.Response:
    while (response := client.get(location)).status_code == 202:
        pass
    return response


def test_a_miss_is_answered_later(client: httpx.Client, llm: FakeLlm) -> None:
    accepted = client.post("/v1/answers", json=NEW, headers=LATER)
    assert accepted.status_code == 202
    assert accepted.headers["preference-applied"] == "respond-async"
    assert accepted.json()["location"] == accepted.headers["location"]
    answer = poll(client, accepted.headers["location"])
    assert answer.json()["source"] == "live"
    assert answer.json()["answer"] == llm.behaviour.text


def test_an_anticipated_question_is_answered_at_once_all_the_same(client: httpx.Client) -> None:
    response = client.post("/v1/answers", json={"question": "When does the library open?"}, headers=LATER)
    assert response.status_code == 200


def test_with_a_wait_a_quick_answer_comes_at_once(client: httpx.Client) -> None:
    response = client.post("/v1/answers", json=NEW, headers={"Prefer": "respond-async, wait=20"})
    assert response.status_code == 200
    assert response.json()["source"] == "live"


def test_an_answer_that_is_known_is_not_sent_again(client: httpx.Client) -> None:
    location = client.post("/v1/answers", json=NEW, headers=LATER).headers["location"]
    tag = poll(client, location).headers["etag"]
    again = client.get(location, headers={"If-None-Match": tag})
    assert again.status_code == 304
    assert again.content == b""


def test_an_unknown_id_is_not_found(client: httpx.Client) -> None:
    assert client.get("/v1/answers/nothing").status_code == 404


def test_a_job_outlasts_an_outage_of_the_model(client: httpx.Client, llm: FakeLlm) -> None:
    llm.behaviour.fail_with = 503
    location = client.post("/v1/answers", json=NEW, headers=LATER).headers["location"]
    while not llm.requests:
        pass
    llm.behaviour.fail_with = None
    assert poll(client, location).json()["source"] == "live"


def test_jobs_survive_a_restart(library: Library, serve: Serve, llm: FakeLlm) -> None:
    library.publish(library=LIBRARY)
    llm.behaviour.gate = threading.Event()
    with serve.stopping() as first:
        location = first.post("/v1/answers", json=NEW, headers=LATER).headers["location"]
        while not llm.running:
            pass
    llm.behaviour.gate.set()
    assert poll(serve(), location).json()["source"] == "live"


def test_too_many_jobs_are_refused(library: Library, serve: Serve, llm: FakeLlm) -> None:
    library.publish(library=LIBRARY)
    llm.behaviour.gate = threading.Event()
    client = serve(job_limit=1)
    assert client.post("/v1/answers", json=NEW, headers=LATER).status_code == 202
    refused = client.post("/v1/answers", json={"question": "And bicycles?"}, headers=LATER)
    llm.behaviour.gate.set()
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0


def test_another_key_can_not_fetch_the_answer(
    library: Library, serve: Serve, keys: dict[str, dict[str, object]]
) -> None:
    library.publish(library=LIBRARY)
    client = serve(keys=keys)
    ours, theirs = {"Authorization": "Bearer reader"}, {"Authorization": "Bearer other"}
    location = client.post("/v1/answers", json=NEW, headers=LATER | ours).headers["location"]
    assert client.get(location, headers=theirs).status_code == 404
    assert client.get(location, headers=ours).status_code in {200, 202}


@pytest.mark.parametrize("question", ["", "?!", " "])
def test_a_question_without_words_is_refused(client: httpx.Client, question: str) -> None:
    assert client.post("/v1/answers", json={"question": question}).status_code == 422
