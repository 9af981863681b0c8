"""The official OpenAI client, unmodified, pointed at the service."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import httpx
import openai
import pytest

from rag.collection_settings import CollectionSettings
from rag.identity import query_key
from tests.fake_llm import MODEL, FakeLlm
from tests.online.conftest import LIBRARY, MUSEUM, Library, Serve, recorded
from tests.waiting import until
from warehouse.editorial.decisions import Decision, append_decisions

BOTH = {name: CollectionSettings(documents=[]) for name in ("library", "museum")}
PREPARED = "When does the library open?"
ANSWER = "The library opens at nine in the morning [1]."


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_an_anticipated_question_is_answered_from_the_release(official: openai.OpenAI, llm: FakeLlm) -> None:
    raw = official.chat.completions.with_raw_response.create(model="beforehand/library", messages=user(PREPARED))
    completion = raw.parse()
    assert completion.choices[0].message.content == ANSWER
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.total_tokens == 0
    assert raw.headers["cache-status"] == "beforehand; hit; detail=exact"
    assert llm.requests == []


@pytest.mark.parametrize("question", [PREPARED, "Is there a place to park my car?"])
def test_the_text_of_both_forms_is_equal(official: openai.OpenAI, llm: FakeLlm, question: str) -> None:
    llm.behaviour.text = "Yes [1], `x[7]` as well [9], see there [2-3]."
    whole = official.chat.completions.create(model="beforehand", messages=user(question))
    chunks = list(
        official.chat.completions.create(
            model="beforehand", messages=user(question), stream=True, stream_options={"include_usage": True}
        )
    )
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-2].choices[0].finish_reason == "stop"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert text == whole.choices[0].message.content
    assert "[9]" not in text


def test_a_question_alone_gets_no_call_of_a_tool(official: openai.OpenAI, llm: FakeLlm) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "rm", "arguments": "{}"}}
    llm.behaviour.extra_message = {"tool_calls": [call], "function_call": call["function"]}
    message = official.chat.completions.create(model="beforehand", messages=user("Can I park?")).choices[0].message
    assert message.content == llm.behaviour.text
    assert (message.tool_calls, message.function_call) == (None, None)


@pytest.mark.parametrize(
    "shape", [{"n": 1}, {"temperature": 0.7}, {"tools": None}, {"max_tokens": 4096}, {"stop": None}]
)
def test_harmless_parameters_do_not_cost_the_hit(
    official: openai.OpenAI, llm: FakeLlm, shape: dict[str, object]
) -> None:
    raw = official.chat.completions.with_raw_response.create(
        **{"model": "beforehand", "messages": user(PREPARED), **shape}
    )
    assert raw.headers["cache-status"] == "beforehand; hit; detail=exact"
    assert llm.requests == []


def test_a_live_answer_uses_the_requests_sampling_and_our_prompt(
    official: openai.OpenAI, llm: FakeLlm, library: Library
) -> None:
    question = user("Where can I park here?")
    wishes = {"temperature": 1.5, "top_p": 0.5, "frequency_penalty": 0.25, "presence_penalty": 0.5, "seed": 42}
    wishes["max_tokens"] = 1000
    create = official.chat.completions.with_raw_response.create
    plain = create(model="beforehand", messages=question)
    wished = create(model="beforehand", messages=question, **wishes, extra_body={"repetition_penalty": 1.25})
    wishes["repetition_penalty"] = 1.25
    assert {name: llm.requests[1][name] for name in wishes} == wishes
    assert llm.requests[1]["messages"] == llm.requests[0]["messages"]
    assert plain.headers["etag"] != wished.headers["etag"]
    records = recorded(library.data, 2)
    assert [each["source"] for each in records] == ["live", "live"]
    assert records[1]["fingerprint"] == wished.headers["etag"].strip('"')


def test_only_chats_with_equal_sampling_share_a_call(client: httpx.Client, llm: FakeLlm) -> None:
    llm.behaviour.gate = threading.Event()
    flights = client.app.state.service.lookup.flights
    body = {"model": "beforehand", "messages": user("Where can I park here?")}
    with ThreadPoolExecutor(4) as pool:
        calls = [
            pool.submit(client.post, "/v1/chat/completions", json={**body, **wish})
            for wish in ({}, {"temperature": 0}, {"temperature": 1.5}, {"temperature": 1.5})  # ours is 0
        ]
        until("all wait for their calls", lambda: sum(each.passengers for each in flights.under_way()) == 4)
        assert sorted(each.passengers for each in flights.under_way()) == [2, 2]
        llm.behaviour.gate.set()
        assert [call.result().status_code for call in calls] == [200] * 4
    assert sorted(each["temperature"] for each in llm.requests) == [0.0, 1.5]


def test_the_models_whole_message_is_kept(official: openai.OpenAI, llm: FakeLlm) -> None:
    llm.behaviour.extra_message = {"reasoning_content": "Hm."}
    completion = official.chat.completions.create(model="beforehand", messages=user("Where can I park here?"))
    assert completion.choices[0].message.model_extra == {"reasoning_content": "Hm."}


def test_the_models_whole_message_is_streamed(official: openai.OpenAI, llm: FakeLlm) -> None:
    llm.behaviour.extra_message = {"reasoning_content": "Hm, well. Cars?"}
    for question in ([*user("Hi"), *user("When does the library close?")], user("Where can I park my bicycle here?")):
        chunks = list(official.chat.completions.create(model="beforehand", messages=question, stream=True))
        deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
        thought = [(each.model_extra or {}).get("reasoning_content", "") for each in deltas]
        assert "".join(thought) == "Hm, well. Cars?"
        assert "".join(each.content or "" for each in deltas) == llm.behaviour.text


@pytest.mark.parametrize("stream", [False, True])
def test_a_torn_character_from_the_model_spoils_no_answer(
    client: httpx.Client, library: Library, llm: FakeLlm, *, stream: bool
) -> None:
    llm.behaviour.text = "A \ud83d b"
    body = {"model": "beforehand", "messages": user("Where can I park here?"), "stream": stream}
    chat = client.post("/v1/chat/completions", json=body)
    answer = client.post("/v1/answers", json={"question": "Is there parking?", "stream": stream})
    assert (chat.status_code, answer.status_code) == (200, 200)
    assert "\ufffd" in chat.text
    assert "\ufffd" in answer.text
    records = recorded(library.data, 2)
    assert [each["answer"] for each in records] == ["A \ufffd b"] * 2


def test_an_answer_that_no_model_wrote_names_the_one_to_ask(
    library: Library, published: Path, serve: Serve, llm: FakeLlm
) -> None:
    shutil.copytree(published, library.data)
    question = "Is there a café?"
    written = Decision("library", query_key("library", question), "earlier", "edit", "Ada", "No.", question=question)
    append_decisions(library.data, [written])
    with openai.OpenAI(base_url=f"{serve().base_url}/v1", api_key="unused") as official:
        whole = official.chat.completions.create(model="gpt-4o", messages=user(question))
        streamed = list(official.chat.completions.create(model="gpt-4o", messages=user(question), stream=True))
        response = official.responses.create(model="gpt-4o", input=question)
    assert whole.choices[0].message.content == response.output_text == "No."
    assert {whole.model, response.model, *(each.model for each in streamed)} == {"beforehand/library"}
    assert llm.requests == []


def test_the_models_are_listed_and_can_be_asked(official: openai.OpenAI) -> None:
    names = [model.id for model in official.models.list()]
    assert names == ["beforehand/library", "fake-model"]
    assert official.models.retrieve(names[0]).id == names[0]
    for name in names:
        completion = official.chat.completions.create(model=name, messages=user(PREPARED))
        assert completion.choices[0].message.content == ANSWER


def test_of_several_collections_only_names_that_work_are_listed_and_others_are_told_how_to_go_on(
    library: Library, serve: Serve
) -> None:
    library.publish(library=LIBRARY, museum=MUSEUM)
    client = serve(BOTH)
    with openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="unused") as official:
        names = [model.id for model in official.models.list()]
        assert names == ["beforehand/library", "beforehand/museum"]
        with pytest.raises(openai.UnprocessableEntityError) as caught:
            official.chat.completions.create(model="gpt-4o-mini", messages=user(PREPARED))
        assert caught.value.param == "model"
        assert all(name in caught.value.message for name in names)
        completion = official.chat.completions.create(model=names[0], messages=user(PREPARED))
    assert completion.choices[0].message.content == ANSWER


def test_with_a_default_collection_an_unmodified_client_needs_no_model_of_ours(library: Library, serve: Serve) -> None:
    library.publish(library=LIBRARY, museum=MUSEUM)
    client = serve(BOTH, default_collection="library")
    with openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="unused") as official:
        assert MODEL in [model.id for model in official.models.list()]
        completion = official.chat.completions.create(model="gpt-4o-mini", messages=user(PREPARED))
    assert completion.choices[0].message.content == ANSWER


def test_another_collection_can_not_be_named(official: openai.OpenAI) -> None:
    with pytest.raises(openai.PermissionDeniedError):
        official.chat.completions.create(model="beforehand/other", messages=user(PREPARED))


def test_errors_have_openais_shape(client: httpx.Client) -> None:
    response = client.post("/v1/chat/completions", json={"model": "beforehand", "messages": "hello"})
    assert response.status_code == 422
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert response.json()["error"]["param"] == "messages"


@pytest.mark.parametrize(
    ("path", "code"), [("/v1/models/gpt-4o", "model_not_found"), ("/v1/responses/resp_1", "unknown_url")]
)
def test_only_a_model_that_is_not_there_is_called_so(client: httpx.Client, path: str, code: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()["error"]["code"]) == (404, code)


@pytest.mark.parametrize(
    ("field", "status"),
    [
        ('"x": ' + "[" * 100_000 + "]" * 100_000, 400),
        ('"x": ' + "[" * 200 + "]" * 200, 400),  # we can read it, the model's server may not
        ('"x": 1e999', 422),
        ('"temperature": -1e999', 422),
        ('"seed": ' + "9" * 5000, 422),
    ],
    ids=["nested", "nested less", "extra", "temperature", "seed"],
)
def test_a_body_nested_too_deeply_is_refused(client: httpx.Client, field: str, status: int) -> None:
    body = f'{{"model": "beforehand", "messages": [{{"role": "user", "content": "{PREPARED}"}}], {field}}}'
    response = client.post("/v1/chat/completions", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == status
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_a_stream_that_breaks_off_says_so(official: openai.OpenAI, llm: FakeLlm) -> None:
    llm.behaviour.break_stream_after = 2
    with pytest.raises(openai.APIError):
        list(official.chat.completions.create(model="beforehand", messages=user("Where can I park here?"), stream=True))


def pauses_go_to(pause: Callable[[float], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the official client pause as a test wants; other threads of this process sleep as ever."""
    monkeypatch.setattr("openai._base_client.time", SimpleNamespace(sleep=pause, time=time.time))


def test_the_official_client_is_told_not_to_retry_when_the_model_is_down(
    library: Library, serve: Serve, llm: FakeLlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.publish(library=LIBRARY)
    pauses_go_to(lambda _: None, monkeypatch)
    client = serve(breaker_failures=1, breaker_seconds=60)
    llm.behaviour.fail_with = 500
    with openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="unused", max_retries=5) as official:
        for _ in range(2):
            with pytest.raises(openai.InternalServerError) as caught:
                official.chat.completions.create(model="beforehand", messages=user("Where can I park here?"))
        assert caught.value.response.headers["x-should-retry"] == "false"
        calls = len(llm.requests)
        with pytest.raises(openai.InternalServerError):
            official.chat.completions.create(model="beforehand", messages=user("Where can I park here?"))
        assert len(llm.requests) == calls
        prepared = official.chat.completions.create(model="beforehand", messages=user(PREPARED))
    assert prepared.choices[0].message.content == ANSWER


def test_the_official_client_retries_by_itself_when_the_queue_was_full(
    library: Library, serve: Serve, llm: FakeLlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.publish(library=LIBRARY)
    client = serve(concurrency=1, concurrency_limit=1, queue_length=0)
    gate = llm.behaviour.gate = threading.Event()
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        gate.set()
        first.result()

    pauses_go_to(wait, monkeypatch)
    with ThreadPoolExecutor(1) as pool, openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="x") as official:
        first = pool.submit(client.post, "/v1/answers", json={"question": "Please tell me a story?"})
        until("the model was asked", lambda: llm.running)
        completion = official.chat.completions.create(model="m", messages=user("Where can I park here?"))
    assert completion.choices[0].message.content == llm.behaviour.text
    assert waits == [1.0]


def test_the_official_client_does_not_retry_while_the_model_counts_as_down(
    library: Library, serve: Serve, llm: FakeLlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.publish(library=LIBRARY)
    client = serve(breaker_failures=1, breaker_seconds=60)
    waits: list[float] = []
    pauses_go_to(waits.append, monkeypatch)
    llm.behaviour.fail_with = 500
    assert client.post("/v1/answers", json={"question": "Is there parking?"}).status_code == 503
    with openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="x") as official:
        assert official.max_retries == 2
        for messages in (user("Where can I park here?"), [*user("Hi"), *user("When does the library close?")]):
            with pytest.raises(openai.InternalServerError) as caught:
                official.chat.completions.create(model="m", messages=messages)
            assert caught.value.response.headers["x-should-retry"] == "false"
    assert waits == []
    assert len(llm.requests) == 1
