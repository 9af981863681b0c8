"""Which chats an anticipated answer may answer."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online.errors import Problem
from online.http.schemas import ChatRequest
from online.routes.chat_format import pieces
from online.routes.chat_request import chat_of, collection_of, question_of, shaping
from rag.llm.protocol import Sampling

QUESTION = "When does the library open?"


def chat(**fields: Any) -> tuple[ChatRequest, dict[str, Any]]:
    body = {"model": "m", "messages": [{"role": "user", "content": QUESTION}], **fields}
    return msgspec.convert(body, ChatRequest), body


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
