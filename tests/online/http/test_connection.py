"""Requests that never end, or whose head never ends, do not hold a connection for ever."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from online.http import connection
from tests.waiting import PATIENCE, until


async def _echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(await request.body())


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    """A server that waits for a request as long as ours."""
    app = Starlette(routes=[Route("/", _echo, methods=["POST"])])
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=connection.Connection, log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    until("the server has started", lambda: server.started)
    yield listening.getsockname()
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server wait for a fifth of a second alone."""
    monkeypatch.setattr(connection, "REQUEST_SECONDS", 0.2)


def answer(address: tuple[str, int], *pieces: bytes) -> bytes:
    """Send pieces and return all that comes until the server closes the connection, which it may before they are."""
    found = b""
    with socket.create_connection(address, timeout=PATIENCE) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                client.sendall(piece)
        with contextlib.suppress(ConnectionResetError):
            while part := client.recv(65_536):
                found += part
    return found


HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize(
    "pieces",
    [(), (b"POST /",), (HEAD,), (HEAD + b"Content-Length: 5\r\n\r\n", b"ab"), (HEAD + b"Content-Length: 5\r\n\r\n",)],
)
def test_a_request_that_does_not_end_is_given_up(address: tuple[str, int], pieces: tuple[bytes, ...]) -> None:
    assert answer(address, *pieces).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("piece", [b"x", b"x: y\r\n"])
def test_a_head_that_does_not_end_is_given_up(address: tuple[str, int], piece: bytes) -> None:
    found = answer(address, HEAD, *[piece * 5000] * 100)
    assert found.startswith(b"HTTP/1.1 431 ") or not found  # what a reset connection still held is lost


def test_requests_in_pieces_are_answered(address: tuple[str, int]) -> None:
    pieces = HEAD[:7], HEAD[7:], b"Content-Length: 5\r\n\r\nab", b"cde"
    assert answer(address, *pieces).endswith(b"\r\n\r\nabcde")
    assert answer(address, b"".join(pieces)).endswith(b"\r\n\r\nabcde")
