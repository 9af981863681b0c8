"""Writing responses: whole, as JSON, or as server-sent events."""

from __future__ import annotations

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

RawHeaders = list[tuple[bytes, bytes]]

_STREAM_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]


class AsgiResponse(Response):
    """A response that an ASGI application writes itself, piece by piece."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write the response."""
        await self._app(scope, receive, send)


def json_response(content: msgspec.Struct, status: int = 200) -> Response:
    """Return a whole response."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def send_bytes(send: Send, status: int, body: bytes, media_type: bytes, headers: RawHeaders) -> None:
    """Send a whole response."""
    start = {
        "type": "http.response.start",
        "status": status,
        "headers": [(b"content-type", media_type), (b"content-length", str(len(body)).encode()), *headers],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})


async def begin_stream(send: Send, headers: RawHeaders) -> None:
    """Begin a stream of server-sent events."""
    await send({"type": "http.response.start", "status": 200, "headers": [*_STREAM_HEADERS, *headers]})


async def send_part(send: Send, part: bytes) -> None:
    """Send one part of a stream."""
    await send({"type": "http.response.body", "body": part, "more_body": True})


async def end_stream(send: Send, part: bytes = b"") -> None:
    """Send the last part of a stream."""
    await send({"type": "http.response.body", "body": part, "more_body": False})


def sse(event: str, data: object) -> bytes:
    """Return one server-sent event."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), msgspec.json.encode(data))
