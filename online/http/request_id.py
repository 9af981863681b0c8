"""The id of a request: in its response, the journal, the log and the trace."""

from __future__ import annotations

import contextvars
import re
import secrets

_WELL_FORMED = re.compile(rb"[A-Za-z0-9._:-]{1,128}")

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="-")


def request_id_of(sent: bytes) -> bytes:
    """Return the id that the client sent, if it is well formed, or a new one."""
    return sent if _WELL_FORMED.fullmatch(sent) else secrets.token_hex(12).encode()
