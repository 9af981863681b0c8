"""The edge of the service: what every request and response has, whatever route it takes.

Plain ASGI, since it runs on the hot path: a request id, a limit for the body, headers for safety and of the rate
limit, and one shape for whatever goes wrong.
"""

from __future__ import annotations

import contextvars
import logging
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from online.http.authentication import Caller
from online.http.disconnect import ClientGoneError
from online.http.problems import Problem, render
from online.telemetry.tracing import Tracing

OPENAI_ROUTES = ("/v1/chat/completions", "/v1/models")

_WELL_FORMED = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_LISTS = frozenset({b"cache-control", b"prefer", b"if-none-match"})
_API_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")

Headers = Mapping[bytes, bytes]
_log = logging.getLogger("beforehand.service")
request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="-")


class Edge:
    """Wraps the application. `on_problem` is told the kind of everything that goes wrong.

    A POST to a path in `direct` goes straight there; routing would cost half as much again as an exact hit.
    """

    def __init__(
        self,
        app: ASGIApp,
        body_bytes: int,
        on_problem: Callable[[str], None],
        direct: Mapping[str, ASGIApp],
        tracing: Tracing | None,
    ) -> None:
        self._app = app
        self._direct = direct
        self._tracing = tracing
        self._body_bytes = body_bytes
        self._on_problem = on_problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        asked_id = headers.get(b"x-request-id", b"")
        name = asked_id if _WELL_FORMED.fullmatch(asked_id) else secrets.token_hex(12).encode()
        scope["headers_by_name"] = headers
        scope["request_id"] = name.decode()
        request_id.set(scope["request_id"])
        if self._tracing is None:
            await self._serve(scope, receive, send, headers, name)
            return
        with self._tracing.request(scope) as span:

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            await self._serve(scope, receive, noted, headers, name)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, headers: Headers, name: bytes) -> None:
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = _complete(message["headers"], name, scope.get("caller"))
            await send(message)

        pairs = scope["headers"]
        app = self._direct.get(scope["path"], self._app) if scope["method"] == "POST" else self._app
        try:
            if len(headers) != len(pairs):  # seldom; so an exact hit pays for no more than this
                headers = scope["headers_by_name"] = _joined(pairs)
            await app(scope, self._limited(headers, receive), send_with_headers)
        except ClientGoneError:
            return
        except Problem as problem:
            if started:
                raise
            await self.refuse(problem, scope, send_with_headers)
        except Exception:
            _log.exception("fault in %s %s", scope["method"], scope["path"])
            if started:
                raise
            fault = Problem("internal", "The service has a fault; its log has the details.")
            await self.refuse(fault, scope, send_with_headers)

    def _limited(self, headers: Headers, receive: Receive) -> Receive:
        """Refuse a body that is too large, by its announced length or while it comes in."""
        length = headers.get(b"content-length")
        if length is not None and length.isdigit():
            if int(length) > self._body_bytes:
                raise _too_large(self._body_bytes)
            return receive
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._body_bytes:
                raise _too_large(self._body_bytes)
            return message

        return counted

    async def refuse(self, problem: Problem, scope: Scope, send: Send) -> None:
        """Send a problem as the response."""
        self._on_problem(problem.kind)
        await respond_with(problem, scope, send)


def _joined(pairs: list[tuple[bytes, bytes]]) -> Headers:
    """Return headers of which some came in several lines; lists are joined, as RFC 9110 (5.3) wants."""
    headers: dict[bytes, bytes] = {}
    for name, value in pairs:
        if name == b"authorization" and name in headers:
            raise Problem("malformed", "Send one Authorization header, not several.")
        headers[name] = b"%b, %b" % (headers[name], value) if name in _LISTS and name in headers else value
    return headers


def _too_large(limit: int) -> Problem:
    return Problem("too-large", f"The body may have at most {limit} bytes.")


def _complete(headers: list[tuple[bytes, bytes]], name: bytes, caller: Caller | None) -> list[tuple[bytes, bytes]]:
    complete = [*headers, (b"x-request-id", name), *_HEADERS]
    if caller is not None and caller.bucket is not None:
        complete += caller.bucket.headers()
    if not any(key == b"content-security-policy" for key, _ in headers):
        complete.append(_API_POLICY)
    return complete


def is_openai(scope: Scope) -> bool:
    """Say whether a request came to a route that speaks OpenAI's shapes."""
    return str(scope["path"]).startswith(OPENAI_ROUTES)


async def respond_with(problem: Problem, scope: Scope, send: Send) -> None:
    """Send a problem in the shape of its route."""
    rendered = render(problem, scope.get("request_id", ""), openai=is_openai(scope))
    extra = [(name.encode(), value.encode("latin-1")) for name, value in rendered.headers.items()]
    await send_bytes(send, rendered.status, rendered.body, rendered.media_type.encode(), extra)


async def send_bytes(
    send: Send, status: int, body: bytes, media_type: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    """Send a whole response."""
    start: dict[str, Any] = {
        "type": "http.response.start",
        "status": status,
        "headers": [(b"content-type", media_type), (b"content-length", str(len(body)).encode()), *headers],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})


async def read_body(receive: Receive) -> bytes:
    """Read a whole body.

    Raises:
        ClientGoneError: the client went away in the middle of it.
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
