"""Servers of a language model that misbehave, each in its own way, as processes of their own.

    python -m bench.hostile_servers KIND PORT

A prompt about `POISON` is answered with 500 by each of them, one about `ENDLESS` never, if the kind has `+prompts`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket
import struct
import sys
from collections.abc import Awaitable, Callable

from bench.fake_llm import MODEL, quoted

POISON, ENDLESS = "poison garden", "endless corridor"
_DIES_AFTER = 4  # answers
_SECONDS = 0.1  # an answer

Answer = Callable[[asyncio.StreamWriter, bytes], Awaitable[None]]
"""Answers a chat whose completion would be these bytes."""


async def good(writer: asyncio.StreamWriter, body: bytes) -> None:
    """Answer."""
    _send(writer, 200, body)


async def resets(writer: asyncio.StreamWriter, body: bytes) -> None:
    """Reset the connection in the middle of the body."""
    writer.write(_head(200, len(body)) + body[: len(body) // 2])
    await writer.drain()
    await asyncio.sleep(0.02)
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def half(writer: asyncio.StreamWriter, body: bytes) -> None:
    """Send half of the JSON as if it were all."""
    _send(writer, 200, body[: len(body) // 2])


async def html(writer: asyncio.StreamWriter, _: bytes) -> None:
    """Send a page of HTML with the status 200."""
    _send(writer, 200, b"<html><body>Sign in to the hotel's network</body></html>", "Content-Type: text/html\r\n")


async def busy(writer: asyncio.StreamWriter, body: bytes) -> None:
    """Ask to wait a second, every other time."""
    await (good(writer, body) if next(_numbers) % 2 else _said(writer, 429, "slow down", "Retry-After: 1\r\n"))


async def busy_without_a_time(writer: asyncio.StreamWriter, body: bytes) -> None:
    """Ask to wait, every other time."""
    await (good(writer, body) if next(_numbers) % 2 else _said(writer, 429, "slow down"))


async def always_busy(writer: asyncio.StreamWriter, _: bytes) -> None:
    """Ask to wait, always."""
    await _said(writer, 429, "slow down", "Retry-After: 2\r\n")


async def hangs(writer: asyncio.StreamWriter, body: bytes) -> None:
    """Send the headers, and nothing after them."""
    writer.write(_head(200, len(body)))
    await asyncio.sleep(3600)


async def dies(writer: asyncio.StreamWriter, body: bytes) -> None:
    """Answer a few times, then die with all that is in flight."""
    if next(_numbers) >= _DIES_AFTER:
        os._exit(1)
    await good(writer, body)


async def fails(writer: asyncio.StreamWriter, _: bytes) -> None:
    """Answer 500."""
    await _said(writer, 500, "CUDA error: an illegal memory access was encountered")


async def other_model(writer: asyncio.StreamWriter, _: bytes) -> None:
    """Say that there is no such model."""
    await _said(writer, 404, f"The model `{MODEL}` does not exist.")


KINDS: dict[str, Answer] = {
    each.__name__: each
    for each in (good, resets, half, html, busy, busy_without_a_time, always_busy, hangs, dies, fails, other_model)
}
_numbers = itertools.count()


async def _said(writer: asyncio.StreamWriter, status: int, message: str, headers: str = "") -> None:
    _send(writer, status, json.dumps({"error": {"message": message}}).encode(), headers)


def _send(writer: asyncio.StreamWriter, status: int, body: bytes, headers: str = "") -> None:
    writer.write(_head(status, len(body), headers) + body)


def _head(status: int, size: int, headers: str = "") -> bytes:
    kind = "" if "Content-Type" in headers else "Content-Type: application/json\r\n"
    return f"HTTP/1.1 {status} Any\r\n{kind}{headers}Content-Length: {size}\r\n\r\n".encode()


async def _converse(kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of a connection."""
    name, _, special = kind.partition("+")
    while True:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            body = await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0))
            await (_chat(name, bool(special), writer, body) if head.startswith(b"post") else _list(name, writer))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return


async def _list(name: str, writer: asyncio.StreamWriter) -> None:
    served = "another-model" if name == other_model.__name__ else MODEL
    _send(writer, 200, json.dumps({"object": "list", "data": [{"id": served}]}).encode())


async def _chat(name: str, special: bool, writer: asyncio.StreamWriter, body: bytes) -> None:
    await asyncio.sleep(_SECONDS)
    prompt = str(json.loads(body)["messages"][-1]["content"])
    asked = prompt.rpartition("Question:")[2]
    if special and POISON in asked:
        await _said(writer, 500, "list index out of range")
    elif special and ENDLESS in asked:
        await asyncio.sleep(3600)
    else:
        await KINDS[name](writer, _completion(prompt))


def _completion(prompt: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": quoted(prompt)}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 100, "completion_tokens": 12, "total_tokens": 112}
    frame = {"id": "1", "object": "chat.completion", "created": 1, "model": MODEL}
    return json.dumps(frame | {"choices": [choice], "usage": usage}).encode()


async def _serve(kind: str, port: int) -> None:
    server = await asyncio.start_server(lambda reader, writer: _converse(kind, reader, writer), "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])))
