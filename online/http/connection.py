"""A connection that does not wait for ever: uvicorn reads heads of any size, and waits for a request without end.

A request has to arrive within `REQUEST_SECONDS`, its head within `HEAD_BYTES`, or the connection is closed. A request
that comes in one piece, as nearly all do, costs no timer.
"""

from __future__ import annotations

import asyncio
import logging

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_SECONDS = 30.0
HEAD_BYTES = 65_536

_log = logging.getLogger("beforehand.service")


class Connection(HttpToolsProtocol):
    """uvicorn's connection with limits on a request's time and size."""

    _overdue: asyncio.TimerHandle | None = None
    _in_head = False
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin to count the head."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        """Stop counting."""
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Read a piece of a request."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._close(b"431 Request Header Fields Too Large")
                return
        if self._in_head or (self.cycle is not None and self.cycle.more_body):
            self._wait()
        elif self._overdue is not None:
            self._stop_waiting()

    def _wait(self) -> None:
        if self._overdue is None:
            self._overdue = self.loop.call_later(REQUEST_SECONDS, self._close, b"408 Request Timeout")

    def _stop_waiting(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _close(self, status: bytes) -> None:
        """Refuse the request, unless its response has begun, and close the connection."""
        self._stop_waiting()
        if self.transport.is_closing():
            return
        if self._in_head or self.cycle is None or not self.cycle.response_started:
            self.transport.write(b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
        self.transport.close()
