"""Applications as they are: with a system prompt, earlier turns, tools that they don't need, and limits."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from online.chat.rules import prompt_hash
from rag.collection_settings import CollectionSettings
from rag.identity import query_key
from tests.fake_llm import FakeLlm
from tests.online.conftest import LIBRARY, Corpus, Library, Serve, recorded
from tests.waiting import until
from warehouse.editorial.decisions import Decision, append_decisions

OPEN = "When does the library open?"
ANSWER = LIBRARY.answers[OPEN][0]
HIT = "beforehand; hit; detail=exact"
ASSISTANT = {"role": "system", "content": "You are a helpful assistant."}
DESK = {"role": "system", "content": "You work at the desk of a library. Be kind to readers."}
BEFORE = [
    {"role": "user", "content": "What does a lost card cost?"},
    {"role": "assistant", "content": "A lost card costs ten euros [1]."},
]
CLOCK = [{"type": "function", "function": {"name": "clock", "parameters": {}}}]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def ask(client: httpx.Client, *messages: object, key: str = "", **more: object) -> httpx.Response:
    body = {"model": "beforehand", "messages": messages, **more}
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return client.post("/v1/chat/completions", json=body, headers=headers)


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_prepared_answer_satisfies_costs_no_hit(client: httpx.Client, llm: FakeLlm, *, stream: bool) -> None:
    shapes: list[dict[str, Any]] = [
        {"messages": [ASSISTANT, user(OPEN)]},
        {"messages": [ASSISTANT, *BEFORE, user(OPEN)]},
        {"messages": [user("Hello"), {"role": "assistant", "content": "Hi"}, user(OPEN)]},
        {"tools": CLOCK},
        {"tools": CLOCK, "tool_choice": "auto", "parallel_tool_calls": True},
        {"max_tokens": 50},
        {"stop": ["\n\n", "User:"]},
        {"reasoning_effort": "low", "verbosity": "high"},
    ]
    for shape in shapes:
        response = client.post(
            "/v1/chat/completions", json={"model": "m", "messages": [user(OPEN)], "stream": stream} | shape
        )
        assert response.headers["cache-status"] == HIT, shape
        assert '"citations":[{' in response.text
        if not stream:
            assert response.json()["choices"][0]["message"]["content"] == ANSWER
    assert llm.requests == []


def test_a_miss_within_such_limits_is_grounded_and_its_question_is_kept(
    client: httpx.Client, llm: FakeLlm, library: Library
) -> None:
    llm.behaviour.text = "At five [1]."
    reply = ask(client, *BEFORE, user("When does the library close in the afternoon?"), tools=CLOCK)
    assert reply.headers["cache-status"] == "beforehand; fwd=bypass"
    assert reply.json()["beforehand"]["citations"][0]["kind"] == "cited"
    assert [each["role"] for each in llm.requests[0]["messages"]] == ["system", "user", "assistant", "user"]
    assert llm.requests[0]["tools"] == CLOCK
    records = recorded(library.data)
    assert records[0]["question"] == "When does the library close in the afternoon?"
    assert (records[0]["source"], records[0]["similarity"] > 0) == ("bypass", True)


def test_a_prompt_that_is_not_known_says_its_hash_and_is_served_once_that_is_listed(
    library: Library, published: Path, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(published, library.data)
    with caplog.at_level(logging.INFO, "beforehand.service"), serve.stopping() as client:
        first = ask(client, DESK, user(OPEN))
    hashed = prompt_hash(DESK["content"])
    assert first.headers["x-beforehand-bypass"] == f"system_prompt, {hashed}"
    assert hashed in caplog.text
    assert "desk of a library" not in caplog.text
    client = serve({"library": CollectionSettings(documents=[], known_system_prompts=[hashed])})
    assert ask(client, DESK, user(OPEN)).headers["cache-status"] == HIT


def test_no_hash_is_named_where_listing_it_would_change_nothing(
    library: Library, published: Path, serve: Serve
) -> None:
    shutil.copytree(published, library.data)
    client = serve({"library": CollectionSettings(documents=[], system_prompt="bypass")})
    assert ask(client, ASSISTANT, user(OPEN)).headers["x-beforehand-bypass"] == "system_prompt"


def test_a_key_may_have_rules_of_its_own(
    library: Library, published: Path, serve: Serve, keys: dict[str, dict[str, object]]
) -> None:
    shutil.copytree(published, library.data)
    keys["reader"] |= {"system_prompt": "ignore", "earlier_turns": "bypass"}
    keys["other"] |= {"known_system_prompts": [prompt_hash(DESK["content"])]}
    client = serve(keys=keys)

    def status(key: str, *messages: object) -> str:
        return ask(client, *messages, key=key).headers["cache-status"]

    assert status("reader", DESK, user(OPEN)) == status("other", DESK, user(OPEN)) == HIT
    assert status("boss", DESK, user(OPEN)) == "beforehand; fwd=bypass"
    assert status("reader", *BEFORE, user(OPEN)) == "beforehand; fwd=bypass"
    assert status("other", *BEFORE, user(OPEN)) == HIT


@pytest.mark.parametrize("stream", [False, True])
def test_a_follow_up_is_made_to_stand_alone_then_looked_up_or_answered_with_passages(
    library: Library, published: Path, serve: Serve, llm: FakeLlm, *, stream: bool
) -> None:
    shutil.copytree(published, library.data)
    client = serve({"library": CollectionSettings(documents=[], earlier_turns="rewrite")})
    llm.behaviour.text = "How long may I borrow a book?"
    hit = ask(client, *BEFORE, user("And how long a book?"), stream=stream)
    assert hit.headers["cache-status"] == HIT
    assert "four weeks" in hit.text
    assert '"question":"How long may I borrow a book?"' in hit.text
    assert "Visitor: And how long a book?" in llm.requests[0]["messages"][-1]["content"]
    assert len(llm.requests) == 1

    llm.behaviour.text = "When do the late books cost one euro?"
    miss = ask(client, *BEFORE, user("And late books?"), stream=stream)
    assert miss.headers["cache-status"] == "beforehand; fwd=miss"
    assert "Late books cost one euro a week" in llm.requests[2]["messages"][-1]["content"]
    records = recorded(library.data, 2)
    assert [each["question"] for each in records] == ["How long may I borrow a book?", llm.behaviour.text]


@pytest.mark.parametrize("limit", [{"tools": CLOCK}, {"max_tokens": 50}, {"stop": ["User:"]}])
def test_an_agent_with_tools_gets_its_follow_ups_looked_up_too(
    library: Library, published: Path, serve: Serve, llm: FakeLlm, limit: dict[str, Any]
) -> None:
    shutil.copytree(published, library.data)
    client = serve({"library": CollectionSettings(documents=[], earlier_turns="rewrite")})
    llm.behaviour.text = "How long may I borrow a book?"
    hit = ask(client, *BEFORE, user("And how long a book?"), **limit)
    assert hit.headers["cache-status"] == HIT
    assert hit.json()["beforehand"]["question"] == "How long may I borrow a book?"


def test_a_follow_up_in_another_language_gets_an_anticipated_answer_or_the_whole_chat_goes_on(
    library: Library, serve: Serve, llm: FakeLlm
) -> None:
    library.publish(
        library=Corpus(LIBRARY.documents, {"Was kostet eine Karte für Studenten?": ("Nichts [1].", "fees")})
    )
    client = serve({"library": CollectionSettings(documents=[], earlier_turns="rewrite", language="de")})
    llm.behaviour.text = "Was kostet eine Karte für Studenten?"
    assert ask(client, *BEFORE, user("und für Studenten?")).headers["cache-status"] == HIT
    llm.behaviour.text = "Was kostet eine Karte für Kinder?"
    assert ask(client, *BEFORE, user("und für Kinder?")).headers["x-beforehand-bypass"] == "earlier_turns"


def test_a_question_after_thanks_is_looked_up_and_one_after_a_fact_is_not(client: httpx.Client) -> None:
    thanks, fact = user(f"Thanks! {OPEN}"), user("I am a student.")
    assert ask(client, *BEFORE, thanks).headers["cache-status"] == HIT
    assert ask(client, fact, BEFORE[1], user(OPEN)).headers["x-beforehand-bypass"] == "earlier_turns"


def test_a_follow_up_is_grounded_in_what_it_follows(client: httpx.Client, llm: FakeLlm) -> None:
    reply = ask(client, *BEFORE, user("thanks!"))
    assert reply.json()["beforehand"]["source"] == "live"
    assert "A lost card costs ten euros" in llm.requests[0]["messages"][0]["content"]


def test_a_follow_up_is_no_way_past_a_rejection(library: Library, client: httpx.Client, llm: FakeLlm) -> None:
    key = query_key("library", BEFORE[0]["content"])
    append_decisions(library.data, [Decision("library", key, "f", "reject", "Ada")])
    until("rejected", lambda: ask(client, BEFORE[0]).json()["beforehand"]["source"] == "withheld")
    asked = len(llm.requests)
    assert ask(client, *BEFORE, user("And how much is it?")).json()["beforehand"]["reason"] == "rejected"
    assert len(llm.requests) == asked


def test_a_follow_up_that_the_model_can_not_put_in_other_words_is_grounded_in_the_whole_chat(
    library: Library, published: Path, serve: Serve, llm: FakeLlm
) -> None:
    shutil.copytree(published, library.data)
    client = serve({"library": CollectionSettings(documents=[], earlier_turns="rewrite")})
    llm.behaviour.text = "It is what it is."
    reply = ask(client, *BEFORE, user("And late books cost one euro a week?"))
    assert reply.headers["x-beforehand-bypass"] == "earlier_turns"
    assert len(llm.requests[1]["messages"]) == 4
    assert "Late books cost one euro" in llm.requests[1]["messages"][0]["content"]


def test_a_follow_up_is_no_question_to_anticipate_when_the_model_is_down(
    library: Library, published: Path, serve: Serve, llm: FakeLlm
) -> None:
    shutil.copytree(published, library.data)
    client = serve({"library": CollectionSettings(documents=[], earlier_turns="rewrite")})
    llm.behaviour.fail_with = 500
    assert ask(client, *BEFORE, user("And for students?")).status_code == 503
    headers = {"Cache-Control": "only-if-cached"}
    body = {"model": "m", "messages": [*BEFORE, user("And for students?")]}
    refused = client.post("/v1/chat/completions", json=body, headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (504, "not_cached")
    records = recorded(library.data, 2)
    assert [each["status"] for each in records] == [503, 504]
    assert "students" not in json.dumps(records)


def test_why_a_chat_is_not_looked_up_is_told_in_known_words_alone(client: httpx.Client) -> None:
    near = user("When does the library close in the afternoon?")
    reply = ask(client, near, n=2, logprobs=True, **{"x\r\ny": 1, "\u001f": 1, "z" * 9000: 1})
    assert reply.headers["x-beforehand-bypass"] == "parameters, logprobs, n"


def test_a_grounded_chat_is_embedded_once(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = client.app.state.service.current.get().encoder  # type: ignore[attr-defined]
    embedded: list[str] = []
    embed = encoder.embed
    monkeypatch.setattr(encoder, "embed", lambda texts: embedded.extend(texts) or embed(texts))
    ask(client, DESK, user("When does the library close in the afternoon?"))
    assert embedded == ["When does the library close in the afternoon?"]


def test_the_official_client_hits_with_its_usual_shapes(official: openai.OpenAI, llm: FakeLlm) -> None:
    messages = [ASSISTANT, *BEFORE, user(OPEN)]
    with official.chat.completions.stream(model="beforehand", messages=messages, tools=CLOCK) as stream:  # type: ignore[arg-type]
        final = stream.get_final_completion()
    assert final.choices[0].message.content == ANSWER
    assert json.loads(final.model_dump_json())["usage"] is None
    assert not llm.requests


def test_what_the_clients_of_others_send_hits(client: httpx.Client, llm: FakeLlm) -> None:
    """Each request as its client sent it, recorded in November 2026 (docs/clients.md)."""
    recorded = Path(__file__).with_name("client_requests.jsonl").read_text(encoding="utf-8").splitlines()
    for line in recorded:
        sent = json.loads(line)
        response = client.post(sent["path"], json=sent["body"])
        assert response.headers.get("cache-status") == HIT, (sent["client"], response.text)
        assert "nine in the morning" in response.text
    assert len(recorded) > 30
    assert llm.requests == []
