"""Errors of an OpenAI-compatible server and of the way to it, as `rag.errors.LlmError`; none quotes a secret."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from rag.credentials import hide
from rag.errors import LlmError, LlmMisconfiguredError, LlmRefusedError, LlmUnavailableError
from rag.llm.http_session import never_arrived

_LONGEST_WAIT = 3600.0  # upper limit for Retry-After
# The settings to check when the server refuses every request; its other 4xx are about a single request.
_SETTINGS: Mapping[int, str] = {
    401: "check [llm] api_key",
    403: "check [llm] api_key",
    404: "check [llm] model and [llm] endpoint (where the batch has its own, [batch] endpoints)",
}
_BUSY = {429, 503}


def refused(
    base_url: str,
    status: int,
    headers: Mapping[str, str],
    content: bytes,
    secrets: Collection[str],
    settings: Mapping[int, str] = _SETTINGS,
) -> LlmError:
    """Return the error for a response that is none of success; `settings` say what to check for some statuses."""
    try:
        said = said_in(json.loads(content), secrets)
    except ValueError:
        said = hide(content.decode(errors="replace"), secrets)[:300]
    message = f"the language model at {base_url} answered {status}: {' '.join(said.split())}"
    if is_transient(status):
        return LlmUnavailableError(message, _retry_after(headers), busy=status in _BUSY)
    if status in settings:
        return LlmMisconfiguredError(f"{message}; {settings[status]}")
    return LlmRefusedError(message)


def is_transient(status: int) -> bool:
    """Whether a later try may succeed."""
    return status in {408, 409, 429} or status >= 500


def said_in(body: object, secrets: Collection[str] = ()) -> str:
    """Return the message of an error body, in OpenAI's form or any other, without secrets."""
    error = body.get("error", body) if isinstance(body, dict) else body
    said = error.get("message", error) if isinstance(error, dict) else error
    return hide(str(said), secrets)[:300]


def unavailable(base_url: str, error: Exception) -> LlmUnavailableError:
    """Return the error for a failure of the network."""
    reached = not never_arrived(error)
    what = "took too long" if isinstance(error, TimeoutError) else "can't be reached"
    return LlmUnavailableError(
        f"the language model at {base_url} {what} ({type(error).__name__}); is `beforehand llm` running?",
        reached=reached,
        lost=reached and not isinstance(error, TimeoutError),
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the wait that the server asks for in seconds, also if given as a date; None without one."""
    try:
        if "retry-after-ms" in headers:
            seconds = float(headers["retry-after-ms"]) / 1000
        elif headers.get("retry-after", "")[:1].isdigit():
            seconds = float(headers["retry-after"])
        else:
            seconds = (parsedate_to_datetime(headers["retry-after"]) - datetime.now(UTC)).total_seconds()
    except (KeyError, ValueError, TypeError):
        return None
    return min(max(0.0, seconds), _LONGEST_WAIT)
