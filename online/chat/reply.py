"""The response to a chat: whole, in chunks of our own, or with the bytes of the language model."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

from starlette.types import Send

from online.answering.question import Asked, Unanswered
from online.chat.format import DONE, Frame, Usage, pieces
from online.http.openai_schemas import ChatRequest, Provenance
from online.http.responses import RawHeaders, begin_stream, end_stream, send_bytes, send_part
from online.http.schemas import JsonObject

_NOTHING: Mapping[str, str] = {}
_HELD_BACK = "content_filter"  # the finish reason that OpenAI's clients know


def about_untold(told: Unanswered) -> Provenance:
    """Return where a sentence comes from that is told instead of an answer."""
    return Provenance(told.source, [], told.release_id, told.reason, list(told.suggestions), told.handover)


class Reply(Protocol):
    """The response to a chat, in the shapes of one of the APIs."""

    asked: Asked
    headers: RawHeaders
    begun: bool

    async def whole(
        self, model: str, message: JsonObject, finish_reason: str, usage: Usage, about: Provenance | None
    ) -> None:
        """Send a whole completion."""

    async def begin(self, model: str) -> None:
        """Begin a stream."""

    async def piece(self, text: str, others: Mapping[str, str] = _NOTHING) -> None:
        """Send a piece of the text, or of the message's other texts."""

    async def end(self, finish_reason: str, usage: Usage, about: Provenance | None) -> None:
        """End a stream."""

    async def decline(self, model: str, text: str, usage: Usage, about: Provenance) -> None:
        """Send a sentence instead of an answer; the finish reason tells a client that knows nothing of `about`."""

    async def pass_on(self, body: bytes) -> None:
        """Pass on the language model's own completion."""

    async def pass_on_lines(self, lines: bytes) -> None:
        """Pass on lines of the language model's own stream."""

    async def finish(self) -> None:
        """Close a stream that was passed on."""

    async def break_off(self, error: bytes) -> None:
        """End a stream with an error."""


class ChatReply:
    """A chat completion: one response, whole or streamed."""

    def __init__(self, send: Send, asked: Asked, chat: ChatRequest) -> None:
        self.asked = asked
        self.chat = chat
        self.headers: RawHeaders = []
        self.begun = False
        self._send = send
        self._frame = self._named("")

    def _named(self, model: str) -> Frame:
        return Frame(f"chatcmpl-{self.asked.request_id}", int(time.time()), model)

    async def whole(
        self, model: str, message: JsonObject, finish_reason: str, usage: Usage, about: Provenance | None
    ) -> None:
        """Send a whole completion."""
        self.begun = True
        body = self._named(model).whole(message, finish_reason, usage, about)
        await send_bytes(self._send, 200, body, b"application/json", self.headers)

    async def begin(self, model: str) -> None:
        """Begin a stream."""
        self._frame = self._named(model)
        await self._start()
        await self._more(self._frame.chunk({"role": "assistant", "content": ""}))

    async def piece(self, text: str, others: Mapping[str, str] = _NOTHING) -> None:
        """Send a piece of the text, or of the message's other texts."""
        await self._more(self._frame.chunk({**others, "content": text} if text else dict(others)))

    async def end(self, finish_reason: str, usage: Usage, about: Provenance | None) -> None:
        """End a stream."""
        await self._more(self._frame.chunk({}, finish_reason, about))
        options = self.chat.stream_options
        if options is not None and options.include_usage:
            await self._more(self._frame.usage(usage, about))
        await self._more(DONE)
        await self.finish()

    async def decline(self, model: str, text: str, usage: Usage, about: Provenance) -> None:
        """Send a sentence instead of an answer; the finish reason tells a client that knows nothing of `about`."""
        if not self.asked.stream:
            await self.whole(model, {"role": "assistant", "content": text}, _HELD_BACK, usage, about)
            return
        await self.begin(model)
        for piece in pieces(text):
            await self.piece(piece)
        await self.end(_HELD_BACK, usage, about)

    async def pass_on(self, body: bytes) -> None:
        """Pass on the language model's own response."""
        self.begun = True
        await send_bytes(self._send, 200, body, b"application/json", self.headers)

    async def pass_on_lines(self, lines: bytes) -> None:
        """Pass on lines of the language model's own stream."""
        if not self.begun:
            await self._start()
        await self._more(lines)

    async def break_off(self, error: bytes) -> None:
        """End a stream with an error."""
        await self._more(b"\ndata: %b\n\n" % error)  # the model's stream may have ended within an event
        await self.finish()

    async def finish(self) -> None:
        """Send the last, empty part of the body."""
        await end_stream(self._send)

    async def _start(self) -> None:
        self.begun = True
        await begin_stream(self._send, self.headers)

    async def _more(self, body: bytes) -> None:
        await send_part(self._send, body)
