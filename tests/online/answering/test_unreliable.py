"""A live answer that fails the rules of the audit is told as what it is, on every path."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from rag.collection_settings import CollectionSettings
from rag.identity import ModelIdentity, fingerprint, query_key
from rag.llm.protocol import Sampling
from rag.prompting.answer_rules import AnswerRules
from tests.fake_llm import MODEL, FakeLlm
from tests.online.conftest import LIBRARY, Library, Serve, recorded
from tests.waiting import until

NEW = "Is there a place to park?"
SENTENCE = "There is no reliable answer to this question."
GOOD = "The library opens at nine in the morning [1]."
FROM_ELSEWHERE = "Quantum processors need liquid helium cooling [1]."
UNCLOSED = "<think>They ask for parking. The library opens at nine in the morning"

FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"text": ""}, "empty"),
    ({"text": "…"}, "empty"),
    ({"text": "", "extra_message": {"reasoning_content": "Hm."}}, "empty"),
    ({"text": UNCLOSED}, "empty"),
    ({"text": "", "finish_reason": "tool_calls"}, "tool_call"),
    ({"text": '<tool_call>{"name": "search", "arguments": {}}</tool_call>'}, "tool_call"),
    ({"text": "I do not know."}, "refusal"),
    ({"text": "<think>Hm.</think>I'm sorry, the passages say nothing."}, "refusal"),
    ({"text": GOOD, "finish_reason": "length"}, "cut_off"),
    ({"text": FROM_ELSEWHERE}, "unsupported"),
]


@pytest.fixture
def client(library: Library, serve: Serve) -> httpx.Client:
    library.publish(library=LIBRARY)
    serve.rules = AnswerRules()
    return serve()


def behave(llm: FakeLlm, how: dict[str, Any]) -> None:
    for name, value in how.items():
        setattr(llm.behaviour, name, value)


def ask(client: httpx.Client, question: str = NEW) -> dict[str, Any]:
    body: dict[str, Any] = client.post("/v1/answers", json={"question": question}).json()
    return body


def events(response: httpx.Response) -> list[tuple[str, Any]]:
    blocks = [block.split("\n") for block in response.text.strip().split("\n\n")]
    return [(block[0].removeprefix("event: "), json.loads(block[1].removeprefix("data: "))) for block in blocks]


def chat(client: httpx.Client, **more: object) -> httpx.Response:
    messages = [{"role": "user", "content": NEW}]
    return client.post("/v1/chat/completions", json={"model": "beforehand", "messages": messages, **more})


@pytest.mark.parametrize(("how", "reason"), FAULTS)
def test_an_answer_that_fails_the_rules_is_no_answer(
    client: httpx.Client, llm: FakeLlm, how: dict[str, Any], reason: str
) -> None:
    behave(llm, how)

    body = ask(client)

    assert (body["source"], body["reason"], body["answer"]) == ("unreliable", reason, SENTENCE)
    assert (body["confidence"], body["citations"], body["handover"]) == (0.0, [], None)
    assert len(llm.requests) == 1


@pytest.mark.parametrize(("how", "reason"), FAULTS)
def test_its_stream_ends_with_an_event_that_says_so(
    client: httpx.Client, llm: FakeLlm, how: dict[str, Any], reason: str
) -> None:
    behave(llm, how)

    streamed = events(client.post("/v1/answers", json={"question": NEW, "stream": True}))

    assert streamed[-1][0] == "unreliable"
    assert (streamed[-1][1]["reason"], streamed[-1][1]["answer"]) == (reason, SENTENCE)
    assert "Hm" not in "".join(data["text"] for event, data in streamed if event == "delta")


def test_it_is_stored_nowhere_on_the_way(client: httpx.Client, llm: FakeLlm) -> None:
    llm.behaviour.text = FROM_ELSEWHERE

    for response in (client.post("/v1/answers", json={"question": NEW}), chat(client)):
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["cache-status"] == "beforehand; fwd=miss; detail=unreliable"
        assert "etag" not in response.headers


def test_what_the_model_thinks_is_never_shown(client: httpx.Client, llm: FakeLlm) -> None:
    llm.behaviour.text = f"<think>They ask for parking.</think>{GOOD}"

    whole = ask(client)
    streamed = events(client.post("/v1/answers", json={"question": NEW, "stream": True}))

    assert (whole["source"], whole["answer"]) == ("live", GOOD)
    assert "".join(data["text"] for event, data in streamed if event == "delta") == GOOD
    assert streamed[-1][1]["answer"] == GOOD


def test_a_thought_whose_beginning_is_not_marked_is_taken_back_at_the_end(client: httpx.Client, llm: FakeLlm) -> None:
    llm.behaviour.text = f"They ask for parking. </think> {GOOD}"

    streamed = events(client.post("/v1/answers", json={"question": NEW, "stream": True}))

    assert streamed[-1][0] == "answer"
    assert streamed[-1][1]["answer"] == GOOD


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_gets_the_reasoning_beside_the_answer(client: httpx.Client, llm: FakeLlm, *, stream: bool) -> None:
    llm.behaviour.text = f"<think>They ask for parking.</think>{GOOD}"

    said = chat(client, stream=stream).text

    assert '"reasoning_content":"They ask for parking."' in said
    assert "<think>" not in said


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("how", "reason"), FAULTS)
def test_a_chat_is_checked_before_it_is_sent(
    client: httpx.Client, llm: FakeLlm, how: dict[str, Any], reason: str, *, stream: bool
) -> None:
    behave(llm, how)

    response = chat(client, stream=stream, stream_options={"include_usage": True} if stream else None)

    assert response.status_code == 200
    assert f'"reason":"{reason}"' in response.text
    assert '"finish_reason":"content_filter"' in response.text
    assert "nine in the morning" not in response.text
    assert "helium" not in response.text


def test_the_page_says_so_without_javascript(client: httpx.Client, llm: FakeLlm) -> None:
    llm.behaviour.text = FROM_ELSEWHERE

    page = client.post("/", data={"question": NEW})

    assert page.status_code == 200
    assert SENTENCE in page.text
    assert "helium" not in page.text


def test_a_job_ends_with_it(client: httpx.Client, llm: FakeLlm) -> None:
    llm.behaviour.text = FROM_ELSEWHERE
    job = client.post("/v1/answers", json={"question": NEW}, headers={"prefer": "respond-async, wait=20"})

    assert (job.json()["source"], job.json()["reason"]) == ("unreliable", "unsupported")


def test_those_who_share_a_call_are_all_told(client: httpx.Client, llm: FakeLlm) -> None:
    llm.behaviour.text, llm.behaviour.gate = FROM_ELSEWHERE, threading.Event()
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(ask, client) for _ in range(3)]
        until("the model was asked", lambda: llm.requests)
        llm.behaviour.gate.set()

        assert {each.result()["source"] for each in waiting} == {"unreliable"}


def test_it_hands_over_where_the_team_can_be_asked(library: Library, serve: Serve, llm: FakeLlm) -> None:
    library.publish(library=LIBRARY)
    serve.rules = AnswerRules()
    desk = {"text": "Ask at the desk.", "url": "https://library.example/desk"}
    settings = {"documents": [], "handover_text": desk["text"], "handover_url": desk["url"]}
    client = serve({"library": CollectionSettings.model_validate(settings)})
    llm.behaviour.text = "I do not know."

    body = ask(client)

    assert (body["answer"], body["handover"]) == (SENTENCE, desk)
    assert desk["text"] in client.post("/", data={"question": NEW}).text


def test_it_suggests_what_is_prepared(client: httpx.Client, llm: FakeLlm) -> None:
    llm.behaviour.text = "I do not know."
    body = ask(client, "When may people, who are here, please see that the library does open?")

    assert "When does the library open?" in {each["question"] for each in body["suggestions"]}


def test_the_journal_keeps_its_text_for_the_team_under_its_own_source(
    library: Library, client: httpx.Client, llm: FakeLlm
) -> None:
    llm.behaviour.text = FROM_ELSEWHERE
    ask(client)
    records = recorded(library.data)

    assert (records[0]["source"], records[0]["refusal"], records[0]["answer"]) == (
        "unreliable",
        "unsupported",
        FROM_ELSEWHERE,
    )
    metrics = client.get("/metrics").text
    assert 'beforehand_requests_total{source="unreliable"} 1.0' in metrics
    assert 'beforehand_unanswered_total{reason="unsupported",source="unreliable"} 1.0' in metrics


@pytest.mark.parametrize(
    ("configured", "stored"),
    [
        (ModelIdentity(MODEL), f"{MODEL}@0123abcd"),  # the batch has the files, the service an endpoint
        (ModelIdentity(MODEL), f"{MODEL}@unpinned"),  # both have endpoints
        (ModelIdentity(MODEL, "r2"), f"{MODEL}@r2"),  # both have endpoints, with a pinned revision
        (ModelIdentity("org/model@2024"), "org/model@2024@unpinned"),  # a hosted model with a mark of its own
        (ModelIdentity("/models/mine"), "mine@0123abcd"),  # a local folder
        (ModelIdentity("org/model"), "org/model@0123abcd"),  # a hub id in one process
    ],
)
def test_a_live_answer_has_the_fingerprint_of_the_prepared_one(
    library: Library, serve: Serve, llm: FakeLlm, configured: ModelIdentity, stored: str
) -> None:
    library.publish(facts={"model": stored}, library=LIBRARY)
    serve.identity = configured
    client = serve()
    llm.behaviour.text = "It is in the passages."  # without references, so that all passages are listed

    live = ask(client)

    expected = fingerprint(
        query_key=query_key("library", NEW),
        passages=content_hashes(client, live),
        template=library.template.id,
        model=stored,
        sampling=Sampling().identity(),
    )

    assert live["fingerprint"] == expected


def content_hashes(client: httpx.Client, live: dict[str, Any]) -> list[str]:
    release = client.app.state.service.current.get()  # type: ignore[attr-defined]
    numbered = sorted((each["number"], each["chunk_id"]) for each in live["citations"])
    return [release.stored_chunk(chunk_id).content_hash for _, chunk_id in numbered]


def test_another_model_has_another_fingerprint() -> None:
    assert ModelIdentity("b").within("a@1") == "b@unpinned"
    assert ModelIdentity("a", "2").within("a@1") == "a@2"
    assert ModelIdentity("a").within(None) == "a@unpinned"
