"""Chats that no prepared answer fits are about the documents, or no business of the language model."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import httpx
import msgspec
import openai
import pytest

from online.app import create_app
from online.chat.request import grounded
from online.chat.turns import last_question
from online.http.openai_schemas import ChatRequest
from online.settings import ServiceSettings
from rag.collection_settings import CollectionSettings
from rag.identity import query_key
from rag.llm.openai_client import OpenAIEndpoint
from tests.fake_llm import MODEL, FakeLlm, served
from tests.online.conftest import LIBRARY, MUSEUM, Library, Serve, journal, recorded
from tests.online.routes.test_chat_bypass import WithoutForwarding
from tests.waiting import PATIENCE, until
from warehouse.editorial.decisions import Decision, append_decisions

NEAR = "When does the library close in the afternoon?"
OPEN = "When does the library open?"
OFF_TOPIC = "Which treaty ended war sourdough bread"
SYSTEM = {"role": "system", "content": "Speak like a pirate."}


def chat(text: str, **more: object) -> dict[str, object]:
    return {"model": "beforehand", "messages": [SYSTEM, {"role": "user", "content": text}], **more}


def test_the_model_gets_passages_for_the_last_question_in_front_of_the_chat(client: httpx.Client, llm: FakeLlm) -> None:
    llm.behaviour.text = "It closes at five [1]."
    reply = client.post("/v1/chat/completions", json=chat(NEAR)).json()
    system, user = llm.requests[0]["messages"]
    assert "closes at five in the afternoon" in system["content"]
    assert system["content"].endswith("Speak like a pirate.")
    assert user == {"role": "user", "content": NEAR}
    assert reply["choices"][0]["message"]["content"] == "It closes at five [1]."
    assert reply["beforehand"]["source"] == "live"
    assert [(each["number"], each["kind"]) for each in reply["beforehand"]["citations"]] == [(1, "cited")]


def test_a_stream_says_with_its_last_piece_what_it_cites(official: openai.OpenAI, llm: FakeLlm) -> None:
    llm.behaviour.text = "It closes at five [1]."
    chunks = list(official.chat.completions.create(**chat(NEAR, stream=True)))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    ends = [chunk for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason]
    assert text == "It closes at five [1]."
    assert [each["kind"] for each in ends[0].model_extra["beforehand"]["citations"]] == ["cited"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("text", [OFF_TOPIC, "", "?!", "Fünf Bücher \u0000"])
def test_what_no_passage_is_near_to_never_reaches_the_model(
    client: httpx.Client, llm: FakeLlm, library: Library, text: str, *, stream: bool
) -> None:
    response = client.post("/v1/chat/completions", json=chat(text, stream=stream))
    assert response.status_code == 200
    assert "not answered" in response.text
    assert '"reason":"off_topic"' in response.text
    assert response.headers["cache-status"] == "beforehand; fwd=bypass"
    assert not llm.requests
    records = recorded(library.data)
    assert "sourdough" not in json.dumps(records)


def test_an_earlier_turn_on_the_subject_opens_no_door(client: httpx.Client, llm: FakeLlm) -> None:
    turns = [{"role": "user", "content": NEAR}, {"role": "assistant", "content": "At five."}]
    body = {"model": "beforehand", "messages": [*turns, {"role": "user", "content": OFF_TOPIC}]}
    reply = client.post("/v1/chat/completions", json=body).json()
    assert reply["beforehand"]["source"] == "unreliable"
    assert not llm.requests


@pytest.mark.parametrize(
    "shape",
    [
        {"response_format": {"type": "json_object"}},
        {"tools": [{"type": "function", "function": {"name": "clock", "parameters": {}}}]},
        {"n": 2},
        {"max_tokens": 3},
    ],
)
def test_no_shape_of_a_chat_gets_around_it(client: httpx.Client, llm: FakeLlm, shape: dict[str, object]) -> None:
    user = {"role": "user", "content": OFF_TOPIC}
    body = {"model": "beforehand", "messages": [user], **shape}
    assert "not answered" in client.post("/v1/chat/completions", json=body).text
    assert not llm.requests
    body["messages"] = [{"role": "user", "content": NEAR}]
    client.post("/v1/chat/completions", json=body)
    assert "closes at five" in llm.requests[0]["messages"][0]["content"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_in_this_process_is_grounded_too(library: Library, llm: FakeLlm, *, stream: bool) -> None:
    library.publish(library=LIBRARY)
    llm.behaviour.text = "It closes at five [1]."
    endpoint = OpenAIEndpoint(llm.url, MODEL)
    collections = {"library": CollectionSettings(documents=[])}
    settings = ServiceSettings(comparison_share=0)
    app = create_app(settings, library.data, collections, WithoutForwarding(endpoint), on_stop=endpoint.aclose)
    with served(app) as url, httpx.Client(base_url=url, timeout=PATIENCE) as client:
        near = client.post("/v1/chat/completions", json=chat(NEAR, stream=stream))
        refused = client.post("/v1/chat/completions", json=chat(OFF_TOPIC, stream=stream))
    assert "closes at five in the afternoon" in llm.requests[0]["messages"][0]["content"]
    assert '"kind":"cited"' in near.text
    assert "not answered" in refused.text
    assert len(llm.requests) == 1


def test_off_refuses_such_chats_and_answers_questions(
    library: Library, published: Path, serve: Serve, llm: FakeLlm
) -> None:
    shutil.copytree(published, library.data)
    client = serve(bypass="off")
    refused = client.post("/v1/chat/completions", json=chat(NEAR))
    question = {"model": "beforehand", "messages": [{"role": "user", "content": "When does the library open?"}]}
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "bypass_off"
    assert client.post("/v1/chat/completions", json=question).status_code == 200
    assert not llm.requests


def test_a_key_may_have_a_rule_of_its_own(
    library: Library, published: Path, serve: Serve, keys: dict[str, dict[str, object]], llm: FakeLlm
) -> None:
    shutil.copytree(published, library.data)
    keys["reader"]["bypass"], keys["other"]["bypass"] = "plain", "off"
    client = serve(keys=keys)

    def ask(key: str) -> httpx.Response:
        return client.post("/v1/chat/completions", json=chat(OFF_TOPIC), headers={"Authorization": f"Bearer {key}"})

    assert ask("other").status_code == 403
    assert "not answered" in ask("boss").text
    assert not llm.requests
    assert ask("reader").json()["choices"][0]["message"]["content"] == llm.behaviour.text


def test_a_grounded_chat_names_its_collection_where_there_are_several(library: Library, serve: Serve) -> None:
    library.publish(library=LIBRARY, museum=MUSEUM)
    client = serve({name: CollectionSettings(documents=[]) for name in ("library", "museum")})
    assert client.post("/v1/chat/completions", json=chat(NEAR)).status_code == 422
    assert client.post("/v1/chat/completions", json=chat(NEAR) | {"model": "beforehand/library"}).status_code == 200


@pytest.mark.parametrize(
    ("messages", "question"),
    [
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "a"),
        ([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], "b"),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}], "a"),
        ([{"role": "user", "content": [{"type": "text", "text": 5}]}], ""),
        ([{"role": "user", "content": None}], ""),
        ([{"role": "system", "content": "a"}], ""),
    ],
)
def test_the_last_turn_of_the_user_is_what_is_asked(messages: list[dict[str, object]], question: str) -> None:
    assert last_question(msgspec.convert({"model": "m", "messages": messages}, ChatRequest)) == question


@pytest.mark.parametrize(
    ("first", "front"),
    [
        ({"role": "user", "content": "q"}, {"role": "system", "content": "G"}),
        ({"role": "system", "content": "S"}, {"role": "system", "content": "G\n\nS"}),
        ({"role": "developer", "content": None}, {"role": "developer", "content": "G\n\n"}),
        (
            {"role": "system", "content": [{"type": "text", "text": "S"}]},
            {"role": "system", "content": [{"type": "text", "text": "G"}, {"type": "text", "text": "S"}]},
        ),
    ],
)
def test_there_is_one_system_message_in_front(first: dict[str, object], front: dict[str, object]) -> None:
    found = grounded({"messages": [first], "seed": 7}, "G")
    assert found["messages"][0] == front
    assert found["seed"] == 7


def test_half_a_character_from_the_model_spoils_no_reply(client: httpx.Client, llm: FakeLlm) -> None:
    llm.behaviour.text = "A \ud83d b [1]"
    response = client.post("/v1/chat/completions", json=chat(NEAR))
    assert response.status_code == 200
    assert response.json()["beforehand"]["citations"][0]["kind"] == "cited"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("asked", [OPEN, "When does the library open please?"])
def test_a_chat_around_a_rejected_question_is_no_way_past_the_rejection(
    client: httpx.Client, llm: FakeLlm, library: Library, asked: str, *, stream: bool
) -> None:
    append_decisions(library.data, [Decision("library", query_key("library", OPEN), "any", "reject", "Ada")])

    def said() -> str:
        return client.post("/v1/chat/completions", json=chat(asked, stream=stream)).text

    until("the rejection is followed", said, lambda text: '"source":"withheld"' in text)
    llm.requests.clear()

    assert '"reason":"rejected"' in said()
    assert not llm.requests


ANSWER = LIBRARY.answers[OPEN][0]


def reject(client: httpx.Client, library: Library) -> None:
    append_decisions(library.data, [Decision("library", query_key("library", OPEN), "any", "reject", "Ada")])
    client.app.state.service.reviewed.follow()  # type: ignore[attr-defined]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "said",
    [
        {"text": ANSWER},
        {"text": f"Arr! {ANSWER} Ahoy!"},
        {"text": json.dumps({"result": [ANSWER]})},
        {"text": "See my thoughts.", "extra_message": {"reasoning_content": ANSWER}},
        {
            "text": "",
            "extra_message": {"tool_calls": [{"index": 0, "function": {"name": "say", "arguments": ANSWER}}]},
        },
    ],
)
def test_no_chat_brings_the_model_to_say_what_a_person_rejected(
    client: httpx.Client, llm: FakeLlm, library: Library, said: dict[str, object], *, stream: bool
) -> None:
    reject(client, library)
    llm.behaviour = replace(llm.behaviour, **said)
    turns = [{"role": "user", "content": OPEN}, {"role": "assistant", "content": "Ask again."}]
    body = {"model": "beforehand", "messages": [*turns, {"role": "user", "content": NEAR}], "stream": stream}

    reply = client.post("/v1/chat/completions", json=body)

    assert len(llm.requests) == 1
    assert "at nine in the morning" not in reply.text
    assert '"reason":"rejected"' in reply.text
    client.app.state.service.journal.close()  # type: ignore[attr-defined]
    assert [(row["source"], row["refusal"]) for row in journal(library.data)] == [("withheld", "rejected")]


@pytest.mark.parametrize("stream", [False, True])
def test_other_replies_reach_the_chat_beside_a_rejection(
    client: httpx.Client, llm: FakeLlm, library: Library, *, stream: bool
) -> None:
    reject(client, library)
    llm.behaviour.text = "It closes at five [1]."
    reply = client.post("/v1/chat/completions", json=chat(NEAR, stream=stream)).text
    assert '"kind":"cited"' in reply.replace(": ", ":")
    assert "withheld" not in reply


def test_a_chat_that_streams_stops_when_its_question_is_rejected(
    client: httpx.Client, llm: FakeLlm, library: Library
) -> None:
    llm.behaviour.text, llm.behaviour.seconds = "one two three four five six seven eight nine ten", 2.0
    with client.stream("POST", "/v1/chat/completions", json=chat(OPEN, stream=True)) as response:
        lines = response.iter_lines()
        next(line for line in lines if "one" in line)
        reject(client, library)
        rest = "\n".join(lines)
    assert "withheld" in rest
    assert "ten" not in rest


def test_a_model_in_this_process_says_nothing_rejected_either(library: Library, llm: FakeLlm) -> None:
    library.publish(library=LIBRARY)
    llm.behaviour.text = ANSWER
    append_decisions(library.data, [Decision("library", query_key("library", OPEN), "any", "reject", "Ada")])
    endpoint = OpenAIEndpoint(llm.url, MODEL)
    collections = {"library": CollectionSettings(documents=[])}
    settings = ServiceSettings(comparison_share=0)
    app = create_app(settings, library.data, collections, WithoutForwarding(endpoint), on_stop=endpoint.aclose)
    with served(app) as url, httpx.Client(base_url=url, timeout=PATIENCE) as client:
        reply = client.post("/v1/chat/completions", json=chat(NEAR)).json()
    assert reply["beforehand"]["reason"] == "rejected"
    assert "nine" not in reply["choices"][0]["message"]["content"]


def test_a_prompt_that_an_application_writes_is_grounded_in_what_it_ends_with(
    client: httpx.Client, llm: FakeLlm, library: Library
) -> None:
    task = f"### Task:\nWrite a title.\n{OFF_TOPIC}\n" + f"- {OFF_TOPIC}\n" * 20
    body = {"model": "m", "messages": [{"role": "user", "content": f"{task}### Chat History:\n{' '.join([NEAR] * 8)}"}]}
    reply = client.post("/v1/chat/completions", json=body)
    assert reply.headers["x-beforehand-bypass"] == "messages"
    assert "closes at five in the afternoon" in llm.requests[0]["messages"][0]["content"]
    assert "title" not in json.dumps(recorded(library.data))
