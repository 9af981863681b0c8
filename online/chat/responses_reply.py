"""The response to a request of the Responses API: whole, or as typed events.

It takes what the reply to a chat takes, the language model's own bytes in the shape of the Chat API included.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Mapping

import msgspec
from starlette.types import Send

from online.answering.question import Asked
from online.chat.format import Usage, pieces
from online.chat.responses_format import Events, Said, items_of, message_item, reasoning_item, status_of, usage_of
from online.errors import Problem
from online.http.openai_schemas import Provenance, ResponseObject, ResponseRequest
from online.http.responses import RawHeaders, begin_stream, end_stream, send_bytes, send_part
from online.http.schemas import JsonObject

_NOTHING: Mapping[str, str] = {}


class ResponsesReply:
    """One response, whole or streamed."""

    def __init__(self, send: Send, asked: Asked, request: ResponseRequest) -> None:
        self.asked = asked
        self.headers: RawHeaders = []
        self.begun = False
        self._send = send
        self._request = request
        self._events = Events()
        self._said = Said()
        self._model = ""
        self._place: int | None = None  # of the message in the output, once it has begun
        self._ending: tuple[str | None, Usage, Provenance | None] = (None, Usage(), None)
        self._created = int(time.time())

    def _response(
        self, status: str, items: list[JsonObject], usage: Usage | None = None, about: Provenance | None = None
    ) -> ResponseObject:
        asked_for = self._request
        return ResponseObject(
            id=f"resp_{self.asked.request_id}",
            created_at=self._created,
            status="in_progress"
            if status == "in_progress"
            else "incomplete"
            if status == "incomplete"
            else "completed",
            instructions=asked_for.instructions,
            max_output_tokens=asked_for.max_output_tokens,
            model=self._model,
            output=items,
            temperature=asked_for.temperature,
            text=asked_for.text or {"format": {"type": "text"}},
            tool_choice=asked_for.tool_choice or "auto",
            tools=asked_for.tools or [],
            top_p=asked_for.top_p,
            usage=None if usage is None else usage_of(usage),
            metadata=asked_for.metadata or {},
            beforehand=about or msgspec.UNSET,
        )

    def _ended(self, finish_reason: str | None, usage: Usage, about: Provenance | None) -> ResponseObject:
        status, why = status_of(finish_reason)
        response = self._response(status, items_of(self.asked.request_id, self._said, about, status), usage, about)
        response.incomplete_details = why
        return response

    async def whole(
        self, model: str, message: JsonObject, finish_reason: str, usage: Usage, about: Provenance | None
    ) -> None:
        """Send a whole response."""
        self.begun = True
        self._model = model
        self._said.add(message)
        body = msgspec.json.encode(self._ended(finish_reason, usage, about))
        await send_bytes(self._send, 200, body, b"application/json", self.headers)

    async def begin(self, model: str) -> None:
        """Begin a stream."""
        self._model, self.begun = model, True
        await begin_stream(self._send, self.headers)
        response = self._response("in_progress", [])
        for kind in ("response.created", "response.in_progress"):
            await self._more([self._events.of_response(kind, response)])

    async def piece(self, text: str, others: Mapping[str, str] = _NOTHING) -> None:
        """Send a piece of the text; what the model thinks aloud is sent before the text begins."""
        await self._take({**others, "content": text})

    async def end(self, finish_reason: str, usage: Usage, about: Provenance | None) -> None:
        """End a stream."""
        self._ending = (finish_reason, usage, about)
        await self.finish()

    async def decline(self, model: str, text: str, usage: Usage, about: Provenance) -> None:
        """Send a sentence instead of an answer; the response is incomplete, for a client that knows nothing of it."""
        if not self.asked.stream:
            await self.whole(model, {"role": "assistant", "content": text}, "content_filter", usage, about)
            return
        await self.begin(model)
        for each in pieces(text):
            await self.piece(each)
        await self.end("content_filter", usage, about)

    async def pass_on(self, body: bytes) -> None:
        """Send the language model's own completion."""
        try:
            completion: JsonObject = json.loads(body)
        except ValueError:
            raise Problem("llm-down", "The language model gave no readable answer.", retry_after=5) from None
        choice: JsonObject = next(iter(completion.get("choices") or []), {})
        await self.whole(
            str(completion.get("model") or ""),
            choice.get("message") or {},
            choice.get("finish_reason") or "stop",
            _usage(completion),
            _about(completion),
        )

    async def pass_on_lines(self, lines: bytes) -> None:
        """Send what lines of the language model's own stream say."""
        for line in lines.split(b"\n"):
            data = line.removeprefix(b"data:").strip()
            if line.startswith(b"data:") and data != b"[DONE]":
                with contextlib.suppress(json.JSONDecodeError):  # as other clients, pass over what is no chunk
                    await self._pass_on(json.loads(data))

    async def _pass_on(self, chunk: JsonObject) -> None:
        if not self.begun:
            await self.begin(str(chunk.get("model") or ""))
        finish, usage, about = self._ending
        choice: JsonObject = next(iter(chunk.get("choices") or []), {})
        await self._take(choice.get("delta") or {})
        self._ending = (
            choice.get("finish_reason") or finish,
            _usage(chunk) if chunk.get("usage") else usage,
            _about(chunk) or about,
        )

    async def finish(self) -> None:
        """End a stream with the whole response."""
        if not self.begun:
            await self.begin("")
        finish_reason, usage, about = self._ending
        if self._place is None and not self._said.calls:
            await self._begin_text()  # an empty message is one too
        response = self._ended(finish_reason, usage, about)
        for place, item in enumerate(response.output):
            if item["type"] == "message":
                await self._more(self._events.end_text(place, item))
            elif item["type"] == "function_call" or self._place is None:
                await self._more(self._events.whole_item(place, item))
        await self._more([self._events.of_response(f"response.{response.status}", response)])
        await end_stream(self._send)

    async def break_off(self, error: bytes) -> None:
        """End a stream with an error."""
        await self._more([self._events.error(error)])
        await end_stream(self._send)

    async def _take(self, delta: Mapping[str, object]) -> None:
        thought = self._said.reasoning
        text = self._said.add(delta)
        if self._place is not None:
            self._said.reasoning = thought  # its item has been sent
        if not text:
            return
        if self._place is None:
            await self._begin_text()
        await self._more([self._events.delta(self._place or 0, f"msg_{self.asked.request_id}", text)])

    async def _begin_text(self) -> None:
        self._place = 0
        if self._said.reasoning:
            await self._more(self._events.whole_item(0, reasoning_item(self.asked.request_id, self._said.reasoning)))
            self._place = 1
        item = message_item(self.asked.request_id, "", None, "in_progress")
        await self._more(self._events.begin_text(self._place, item))

    async def _more(self, events: Iterable[bytes]) -> None:
        for each in events:
            await send_part(self._send, each)


def _usage(completion: JsonObject) -> Usage:
    usage = completion.get("usage") or {}
    return Usage(usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0)


def _about(completion: JsonObject) -> Provenance | None:
    about = completion.get("beforehand")
    return None if about is None else msgspec.convert(about, Provenance)
