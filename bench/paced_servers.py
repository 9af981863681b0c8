"""Servers of a language model that answer at an exact pace, as cheaply as the bench of a fleet needs.

HTTP/1.1 on a bare asyncio protocol, all servers in one process: an application behind uvicorn takes more time of the
cores that the client needs too. A place is free again at the moment when its answer was due, even if the event loop was
late, so the pace is the server's and not the machine's.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.fake_llm import MODEL, quoted

_END_OF_HEAD = b"\r\n\r\n"


@dataclass
class PacedServer:
    """Takes `seconds` for an answer, in so many `places`; further requests wait in line."""

    seconds: float
    places: int
    answered: int = 0
    _waiting: deque[tuple[float, _Connection, bytes]] = field(default_factory=deque)

    def take(self, connection: _Connection, body: bytes) -> None:
        """Take a request."""
        self._waiting.append((asyncio.get_running_loop().time(), connection, body))
        if self.places:
            self.places -= 1
            self._begin(0.0)

    def _begin(self, free_since: float) -> None:
        """Begin the next request that somebody waits for, at a place that is free since a moment."""
        while self._waiting:
            arrived, connection, body = self._waiting.popleft()
            if not connection.is_closing():
                due = max(arrived, free_since) + self.seconds
                asyncio.get_running_loop().call_at(due, self._end, due, connection, body)
                return
        self.places += 1

    def _end(self, due: float, connection: _Connection, body: bytes) -> None:
        connection.answer(_completion(body))
        self.answered += 1
        self._begin(due)


class _Connection(asyncio.Protocol):
    """A connection: one request at a time, each with a Content-Length."""

    def __init__(self, server: PacedServer) -> None:
        self._server = server
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, rest = self._received.partition(_END_OF_HEAD)
        if not end:
            return
        size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if len(rest) >= size:
            self._received = rest[size:]
            self._server.take(self, rest[:size])

    def is_closing(self) -> bool:
        """Whether the client has gone."""
        return self._transport is None or self._transport.is_closing()

    def answer(self, body: bytes) -> None:
        """Send a response."""
        if self._transport is not None:
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self._transport.write(head.encode() + body)


def _completion(body: bytes) -> bytes:
    prompt = str(json.loads(body)["messages"][-1]["content"])
    choice = {"index": 0, "message": {"role": "assistant", "content": quoted(prompt)}, "finish_reason": "stop"}
    usage = {"prompt_tokens": len(prompt) // 5, "completion_tokens": 12}
    return json.dumps(
        {"id": "1", "object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage}
    ).encode()


async def serve(servers: Sequence[PacedServer]) -> list[str]:
    """Begin to serve each on a loopback port; return their base URLs."""
    loop = asyncio.get_running_loop()
    urls = []
    for server in servers:
        listening = await loop.create_server(lambda server=server: _Connection(server), "127.0.0.1", 0)  # type: ignore[misc]
        urls.append(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    return urls
