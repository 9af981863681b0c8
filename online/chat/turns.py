"""The turns of a chat without its system messages: what of them counts, and what the last one asks.

Greetings at the start count for nothing, since many applications open with "How can I help you?". Calls of tools that
were answered belong to the past, like the other earlier turns. A turn that an application wrote, around a question or
for a task of its own, is not a visitor's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from online.http.openai_schemas import ChatMessage, ChatRequest
from online.http.schemas import QUESTION_CHARACTERS, JsonObject
from rag.identity import normalise

PROMPTING = frozenset(("system", "developer"))
_TOOLS = frozenset(("tool", "function"))
_GREETING = frozenset(
    """hi hello hey hiya there good morning afternoon evening day how are you doing thanks thank ok okay please can
    could may i help me ask a an some quick have need question questions something with""".split()
)
_LONGEST_GREETING = 200  # characters
_FEWEST = 3  # words of a question after one: fewer may answer what it asks
# Marks of a prompt that an application wrote around a question or for a task of its own (a title, a search query).
_WRITTEN = re.compile(
    r"^(?:#{1,6}[ \t]+\S|[-=_*]{5,}[ \t]*$|</?[A-Za-z][\w -]*>[ \t]*$|\[/?INST\])|^[A-Z][\w ]{0,30}:[ \t]*\Z",
    re.MULTILINE,
)
_END = 200  # characters of such a prompt


def text_of(message: ChatMessage) -> str | None:
    """Return a message's text, or None if it holds something else."""
    if isinstance(message.content, str):
        return message.content
    if not message.content or any(part.get("type") != "text" for part in message.content):
        return None
    texts = [part.get("text") for part in message.content]
    return "\n".join(texts) if all(isinstance(text, str) for text in texts) else None  # type: ignore[arg-type]  # just checked


def without_greetings(turns: list[ChatMessage]) -> list[ChatMessage]:
    """Return the turns from the first on that says something, unless the last one may answer a greeting."""
    start = 0
    while start < len(turns) - 1 and _greets(turns[start]):
        start += 1
    last = text_of(turns[-1]) or "" if turns else ""
    return turns[start:] if len(last.split()) >= _FEWEST and turns[start].role == "user" else turns


def _greets(turn: ChatMessage) -> bool:
    text = text_of(turn)
    if not text or len(text) > _LONGEST_GREETING:
        return False
    return turn.role == "assistant" or (turn.role == "user" and set(re.findall(r"\w+", text.casefold())) <= _GREETING)


def asked_in(turns: list[ChatMessage]) -> str:
    """Return the question of the last turn, or "" if none is to be looked up."""
    text = text_of(turns[-1]) if turns and turns[-1].role == "user" else None
    if text is None or len(text) > QUESTION_CHARACTERS or not normalise(text) or is_template(text):
        return ""
    return text


def is_template(turn: str) -> bool:
    """Whether a turn is no question but a prompt of the application: with headings, rules, tags or an open label."""
    return turn.count("\n") > 1 and _WRITTEN.search(turn.strip()) is not None


def is_settled(turns: list[ChatMessage], messages: Sequence[JsonObject]) -> bool:
    """Whether all turns are text and calls of tools that were answered; `messages` are those of the request."""
    raw = [each for each in messages if each.get("role") not in PROMPTING]
    calls = [bool(each.get("tool_calls") or each.get("function_call")) for each in raw]
    for turn, calling, following in zip(turns, calls, [*turns, None][1:], strict=True):
        if calling:
            if turn.role != "assistant" or following is None or following.role not in _TOOLS:
                return False
        elif turn.role in _TOOLS:
            if following is None or following.role == "user":
                return False  # the model has not said yet what it makes of it
        elif turn.role not in {"user", "assistant"} or text_of(turn) is None:
            return False
    return True


def last_question(chat: ChatRequest) -> str:
    """Return the text of the last turn of the user, or "" if there is none; images and files are not read.

    Of a prompt that an application wrote it is the end, where the visitor's words mostly stand.
    """
    for message in reversed(chat.messages):
        if message.role == "user":
            parts = [message.content] if isinstance(message.content, str) else message.content or []
            texts = [part if isinstance(part, str) else part.get("text") for part in parts]
            whole = "\n".join(text for text in texts if isinstance(text, str))
            return whole[-_END:] if is_template(whole) else whole[:QUESTION_CHARACTERS]
    return ""
