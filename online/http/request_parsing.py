"""From a request to a question: what the headers and the body ask for, checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from online.answering.lookup import Asked
from online.http.authentication import Caller, Headers
from online.http.problems import Problem
from online.http.schemas import Ask
from rag.identity import query_key

T = TypeVar("T")

_DEEPEST = 100  # a JSON schema of tools has some ten levels
_WAIT = re.compile(r"^wait\s*=\s*\"?(\d{1,6})\"?$")
_ask = msgspec.json.Decoder(Ask)
_fields = msgspec.json.Decoder(dict[str, Any])
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True)
class Directives:
    """What the caller wishes beside the question.

    `fresh`: Cache-Control: no-cache. `private`: no-store. `later`: Prefer: respond-async, after `wait` seconds.
    """

    fresh: bool = False
    private: bool = False
    later: bool = False
    wait: int = 0


_NONE = Directives()


def directives(headers: Headers) -> Directives:
    """Read Cache-Control and Prefer (RFC 7240); what is unknown is ignored, as both RFCs want."""
    if b"cache-control" not in headers and b"prefer" not in headers:
        return _NONE
    cache = _tokens(headers.get(b"cache-control", b""))
    prefer = _tokens(headers.get(b"prefer", b""))
    waits = [int(match[1]) for token in prefer if (match := _WAIT.match(token))]
    return Directives("no-cache" in cache, "no-store" in cache, "respond-async" in prefer, waits[0] if waits else 0)


def _tokens(value: bytes) -> list[str]:
    return [token.strip().lower() for token in re.split(r"[,;]", value.decode("latin-1"))]


def read_ask(headers: Headers, body: bytes) -> Ask:
    """Decode a question.

    Raises:
        Problem: the body is not JSON, or not a question; the message names the field.
    """
    return read_json(headers, body, _ask)


def read_json(headers: Headers, body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode a body.

    Raises:
        Problem: it is not JSON, or not what was expected; the message names the field.
    """
    media_type = headers.get(b"content-type")
    if media_type is not None and b"json" not in media_type.lower():
        raise Problem("media-type", "Send the question as application/json.")
    try:
        return decoder.decode(body)
    except _UNREADABLE as error:
        raise _unreadable(error) from None


def read_fields(headers: Headers, body: bytes, kind: type[T]) -> tuple[T, dict[str, Any]]:
    """Decode a body that may have further fields: what we know of it, checked, and all of it as it came.

    Raises:
        Problem: it is not JSON, or not what was expected; the message names the field.
    """
    fields = read_json(headers, body, _fields)
    if not _shallow(fields, _DEEPEST):
        raise _too_deep()
    try:
        return msgspec.convert(fields, kind), fields
    except _UNREADABLE as error:
        raise _unreadable(error) from None


def _unreadable(error: Exception) -> Problem:
    if isinstance(error, msgspec.ValidationError):
        return Problem("invalid", f"{error}.", param=_field(str(error)))
    if isinstance(error, RecursionError):
        return _too_deep()
    return Problem("malformed", f"The body is not JSON: {error}.")


def _too_deep() -> Problem:
    return Problem("malformed", "The body is nested too deeply.")


def _shallow(value: object, levels: int) -> bool:
    """Say whether a value is nested so deep at most; a model's server that fails on a deeper one would seem down."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_shallow(each, levels - 1) for each in inside if isinstance(each, dict | list))


def _field(message: str) -> str | None:
    found = re.search(r"`\$\.(\w+)", message) or re.search(r"field `(\w+)`", message)
    return found[1] if found else None


def asked_by(
    caller: Caller, ask: Ask, wishes: Directives, request_id: str, started: float, route: str = "answers"
) -> Asked:
    """Resolve the collection and name the question.

    Raises:
        Problem: the collection is not the caller's.
    """
    collection = caller.collection(ask.collection)
    return Asked(
        request_id=request_id,
        collection=collection,
        question=ask.question,
        query_key=query_key(collection, ask.question),
        started=started,
        key_id=caller.key_id,
        route=route,
        explain=ask.explain,
        stream=ask.stream,
        fresh=wishes.fresh,
        private=wishes.private,
    )
