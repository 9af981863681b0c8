"""A chat completion request: what it asks, and whether an anticipated answer may answer it.

An anticipated answer fits a chat of one user message of plain text, asked without anything that would shape
the answer otherwise: a system message, earlier turns, tools, a response format, several choices, stop strings,
fewer tokens than the answer may have. All else bypasses the cache and goes to the language model as it is.
Sampling parameters don't count: who asks for temperature 0.7 asks for an answer, not for a random one. Where
there is no anticipated answer they are honoured (`sampling_of`): the live one is drawn as the request wishes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from online.http.problems import Problem
from online.http.schemas import QUESTION_CHARACTERS
from rag.llm.protocol import Message, Sampling

MODEL = "beforehand"
_DRAWN = "temperature top_p frequency_penalty presence_penalty repetition_penalty seed".split()  # how, not what
_SHAPELESS = frozenset(
    """model messages stream stream_options user metadata store service_tier safety_identifier
    prompt_cache_key""".split()
).union(_DRAWN)
_NEUTRAL: dict[str, Any] = {
    "n": 1, "tool_choice": "none", "tools": [], "response_format": {"type": "text"}, "logprobs": False, "stop": [],
    "logit_bias": {}, "modalities": ["text"], "parallel_tool_calls": True, "functions": [], "top_logprobs": 0,
}  # fmt: skip
_CARRIED = frozenset("stop max_tokens max_completion_tokens".split())
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}

Part = dict[str, Any]


class ChatMessage(msgspec.Struct):
    """One turn. Further fields are allowed."""

    role: Annotated[str, Meta(min_length=1)]
    content: str | list[Part] | None = None


class StreamOptions(msgspec.Struct):
    """How to stream."""

    include_usage: bool | None = None


class ChatRequest(msgspec.Struct):
    """A chat completion request; what else OpenAI knows is allowed and goes to the language model."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    messages: Annotated[list[ChatMessage], Meta(min_length=1, max_length=1000)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=10)] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None


def text_of(message: ChatMessage) -> str | None:
    """Return a message's text, or None if it holds something else."""
    if isinstance(message.content, str):
        return message.content
    if not message.content or any(part.get("type") != "text" for part in message.content):
        return None
    texts = [part.get("text") for part in message.content]
    return "\n".join(texts) if all(isinstance(text, str) for text in texts) else None  # type: ignore[arg-type]  # just checked


def question_of(chat: ChatRequest, fields: dict[str, Any], answer_tokens: int) -> str | None:
    """Return the question that an anticipated answer may answer, or None if the cache is to be bypassed.

    `fields` is the request as it came, `answer_tokens` the length that anticipated answers may have.
    """
    if len(chat.messages) != 1 or chat.messages[0].role != "user" or shaping(fields, answer_tokens):
        return None
    question = text_of(chat.messages[0])
    return question if question is not None and 0 < len(question) <= QUESTION_CHARACTERS else None


def shaping(fields: dict[str, Any], answer_tokens: int) -> list[str]:
    """Return the parameters that make an anticipated answer wrong."""
    return sorted(
        name
        for name, value in fields.items()
        if name not in _SHAPELESS
        and value is not None
        and value != _NEUTRAL.get(name, _NEUTRAL)
        and not (name in {"max_tokens", "max_completion_tokens"} and value >= answer_tokens)
    )


def collection_of(model: str) -> str | None:
    """Return the collection that a model's name names, as `beforehand/<collection>`, or None."""
    prefix, slash, collection = model.partition("/")
    return collection if prefix == MODEL and slash else None


def sampling_of(chat: ChatRequest, sampling: Sampling) -> Sampling:
    """Return how the answer to a chat is to be drawn, which is `sampling` where the request leaves a choice."""
    stop = [chat.stop] if isinstance(chat.stop, str) else chat.stop or []
    wishes = {name: getattr(chat, name) for name in _DRAWN}
    return replace(
        sampling,
        max_tokens=chat.max_completion_tokens or chat.max_tokens or sampling.max_tokens,
        stop=tuple(stop),
        **{name: value for name, value in wishes.items() if value is not None},
    )


def chat_of(chat: ChatRequest, fields: dict[str, Any], sampling: Sampling) -> tuple[list[Message], Sampling]:
    """Return a chat as `rag.llm.protocol` can carry it, with `sampling` where the request leaves a choice.

    Raises:
        Problem: it holds what can't be carried; better than to drop it silently.
    """
    if unknown := [name for name in shaping(fields, 0) if name not in _CARRIED]:
        raise Problem(
            "invalid", f"This language model can't be given {unknown[0]!r} through Beforehand.", param=unknown[0]
        )
    messages = [Message(_ROLES.get(each.role, ""), text_of(each) or "") for each in chat.messages]
    for number, message in enumerate(messages):
        if not message.role or text_of(chat.messages[number]) is None:
            raise Problem(
                "invalid", "Messages must be text of a system, user or assistant.", param=f"messages[{number}]"
            )
    return messages, sampling_of(chat, sampling)
