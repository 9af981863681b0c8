"""Which chats an anticipated answer may answer."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online.chat.format import pieces
from online.chat.request import Limits, chat_of, collection_of, read_chat, shaping
from online.chat.rules import ChatRules, is_ordinary, prompt_hash
from online.chat.turns import is_template
from online.errors import Problem
from online.http.openai_schemas import ChatRequest
from rag.llm.protocol import Sampling

QUESTION = "When does the library open?"


def chat(**fields: Any) -> tuple[ChatRequest, dict[str, Any]]:
    body = {"model": "m", "messages": [{"role": "user", "content": QUESTION}], **fields}
    return msgspec.convert(body, ChatRequest), body


def question_of(request: ChatRequest, fields: dict[str, Any], answer_tokens: int) -> str | None:
    """Return the question of a chat that is nothing but one, or None."""
    reading = read_chat(request, fields, answer_tokens, ChatRules())
    return None if reading.bypass or reading.limits is not None else reading.question


@pytest.mark.parametrize(
    "content",
    [QUESTION, [{"type": "text", "text": QUESTION}]],
)
def test_plain_text_is_a_question_in_both_forms(content: object) -> None:
    assert question_of(*chat(messages=[{"role": "user", "content": content}]), 192) == QUESTION


@pytest.mark.parametrize(
    "content",
    [None, [], "", "x" * 2001, [{"type": "image_url", "image_url": {"url": "data:"}}], [{"type": "text"}],
     [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "data:"}}]],
)  # fmt: skip
def test_only_plain_text_is_a_question(content: object) -> None:
    assert question_of(*chat(messages=[{"role": "user", "content": content}]), 192) is None


@pytest.mark.parametrize("role", ["system", "developer", "assistant", "tool"])
def test_only_a_user_asks(role: str) -> None:
    assert question_of(*chat(messages=[{"role": role, "content": QUESTION}]), 192) is None


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, []),
        ({"temperature": 0, "top_p": 0.5, "seed": 7, "user": "u", "metadata": {"a": "b"}, "store": True}, []),
        ({"n": 1, "tools": [], "tool_choice": "none", "response_format": {"type": "text"}, "stop": None}, []),
        ({"n": 0}, ["n"]),
        ({"n": 2, "logprobs": True}, ["logprobs", "n"]),
        ({"response_format": {"type": "json_schema"}}, ["response_format"]),
        ({"tool_choice": "auto"}, ["tool_choice"]),
        ({"max_tokens": 192}, []),
        ({"max_tokens": 191}, ["max_tokens"]),
        ({"max_completion_tokens": 5}, ["max_completion_tokens"]),
        ({"stop": "."}, ["stop"]),
        ({"something_new": 1}, ["something_new"]),
    ],
)
def test_the_parameters_that_shape_an_answer(fields: dict[str, Any], found: list[str]) -> None:
    assert shaping(chat(**fields)[1], 192) == found


@pytest.mark.parametrize(
    ("model", "collection"),
    [
        ("beforehand/library", "library"),
        ("beforehand/a/b", "a/b"),
        ("beforehand", None),
        ("gpt-x", None),
        ("x/y", None),
    ],
)
def test_a_model_may_name_a_collection(model: str, collection: str | None) -> None:
    assert collection_of(model) == collection


def test_a_bypassed_chat_keeps_roles_and_parameters() -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": [{"type": "text", "text": "Bye"}]},
    ]
    request, fields = chat(messages=messages, temperature=0.0, top_p=0.9, seed=3, stop="x", max_completion_tokens=9)
    carried, sampling = chat_of(request, fields, Sampling(temperature=0.7, seed=1))
    assert [(each.role, each.content) for each in carried] == [
        ("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi"), ("user", "Bye"),
    ]  # fmt: skip
    assert (sampling.temperature, sampling.top_p, sampling.seed, sampling.stop, sampling.max_tokens) == (
        0.0, 0.9, 3, ("x",), 9,
    )  # fmt: skip


@pytest.mark.parametrize("fields", [{"tools": [{"type": "function"}]}, {"n": 3}, {"logit_bias": {"50256": -100}}])
def test_nothing_is_dropped_silently(fields: dict[str, Any]) -> None:
    with pytest.raises(Problem, match=next(iter(fields))):
        chat_of(*chat(**fields), Sampling())


@given(st.text(max_size=300))
def test_the_pieces_of_a_prepared_answer_joined_are_its_text(text: str) -> None:
    assert "".join(pieces(text)) == text


ASSISTANT = {
    "role": "system",
    "content": "You are a helpful assistant. Answer the user's questions briefly and politely.",
}
PIRATE = {"role": "developer", "content": "Speak like a pirate."}
USER = {"role": "user", "content": QUESTION}
BEFORE = [{"role": "user", "content": "How do I renew a loan?"}, {"role": "assistant", "content": "At the desk."}]
FOLLOW_UP = {"role": "user", "content": "And for students?"}
HELLO = {"role": "user", "content": "Hi there!"}
OFFER = {"role": "assistant", "content": "Hello! How can I help you today?"}
FEES = {"role": "user", "content": "What are the fees?"}
CALLED = [
    {"role": "user", "content": "What time is it?"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
    {"role": "tool", "tool_call_id": "1", "content": "12:00"},
]
TOOLS = [{"type": "function", "function": {"name": "clock", "parameters": {}}}]


@pytest.mark.parametrize(
    ("messages", "rules", "bypass"),
    [
        ([ASSISTANT, USER], ChatRules(), ()),
        ([PIRATE, USER], ChatRules(), ("system_prompt",)),
        ([PIRATE, USER], ChatRules("ignore"), ()),
        ([PIRATE, USER], ChatRules("pin", known=frozenset({prompt_hash(" Speak like a pirate.\n")})), ()),
        ([ASSISTANT, USER], ChatRules("bypass"), ("system_prompt",)),
        ([{"role": "system", "content": [{"type": "image_url"}]}, USER], ChatRules("ignore"), ("system_prompt",)),
        ([*BEFORE, USER], ChatRules(), ()),
        ([*BEFORE, FOLLOW_UP], ChatRules(), ("earlier_turns",)),
        ([*BEFORE, FOLLOW_UP], ChatRules(earlier_turns="rewrite"), ()),
        ([*BEFORE, USER], ChatRules(earlier_turns="bypass"), ("earlier_turns",)),
        ([USER, {"role": "assistant", "content": "", "tool_calls": [{}]}, USER], ChatRules(), ("messages",)),
        ([*BEFORE, {"role": "tool", "content": "12:00"}], ChatRules(), ("messages", "earlier_turns")),
        ([*CALLED, {"role": "assistant", "content": "Noon."}, USER], ChatRules(), ()),
        ([*CALLED, USER], ChatRules(), ("messages",)),
        ([OFFER, FEES], ChatRules(), ()),
        ([OFFER, FEES], ChatRules(earlier_turns="bypass"), ()),
        ([HELLO, OFFER, FEES], ChatRules(), ()),
        ([HELLO, OFFER, {"role": "user", "content": "Premium"}], ChatRules(), ("earlier_turns",)),
        ([*BEFORE, HELLO, OFFER, FEES], ChatRules(), ("earlier_turns",)),
    ],
)
def test_the_rules_say_what_a_system_prompt_and_earlier_turns_mean(
    messages: list[dict[str, Any]], rules: ChatRules, bypass: tuple[str, ...]
) -> None:
    assert read_chat(*chat(messages=messages), 192, rules).bypass == bypass


def test_only_a_follow_up_is_made_to_stand_alone() -> None:
    rewrite = ChatRules(earlier_turns="rewrite")
    assert read_chat(*chat(messages=[*BEFORE, FOLLOW_UP]), 192, rewrite).follow_up
    assert not read_chat(*chat(messages=[*BEFORE, USER]), 192, rewrite).follow_up
    assert not read_chat(*chat(messages=[FOLLOW_UP]), 192, rewrite).follow_up
    assert not read_chat(*chat(messages=[PIRATE, *BEFORE, FOLLOW_UP]), 192, rewrite).follow_up


@pytest.mark.parametrize(
    ("wishes", "limits"),
    [
        ({"reasoning_effort": "low", "verbosity": "low", "tools": TOOLS, "tool_choice": "none"}, None),
        ({"tools": TOOLS}, Limits()),
        ({"tools": TOOLS, "tool_choice": "auto", "parallel_tool_calls": False}, Limits()),
        ({"stop": "\n\n", "max_tokens": 50}, Limits(50, ("\n\n",))),
        ({"stop": ["a", ""], "max_completion_tokens": 500}, Limits(None, ("a",))),
    ],
)
def test_what_limits_a_prepared_answer_does_not_keep_it_from_being_looked_up(
    wishes: dict[str, Any], limits: Limits | None
) -> None:
    reading = read_chat(*chat(**wishes), 192, ChatRules())
    assert (reading.bypass, reading.limits) == ((), limits)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "clock"}}, 7, []])
def test_a_tool_that_must_be_called_bypasses(choice: object) -> None:
    assert read_chat(*chat(tools=TOOLS, tool_choice=choice), 192, ChatRules()).bypass == ("tool_choice",)


@pytest.mark.parametrize(
    ("limits", "allowed"),
    [
        (Limits(), True),
        (Limits(12), True),
        (Limits(11), False),
        (Limits(stop=("nine", "x")), False),
        (Limits(stop=("\n",)), True),
    ],
)
def test_a_prepared_answer_is_served_if_it_satisfies_the_limits(limits: Limits, *, allowed: bool) -> None:
    assert limits.allow("The library opens at nine in the morning [1].") is allowed


@pytest.mark.parametrize(
    "prompt",
    [
        "You are a helpful assistant that answers in JSON.",
        "Translate the user's text into French.",
        "You are a helpful assistant. Classify the user's question.",
        "Never answer questions.",
        "Be helpful! " * 40,
        "Answer with one question.",
        "You are the user's customer. Answer as a customer.",
        "Always answer: you are great.",
        "You are a helpful assistant \U0001f1e9\U0001f1ea",
        "{}",
    ],
)
def test_a_prompt_that_may_ask_for_something_else_is_not_ordinary(prompt: str) -> None:
    assert not is_ordinary(prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        "You are a helpful assistant",
        "You are a helpful AI assistant. Answer the user's questions accurately and concisely.",
        "You are a customer support assistant. Answer customer questions politely and professionally.",
        "You are ChatGPT, a large language model trained by OpenAI.\n"
        "Knowledge cutoff: 2024-06\nCurrent date: 2027-03-09",
        "You are a helpful AI assistant.\n\nSystem time: 2027-03-09T08:15:30.123456+00:00",
        "You are a friendly assistant! Keep your responses concise and helpful.",
        "You are a helpful assistant. Today is 2027-03-09.",
        "You are a friendly support agent. Today\u2019s date is March 9, 2027. Be concise.",
        "You are a helpful assistant.\nCurrent date and time: 2027-03-09T08:15:30Z",
    ],
)
def test_a_stock_prompt_asks_for_nothing_that_a_prepared_answer_lacks(prompt: str) -> None:
    assert ChatRules().admits(prompt)
    assert not ChatRules("bypass").admits(prompt)
    assert not ChatRules().admits(f"{prompt} Answer in German.")


@pytest.mark.parametrize(
    "date",
    ["2026-11-26", "2026-11-26T08:15:00Z", "Thursday, November 26, 2026", "26 November 2026 at 8:15 am", "26.11.2026"],
)
def test_a_prompt_keeps_its_hash_when_the_day_changes(date: str) -> None:
    prompt = "You work at the desk of a library. Today is {}. Be kind."
    rules = ChatRules(known=frozenset({prompt_hash(prompt.format("2026-01-02"))}))
    assert rules.admits(prompt.format(date))
    assert not rules.admits(prompt.format("a holiday"))


def test_a_hash_that_an_earlier_version_made_of_a_prompt_with_a_date_still_counts() -> None:
    prompt = "You work at the desk. Today is 2026-01-02."
    hashed = "sha256:" + hashlib.sha256(prompt.encode()).hexdigest()
    assert ChatRules(known=frozenset({hashed})).admits(prompt)


@pytest.mark.parametrize(
    "turn",
    [
        "### Task:\nGenerate a short title.\n### Chat History:\n<chat_history>\nUSER: Hello\n</chat_history>",
        "Given a conversation, rewrite the message.\n\n<Chat History>\nuser: hi\n\n<Standalone question>\n",
        "Context information is below.\n---------------------\nText\n---------------------\nQuery: When?\nAnswer: ",
        "Use the context to answer.\nQuestion: When does the library open?\nContext: none\nAnswer:",
    ],
)
def test_a_prompt_that_an_application_writes_is_no_question_of_a_visitor(turn: str) -> None:
    assert question_of(*chat(messages=[{"role": "user", "content": turn}]), 192) is None


@pytest.mark.parametrize(
    "turn",
    [
        QUESTION,
        "Why does this fail?\n\n```python\nfor x in range(3):\n    print(x)\n```\nI get: nothing",
        "- When does it open?\n- What does a card cost?\n* and where?",
        "Hello,\n\nwhat does a lost card cost?\n\nRegards,\nAda",
    ],
)
def test_a_question_of_several_lines_is_one(turn: str) -> None:
    assert not is_template(turn)


def test_a_question_after_a_greeting_is_one_alone() -> None:
    reading = read_chat(*chat(messages=[HELLO, OFFER, FEES]), 192, ChatRules())
    assert (reading.question, reading.limits) == ("What are the fees?", None)
