"""What the headers and the body of a request ask for, checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from starlette.types import Receive

from online.errors import ClientGoneError, Kind, Problem
from online.http.authentication import Headers
from online.http.schemas import Ask, JsonObject

T = TypeVar("T")

_DEEPEST = 100  # a JSON schema of tools has some ten levels
_JSON = re.compile(rb"application/(?:[a-z0-9!#$&^_.-]+\+)?json", re.IGNORECASE)
_WAIT = re.compile(r"^wait\s*=\s*\"?(\d{1,6})\"?$")
_ask = msgspec.json.Decoder(Ask)
_fields = msgspec.json.Decoder(JsonObject)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True)
class Directives:
    """What the headers ask for.

    `fresh`: Cache-Control: no-cache. `private`: no-store. `only_cached`: only-if-cached. `later`: Prefer:
    respond-async, after `wait` seconds.
    """

    fresh: bool = False
    private: bool = False
    later: bool = False
    wait: int = 0
    only_cached: bool = False


_NONE = Directives()


def directives(headers: Headers) -> Directives:
    """Read Cache-Control and Prefer (RFC 7240); unknown values are ignored, as both RFCs want."""
    if b"cache-control" not in headers and b"prefer" not in headers:
        return _NONE
    cache = _tokens(headers.get(b"cache-control", b""))
    prefer = _tokens(headers.get(b"prefer", b""))
    waits = [int(match[1]) for token in prefer if (match := _WAIT.match(token))]
    return Directives(
        fresh="no-cache" in cache,
        private="no-store" in cache,
        later="respond-async" in prefer,
        wait=waits[0] if waits else 0,
        only_cached="only-if-cached" in cache,
    )


def _tokens(value: bytes) -> list[str]:
    return [token.strip().lower() for token in re.split(r"[,;]", value.decode("latin-1"))]


async def read_body(receive: Receive) -> bytes:
    """Read a whole body.

    Raises:
        ClientGoneError: the client disconnected before the end.
    """
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    parts = [body]
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        parts.append(message.get("body", b""))
    return b"".join(parts)


def read_ask(headers: Headers, body: bytes) -> Ask:
    """Decode a question.

    Raises:
        Problem: the body is not JSON, or not a question; the message names the field.
    """
    return read_json(headers, body, _ask)


def read_json(headers: Headers, body: bytes, decoder: msgspec.json.Decoder[T], unreadable: Kind = "malformed") -> T:
    """Decode a body; one that is not JSON is a problem of the kind `unreadable`.

    Raises:
        Problem: it is not JSON, or not what was expected; the message names the field.
    """
    require_media_type(headers, _JSON, "application/json")
    try:
        return decoder.decode(body)
    except _UNREADABLE as error:
        raise _unreadable(error, unreadable) from None


def require_media_type(headers: Headers, accepted: re.Pattern[bytes], named: str) -> None:
    """Refuse a body of another media type, or of none: a page of another site can send those without a pre-flight.

    Raises:
        Problem: the media type, without its parameters, is not accepted.
    """
    media_type = headers.get(b"content-type", b"").partition(b";")[0].strip()
    if accepted.fullmatch(media_type) is None:
        raise Problem("media-type", f"Send the body as {named}, and say so in Content-Type.")


def read_fields(headers: Headers, body: bytes, kind: type[T]) -> tuple[T, JsonObject]:
    """Decode a body that may have further fields; return the known ones, checked, and all of them unchanged.

    Raises:
        Problem: it is not JSON, or not what was expected; the message names the field.
    """
    fields = read_json(headers, body, _fields)
    if not _shallow(fields, _DEEPEST):
        raise _too_deep()
    return known_fields(fields, kind), fields


def known_fields(fields: JsonObject, kind: type[T]) -> T:
    """Return the known ones of a body's fields.

    Raises:
        Problem: they are not what was expected; the message names the field.
    """
    try:
        return msgspec.convert(fields, kind)
    except _UNREADABLE as error:
        raise _unreadable(error) from None


def _unreadable(error: Exception, kind: Kind = "malformed") -> Problem:
    if isinstance(error, msgspec.ValidationError):
        return Problem("invalid", f"{error}.", param=_field(str(error)))
    if isinstance(error, RecursionError):
        return _too_deep()
    return Problem(kind, f"The body is not JSON: {error}.")


def _too_deep() -> Problem:
    return Problem("malformed", "The body is nested too deeply.")


def _shallow(value: object, levels: int) -> bool:
    """Whether a value is at most `levels` deep; a model's server that fails on a deeper one would seem down."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_shallow(each, levels - 1) for each in inside if isinstance(each, dict | list))


def _field(message: str) -> str | None:
    found = re.search(r"`\$\.(\w+)", message) or re.search(r"field `(\w+)`", message)
    return found[1] if found else None
