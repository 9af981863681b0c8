"""The Responses API, seen by the official client."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from online.chat.responses_request import chat_of_response
from online.http.openai_schemas import ResponseRequest
from rag.collection_settings import CollectionSettings
from tests.fake_llm import FakeLlm
from tests.online.conftest import LIBRARY, Library, Serve, recorded

OPEN = "When does the library open?"
ANSWER = LIBRARY.answers[OPEN][0]
HIT = "beforehand; hit; detail=exact"
NEAR = "When does the library close in the afternoon?"
PIRATE = "Speak like a pirate."


def test_a_prepared_answer_with_its_citations_whole_and_streamed(official: openai.OpenAI, llm: FakeLlm) -> None:
    raw = official.responses.with_raw_response.create(
        model="beforehand", input=OPEN, instructions="You are a helpful assistant."
    )
    response = raw.parse()
    assert raw.headers["cache-status"] == HIT
    assert response.output_text == ANSWER
    assert (response.status, response.usage and response.usage.total_tokens, response.store) == ("completed", 0, False)
    annotation = response.output[0].content[0].annotations[0]  # type: ignore[union-attr]
    assert (annotation.type, annotation.file_id) == ("file_citation", "hours")  # type: ignore[union-attr]
    assert response.model_extra is not None
    assert response.model_extra["beforehand"]["source"] == "exact"

    with official.responses.stream(model="beforehand", input=[{"role": "user", "content": OPEN}]) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert "".join(each.delta for each in events if each.type == "response.output_text.delta") == ANSWER
    assert [each.sequence_number for each in events] == list(range(len(events)))
    kinds = [each.type for each in events]
    assert kinds[:3] == ["response.created", "response.in_progress", "response.output_item.added"]
    assert kinds[-1] == "response.completed"
    assert "response.output_text.annotation.added" in kinds
    assert final.output_text == ANSWER
    assert llm.requests == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_miss_is_answered_live_and_one_with_instructions_is_grounded(
    official: openai.OpenAI, llm: FakeLlm, library: Library, *, stream: bool
) -> None:
    llm.behaviour.text = "At five [2]."
    llm.behaviour.extra_message = {"reasoning_content": "Hm."}

    def respond(**more: Any) -> Any:
        found = official.responses.create(model="beforehand", input=NEAR, stream=stream, **more)
        return list(found)[-1].response if stream else found  # type: ignore[attr-defined]

    live, grounded = respond(max_output_tokens=500), respond(instructions=PIRATE)
    for each, cost in ((live, 3), (grounded, 3)):
        assert each.output_text == "At five [2]."
        assert [item.type for item in each.output] == ["reasoning", "message"]
        assert each.output[1].content[0].annotations[0].filename == "Hours"
        assert each.usage.output_tokens == cost
        assert each.model_extra["beforehand"]["citations"][0]["kind"] == "cited"
    assert llm.requests[0]["max_tokens"] == 500
    assert llm.requests[1]["messages"][0]["content"].endswith(PIRATE)
    records = recorded(library.data, 2)
    assert [(each["route"], each["source"]) for each in records] == [("responses", "live"), ("responses", "bypass")]


@pytest.mark.parametrize("stream", [False, True])
def test_the_models_calls_of_functions_are_items(official: openai.OpenAI, llm: FakeLlm, *, stream: bool) -> None:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "clock", "arguments": '{"zone": 1}'}}
    llm.behaviour.text, llm.behaviour.extra_message = "", {"tool_calls": [call]}
    llm.behaviour.finish_reason = "tool_calls"
    tool = {"type": "function", "name": "clock", "parameters": {}, "strict": False}
    found = official.responses.create(
        model="m",
        input=NEAR,
        tools=[tool],
        tool_choice="required",
        stream=stream,  # type: ignore[call-overload]
    )
    response = list(found)[-1].response if stream else found
    (item,) = response.output
    assert (item.type, item.call_id, item.name, item.arguments) == ("function_call", "c1", "clock", '{"zone": 1}')
    assert llm.requests[0]["tools"][0]["function"]["name"] == "clock"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("previous_response_id", "resp_1"),
        ("conversation", "conv_1"),
        ("store", True),
        ("background", True),
        ("prompt", {"id": "p"}),
        ("input", [{"type": "item_reference", "id": "msg_1"}]),
    ],
)
def test_state_that_is_not_kept_is_refused_with_a_sentence(client: httpx.Client, field: str, value: object) -> None:
    body = {"model": "m", "input": OPEN} | {field: value}
    response = client.post("/v1/responses", json=body)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (422, "not_kept")
    assert error["param"].startswith(field)


def test_an_answer_may_be_referred_to_in_a_later_turn_as_vercels_sdk_does(client: httpx.Client, llm: FakeLlm) -> None:
    before = {"role": "user", "content": [{"type": "input_text", "text": "What does a lost card cost?"}]}

    def then(*items: dict[str, object], question: str) -> httpx.Response:
        turns = [before, *items, {"role": "user", "content": [{"type": "input_text", "text": question}]}]
        return client.post("/v1/responses", json={"model": "m", "input": turns})

    answered, thought = ({"type": "item_reference", "id": name} for name in ("msg_1", "rs_1"))
    assert then(thought, answered, question=OPEN).headers["cache-status"] == HIT
    assert then(answered, question="And for children?").headers["cache-status"] == "beforehand; fwd=bypass"
    said = [(each["role"], each["content"]) for each in llm.requests[0]["messages"][1:]]
    assert said[1:] == [("assistant", "(This earlier answer is not kept.)"), ("user", "And for children?")]
    refused = then({"type": "item_reference", "id": "fc_1"}, question=OPEN)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "not_kept")


def test_metadata_comes_back(official: openai.OpenAI) -> None:
    assert official.responses.create(model="m", input=OPEN, metadata={"chat": "7"}).metadata == {"chat": "7"}
    assert official.responses.create(model="m", input=OPEN).metadata == {}


def test_a_hit_needs_no_state_and_nothing_of_ours(client: httpx.Client, llm: FakeLlm) -> None:
    turns = [
        {"role": "user", "content": [{"type": "input_text", "text": "What does a lost card cost?"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Ten euros."}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"role": "user", "content": [{"type": "input_text", "text": OPEN}]},
    ]
    shapes: list[dict[str, object]] = [
        {"input": turns},
        {"store": False, "include": ["reasoning.encrypted_content"], "truncation": "auto", "metadata": {"a": "b"}},
        {"reasoning": {"effort": "low"}, "text": {"format": {"type": "text"}, "verbosity": "low"}},
        {"tools": [{"type": "web_search"}], "tool_choice": "auto", "parallel_tool_calls": True},
        {"max_output_tokens": 50, "temperature": 0.5, "top_p": 0.5},
    ]
    for shape in shapes:
        response = client.post("/v1/responses", json={"model": "gpt-5", "input": OPEN} | shape)
        assert response.headers.get("cache-status") == HIT, (shape, response.text)
    ready = {"Cache-Control": "only-if-cached"}
    assert client.post("/v1/responses", json={"model": "m", "input": NEAR}, headers=ready).status_code == 504
    assert llm.requests == []


@pytest.mark.parametrize(
    "value",
    [
        5, [], [5], [{}], [{"type": "x"}], [{"role": "user"}], [{"role": "user", "content": [5]}],
        [{"role": 5, "content": "x"}], [{"type": "function_call"}], [{"role": "", "content": "x"}],
        [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}],
        [{"type": "function_call_output", "output": [1]}], "", "?!", "\u0000",
    ],
)  # fmt: skip
def test_no_input_is_a_fault_of_ours(client: httpx.Client, value: object) -> None:
    response = client.post("/v1/responses", json={"model": "m", "input": value})
    assert response.status_code in {200, 422}
    assert "The service has a fault" not in response.text


def test_a_rejected_question_is_withheld_and_the_response_incomplete(
    library: Library, published: Path, serve: Serve, llm: FakeLlm
) -> None:
    shutil.copytree(published, library.data)
    client = serve({"library": CollectionSettings(documents=[], when_withheld="silent")})
    body = {"model": "m", "input": "Which treaty ended war sourdough bread", "instructions": PIRATE}
    for stream in (False, True):
        text = client.post("/v1/responses", json=body | {"stream": stream}).text
        assert '"incomplete_details":{"reason":"content_filter"}' in text
        assert '"reason":"off_topic"' in text
    assert llm.requests == []


def test_a_stream_that_breaks_off_is_an_error(official: openai.OpenAI, llm: FakeLlm) -> None:
    llm.behaviour.break_stream_after = 2
    with pytest.raises(openai.APIError, match="gave no answer"):
        list(official.responses.create(model="m", input=NEAR, instructions=PIRATE, stream=True))


def test_half_a_character_from_the_model_spoils_no_response(client: httpx.Client, llm: FakeLlm) -> None:
    llm.behaviour.text = "A \ud83d b [1]"
    for stream in (False, True):
        body = {"model": "m", "input": NEAR, "instructions": PIRATE, "stream": stream}
        assert "A \ufffd b [1]" in client.post("/v1/responses", json=body).text


def test_a_request_stands_for_a_chat() -> None:
    call = {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}
    fields: dict[str, Any] = {
        "model": "m",
        "input": [
            {"role": "user", "content": "a"},
            call,
            call | {"call_id": "2"},
            {"type": "function_call_output", "call_id": "1", "output": "x"},
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "b"}, {"type": "input_image", "image_url": "u"}],
            },
        ],
        "instructions": "S",
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}},
        "tool_choice": {"type": "function", "name": "f"},
        "seed": 7,
    }
    request = ResponseRequest(
        **{name: fields[name] for name in ("model", "input", "instructions", "text", "tool_choice")}
    )
    chat = chat_of_response(request, fields)[1]
    roles = [each["role"] for each in chat["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "user"]
    assert [each["id"] for each in chat["messages"][2]["tool_calls"]] == ["1", "2"]
    assert chat["messages"][4]["content"][1] == {"type": "image_url", "image_url": {"url": "u"}}
    assert chat["response_format"] == {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}
    assert chat["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert chat["seed"] == 7
    assert json.dumps(chat)


def test_what_the_model_said_before_it_called_a_function_is_one_turn_with_the_call() -> None:
    call = {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}
    items: list[dict[str, Any]] = [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "Let me see."}, call,
    ]  # fmt: skip
    messages = chat_of_response(ResponseRequest("m", items), {"model": "m"})[1]["messages"]
    assert [each["role"] for each in messages] == ["user", "assistant"]
    assert (messages[1]["content"], messages[1]["tool_calls"][0]["id"]) == ("Let me see.", "1")
