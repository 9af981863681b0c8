"""What every request and response has, on any route: id, body limit, safety and rate limit headers, error shape.

Plain ASGI, since it runs on the hot path.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from online.errors import ClientGoneError, Problem, fault
from online.http.authentication import Caller
from online.http.origin import SitePolicy
from online.http.problems import render
from online.http.request_id import request_id, request_id_of
from online.http.responses import RawHeaders, send_bytes

OPENAI_ROUTES = ("/v1/chat/completions", "/v1/embeddings", "/v1/models", "/v1/responses")

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
_LISTS = frozenset({b"cache-control", b"prefer", b"if-none-match", b"x-forwarded-for", b"forwarded"})
# Of these the service and a proxy before it might each believe another one.
_ONCE = frozenset({b"authorization", b"host", b"origin", b"content-type", b"sec-fetch-site", b"x-forwarded-host"})
_MOST_HEADERS = 100
_LONGEST_ADDRESS = 32_768  # two questions of 2,000 characters, each up to 12 bytes
# What a response has that says nothing else about it.
_DEFAULTS = [
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
]

Headers = Mapping[bytes, bytes]
_log = logging.getLogger("beforehand.service")


class Span(Protocol):
    """The span of a request, as OpenTelemetry has it."""

    def set_attribute(self, key: str, value: int) -> None:
        """Set one attribute."""


RequestSpan = Callable[[Scope], contextlib.AbstractContextManager[Span]]


class Edge:
    """Wraps the application. `on_problem` gets the kind of every problem, `span` traces a request.

    A POST to a path in `direct` skips routing, which would cost half as much again as an exact hit. `base_path` is
    stripped from paths, unless a proxy has done so.
    """

    def __init__(
        self,
        app: ASGIApp,
        body_bytes: int,
        on_problem: Callable[[str], None],
        direct: Mapping[str, ASGIApp],
        span: RequestSpan | None,
        policy: SitePolicy,
        base_path: str = "",
    ) -> None:
        self._app = app
        self._direct = direct
        self._span = span
        self._body_bytes = body_bytes
        self._on_problem = on_problem
        self._policy = policy
        self._base_path = base_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        name = request_id_of(headers.get(b"x-request-id", b""))
        scope["headers_by_name"] = headers
        scope["request_id"] = name.decode()
        request_id.set(scope["request_id"])
        if self._span is None:
            await self._serve(scope, receive, send, headers, name)
            return
        with self._span(scope) as span:

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
                reading = self._policy.reading(headers)
                message["headers"] = _complete(message["headers"], name, scope.get("caller"), reading)
            await send(message)

        pairs = scope["headers"]
        try:
            if len(headers) != len(pairs):  # rare; an exact hit pays for this test alone
                headers = scope["headers_by_name"] = _joined(pairs)
            _refuse_oversized(scope)
            self._policy.admit(scope, headers)
            if (allowed := self._policy.preflight(scope, headers)) is not None:
                await send_with_headers({"type": "http.response.start", "status": 204, "headers": allowed})
                await send_with_headers({"type": "http.response.body", "body": b""})
                return
            if self._base_path:
                scope["path"] = below(self._base_path, scope["path"])
            app = self._direct.get(scope["path"], self._app) if scope["method"] == "POST" else self._app
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
            await self.refuse(fault(), scope, send_with_headers)

    def _limited(self, headers: Headers, receive: Receive) -> Receive:
        """Refuse a body that is too large, by its Content-Length or while it arrives."""
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
    """Return headers of which some came in several lines; lists are joined (RFC 9110, 5.3)."""
    headers: dict[bytes, bytes] = {}
    for name, value in pairs:
        if name in _ONCE and name in headers:
            raise Problem("malformed", f"Send one {name.decode().title()} header, not several.")
        headers[name] = b"%b, %b" % (headers[name], value) if name in _LISTS and name in headers else value
    return headers


def _too_large(limit: int) -> Problem:
    return Problem("too-large", f"The body may have at most {limit} bytes.")


def _refuse_oversized(scope: Scope) -> None:
    if len(scope["headers"]) > _MOST_HEADERS:
        raise Problem("too-many-headers", f"A request may have at most {_MOST_HEADERS} headers.")
    if len(scope["path"]) + len(scope["query_string"]) > _LONGEST_ADDRESS:
        raise Problem("too-long", f"An address may have at most {_LONGEST_ADDRESS} characters.")


def below(base_path: str, path: str) -> str:
    """Return a path without the base path, if it has it."""
    if path == base_path:
        return "/"
    return path[len(base_path) :] if path.startswith(f"{base_path}/") else path


def _complete(headers: RawHeaders, name: bytes, caller: Caller | None, reading: RawHeaders) -> RawHeaders:
    complete = [*headers, (b"x-request-id", name), *_HEADERS, *reading]
    if caller is not None and caller.bucket is not None:
        complete += caller.bucket.headers()
    said = dict(headers)
    for default in _DEFAULTS:
        if default[0] not in said:
            complete.append(default)
    return complete


def is_openai(scope: Scope) -> bool:
    """Whether a request came to a route that speaks OpenAI's shapes."""
    return str(scope["path"]).startswith(OPENAI_ROUTES)


async def respond_with(problem: Problem, scope: Scope, send: Send) -> None:
    """Send a problem in the shape of its route."""
    rendered = render(problem, scope.get("request_id", ""), openai=is_openai(scope))
    extra = [(name.encode(), value.encode("latin-1")) for name, value in rendered.headers.items()]
    await send_bytes(send, rendered.status, rendered.body, rendered.media_type.encode(), extra)
