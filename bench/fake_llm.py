"""A stand-in for the language model: the chat route of the OpenAI API, as slow as a bench wants it.

It answers with the first sentence of its first passage and a reference to it, so an answer changes when its
passages do, and passes the audit.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

MODEL = "fake-model"
_PASSAGE = re.compile(r"<passage 1>\n[^\n]*\n(.*?)\n</passage 1>", re.DOTALL)


@dataclass
class FakeLlm:
    """The model: `seconds` an answer, `concurrency` answers at once (None: any number), `tokens` counted for each.

    A stream comes at once, or with `streamed_tokens` as so many pieces with `token_seconds` between them.
    """

    seconds: float = 0.0
    concurrency: int | None = None
    tokens: int = 12
    streamed_tokens: int = 0
    token_seconds: float = 0.0
    _slots: asyncio.Semaphore | None = field(default=None, init=False)

    @property
    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self._complete, methods=["POST"]),
                Route("/v1/models", self._models),
                Route("/health", self._health),
            ]
        )

    async def _models(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    async def _health(self, _: Request) -> Response:
        return Response()

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        if self.concurrency is not None and self._slots is None:
            self._slots = asyncio.Semaphore(self.concurrency)
        text = quoted(str(body["messages"][-1]["content"]))
        if body.get("stream"):
            return StreamingResponse(self._stream(body, text), media_type="text/event-stream")
        async with self._slots or contextlib.nullcontext():
            await asyncio.sleep(self.seconds)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return JSONResponse(_frame(body, "chat.completion", [choice]) | {"usage": self._usage(body)})

    async def _stream(self, body: dict[str, Any], text: str) -> AsyncIterator[str]:
        async with self._slots or contextlib.nullcontext():
            await asyncio.sleep(self.seconds)
        for number in range(self.streamed_tokens):
            said = " [1]" if number % 20 == 19 else ".\n" if number % 20 == 0 and number else " word"
            choice = {"index": 0, "delta": {"content": said}, "finish_reason": None}
            yield _event(_frame(body, "chat.completion.chunk", [choice]))
            await asyncio.sleep(self.token_seconds)
        for delta, finish in (({"role": "assistant", "content": text}, None), ({}, "stop")):
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            yield _event(_frame(body, "chat.completion.chunk", [choice]))
        if (body.get("stream_options") or {}).get("include_usage"):
            yield _event(_frame(body, "chat.completion.chunk", []) | {"usage": self._usage(body)})
        yield "data: [DONE]\n\n"

    def _usage(self, body: dict[str, Any]) -> dict[str, int]:
        prompt = sum(len(str(message.get("content")).split()) for message in body["messages"])
        return {"prompt_tokens": prompt, "completion_tokens": self.tokens, "total_tokens": prompt + self.tokens}


def quoted(prompt: str) -> str:
    """Return the first sentence of the prompt's first passage, with a reference to it."""
    passage = _PASSAGE.search(prompt)
    sentence = re.split(r"(?<=[.!?])\s", passage[1] if passage else "Nothing.")[0].strip()
    return f"{sentence} [1]"


def _frame(body: dict[str, Any], kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": body["model"], "choices": choices}


def _event(chunk: dict[str, Any]) -> str:
    return f"data: {json.dumps(chunk)}\n\n"


@contextlib.contextmanager
def served(app: Starlette, port: int = 0) -> Iterator[str]:
    """Serve the application on a loopback port from a thread; yields its base URL."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
