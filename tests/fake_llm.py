"""A language model that is none: a small ASGI application that speaks the OpenAI REST API.

It runs behind uvicorn in a thread, so what is tested goes over real HTTP. `Behaviour` can be changed while it
runs: how long an answer takes, how many it bears at once, what fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.waiting import PATIENCE

MODEL = "fake-model"
_GRACE_SECONDS = 2.0  # for requests that still run when a server stops


@dataclass
class Behaviour:
    """What the model does; `concurrency` None means without limit, beyond it calls wait (`refuse_above`: 429).

    Like some servers it answers by any name, unless it `knows_listed_alone`.
    """

    text: str = "The library opens at nine [1]. It closes at five [1]."
    seconds: float = 0.0
    concurrency: int | None = None
    refuse_above: int | None = None
    fail_with: int | None = None
    error: dict[str, Any] = field(default_factory=lambda: {"message": "broken", "type": "server_error"})
    break_stream_after: int | None = None
    finish_reason: str = "stop"
    extra_message: dict[str, Any] = field(default_factory=dict)
    gate: threading.Event | None = None
    models: Sequence[str] = (MODEL,)
    models_fail_with: int | None = None
    knows_listed_alone: bool = False


class FakeLlm:
    """The application, what was asked of it, and how much at once."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self.behaviour = behaviour or Behaviour()
        self.url = ""
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.running = 0
        self.most_running = 0
        self.finished = 0
        self.abandoned = 0
        self._places: asyncio.Semaphore | None = None
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._complete, methods=["POST"]),
                Route("/v1/models", self._models),
                Route("/health", self._health),
            ]
        )

    async def _models(self, _: Request) -> Response:
        if self.behaviour.models_fail_with is not None:
            return JSONResponse({"error": self.behaviour.error}, self.behaviour.models_fail_with)
        listed = [{"id": each, "object": "model"} for each in self.behaviour.models]
        return JSONResponse({"object": "list", "data": listed})

    async def _health(self, _: Request) -> Response:
        return Response()

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        how = self.behaviour
        if (refusal := self._refusal(body)) is not None:
            return refusal
        if body.get("stream"):
            return StreamingResponse(self._stream(body), media_type="text/event-stream")
        work = asyncio.ensure_future(self._think())
        gone = asyncio.ensure_future(_gone(request))
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if not work.done():
            work.cancel()
            self.abandoned += 1
            return Response(status_code=499)
        if how.break_stream_after is not None:
            return StreamingResponse(self._torn(body), media_type="application/json")
        return Response(json.dumps(self._answer(body)), media_type="application/json")

    def _refusal(self, body: dict[str, Any]) -> Response | None:
        how = self.behaviour
        if how.fail_with is not None:
            return JSONResponse({"error": how.error}, how.fail_with)
        if how.knows_listed_alone and body["model"] not in how.models:
            return JSONResponse({"error": {"message": f"The model `{body['model']}` does not exist."}}, 404)
        if how.refuse_above is not None and self.running >= how.refuse_above:
            return JSONResponse({"error": {"message": "busy"}}, 429, {"retry-after": "1"})
        return None

    async def _think(self) -> None:
        async with self._place():
            await self._wait(self.behaviour.seconds)

    async def _wait(self, seconds: float) -> None:
        if seconds:
            await asyncio.sleep(seconds)
        gate = self.behaviour.gate
        if gate is not None:
            await asyncio.to_thread(gate.wait, PATIENCE)

    @contextlib.asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        limit = self.behaviour.concurrency
        if limit is not None and self._places is None:
            self._places = asyncio.Semaphore(limit)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            async with self._places or contextlib.nullcontext():
                yield
            self.finished += 1
        finally:
            self.running -= 1

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        how = self.behaviour
        message = {"role": "assistant", "content": how.text, **how.extra_message}
        choice = {"index": 0, "message": message, "finish_reason": how.finish_reason}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [choice],
            "usage": self._usage(body),
        }

    async def _torn(self, body: dict[str, Any]) -> AsyncIterator[str]:
        whole = json.dumps(self._answer(body))
        yield whole[: len(whole) // 2]
        raise ConnectionError("broken off, as the test wants")

    def _usage(self, body: dict[str, Any]) -> dict[str, int]:
        prompt = sum(len(str(each.get("content")).split()) for each in body["messages"])
        completion = len(self.behaviour.text.split())
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    async def _stream(self, body: dict[str, Any]) -> AsyncIterator[str]:
        how = self.behaviour
        words = how.text.split(" ")
        pieces = [word if not number else f" {word}" for number, word in enumerate(words)]
        try:
            async with self._place():
                yield _chunk(body, {"role": "assistant", "content": "", **how.extra_message})
                for number, piece in enumerate(pieces):
                    if number == how.break_stream_after:
                        return
                    await self._wait(how.seconds / len(pieces))
                    yield _chunk(body, {"content": piece})
                yield _chunk(body, {}, how.finish_reason)
                if (body.get("stream_options") or {}).get("include_usage"):
                    yield _event({**_frame(body), "choices": [], "usage": self._usage(body)})
                yield "data: [DONE]\n\n"
        except asyncio.CancelledError:
            self.abandoned += 1
            raise


async def _gone(request: Request) -> None:
    kind = ""
    while kind != "http.disconnect":
        kind = (await request.receive())["type"]


def _frame(body: dict[str, Any]) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}


def _chunk(body: dict[str, Any], delta: dict[str, Any], finish: str | None = None) -> str:
    return _event({**_frame(body), "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _event(chunk: dict[str, Any]) -> str:
    return f"data: {json.dumps(chunk)}\n\n"


class _Server(uvicorn.Server):
    """A server that says when it has started, and ends as soon as nobody is connected.

    uvicorn's own looks every tenth of a second whether it is to end, then waits another tenth for its clients; a
    thousand tests would wait for minutes.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self) -> None:
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # which sets the date that is sent
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        for server in self.servers:
            server.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        deadline = time.monotonic() + _GRACE_SECONDS
        while (state.connections or state.tasks) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        for task in state.tasks:
            task.cancel()
        await self.lifespan.shutdown()


@contextlib.contextmanager
def served(app: Any, port: int = 0) -> Iterator[str]:
    """Serve an ASGI application on a loopback port from a thread; yields its base URL."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    server = _Server(uvicorn.Config(app, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    if not server.ready.wait(PATIENCE):
        raise RuntimeError("the server did not start")
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.stop()
        thread.join(10)
        listening.close()
