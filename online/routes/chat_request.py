"""What a chat completion request asks, and whether an anticipated answer may answer it.

An anticipated answer fits a chat of one user message of plain text, without anything else that shapes the answer: a
system message, earlier turns, tools, a response format, several choices, stop strings, fewer tokens than the answer
may have. Every other chat bypasses the cache (`online.routes.bypass`). Sampling parameters don't count: temperature
0.7 asks for an answer, not for a random one. A live answer honours them (`sampling_of`).
"""

from __future__ import annotations

from dataclasses import replace

from online.errors import Problem
from online.http.schemas import QUESTION_CHARACTERS, ChatMessage, ChatRequest, JsonObject
from rag.llm.protocol import Message, Sampling

MODEL = "beforehand"
_DRAWN = "temperature top_p frequency_penalty presence_penalty repetition_penalty seed".split()
_SHAPELESS = frozenset(
    """model messages stream stream_options user metadata store service_tier safety_identifier
    prompt_cache_key filters""".split()
).union(_DRAWN)
_NEUTRAL: JsonObject = {
    "n": 1, "tool_choice": "none", "tools": [], "response_format": {"type": "text"}, "logprobs": False, "stop": [],
    "logit_bias": {}, "modalities": ["text"], "parallel_tool_calls": True, "functions": [], "top_logprobs": 0,
}  # fmt: skip
_CARRIED = frozenset("stop max_tokens max_completion_tokens".split())
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def text_of(message: ChatMessage) -> str | None:
    """Return a message's text, or None if it holds something else."""
    if isinstance(message.content, str):
        return message.content
    if not message.content or any(part.get("type") != "text" for part in message.content):
        return None
    texts = [part.get("text") for part in message.content]
    return "\n".join(texts) if all(isinstance(text, str) for text in texts) else None  # type: ignore[arg-type]  # just checked


def question_of(chat: ChatRequest, fields: JsonObject, answer_tokens: int) -> str | None:
    """Return the question that an anticipated answer may answer, or None to bypass the cache.

    `fields` is the request as it came, `answer_tokens` the length that anticipated answers may have.
    """
    if len(chat.messages) != 1 or chat.messages[0].role != "user" or shaping(fields, answer_tokens):
        return None
    question = text_of(chat.messages[0])
    return question if question is not None and 0 < len(question) <= QUESTION_CHARACTERS else None


def last_question(chat: ChatRequest) -> str:
    """Return the text of the last turn of the user, or "" if there is none; images and files are not read."""
    for message in reversed(chat.messages):
        if message.role == "user":
            parts = [message.content] if isinstance(message.content, str) else message.content or []
            texts = [part if isinstance(part, str) else part.get("text") for part in parts]
            return "\n".join(text for text in texts if isinstance(text, str))[:QUESTION_CHARACTERS]
    return ""


def grounded(fields: JsonObject, grounding: str) -> JsonObject:
    """Return a chat with a system message put in front; one of the chat's own that is first follows in the same."""
    first, *rest = fields["messages"]
    if first["role"] not in {"system", "developer"}:
        return {**fields, "messages": [{"role": "system", "content": grounding}, first, *rest]}
    own = first.get("content")
    parts = [{"type": "text", "text": grounding}, *own] if isinstance(own, list) else f"{grounding}\n\n{own or ''}"
    return {**fields, "messages": [{**first, "content": parts}, *rest]}


def shaping(fields: JsonObject, answer_tokens: int) -> list[str]:
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
    """Return the collection of a model named `beforehand/<collection>`, or None."""
    prefix, slash, collection = model.partition("/")
    return collection if prefix == MODEL and slash else None


def sampling_of(chat: ChatRequest, sampling: Sampling) -> Sampling:
    """Return the sampling of a chat: its own parameters, else those of `sampling`."""
    stop = [chat.stop] if isinstance(chat.stop, str) else chat.stop or []
    wishes = {name: getattr(chat, name) for name in _DRAWN}
    return replace(
        sampling,
        max_tokens=chat.max_completion_tokens or chat.max_tokens or sampling.max_tokens,
        stop=tuple(stop),
        **{name: value for name, value in wishes.items() if value is not None},
    )


def chat_of(chat: ChatRequest, fields: JsonObject, sampling: Sampling) -> tuple[list[Message], Sampling]:
    """Return a chat as `rag.llm.protocol` carries it: its messages and its sampling.

    Raises:
        Problem: it holds what can't be carried, which must not be dropped silently.
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
