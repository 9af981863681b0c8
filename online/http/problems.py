"""What a caller is told when it goes wrong: one table from kinds of trouble to statuses.

Our own routes speak RFC 9457, the OpenAI-compatible ones OpenAI's shape. A refusal that a retry can't help
carries `x-should-retry: false`, since the official client retries every 429 and 5xx by itself; the others
carry `Retry-After`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from online.http.schemas import ProblemDetails, Suggestion
from rag.errors import LlmMisconfiguredError, LlmRefusedError, LlmUnavailableError, QuestionError

# kind: (status, title)
KINDS: Mapping[str, tuple[int, str]] = {
    "malformed": (400, "The request can't be read"),
    "unauthenticated": (401, "An API key is needed"),
    "forbidden": (403, "The API key does not allow this"),
    "not-found": (404, "There is no such thing"),
    "method": (405, "The method is not allowed here"),
    "precondition": (412, "A precondition failed"),
    "too-large": (413, "The request is too large"),
    "media-type": (415, "The request must be JSON"),
    "invalid": (422, "The request is not valid"),
    "rate-limited": (429, "Too many requests for this key"),
    "queue-full": (429, "Too many questions are waiting"),
    "internal": (500, "The service has a fault"),
    "llm-refused": (502, "The language model refused the request"),
    "llm-down": (503, "No live answer at the moment"),
    "no-release": (503, "Nothing has been published yet"),
}

_REPAIR_SECONDS = 60  # a person has to change a setting

# OpenAI's names: (type, code)
_OPENAI: Mapping[int, tuple[str, str | None]] = {
    401: ("authentication_error", "invalid_api_key"),
    403: ("permission_error", None),
    404: ("invalid_request_error", "model_not_found"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
}


class Problem(Exception):  # noqa: N818  # the word of RFC 9457
    """A refusal on its way to the caller; `kind` is one of KINDS.

    `call_failed` says that the language model was asked this very question and gave no answer, so the same may
    happen each time.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        retry_after: float | None = None,
        should_retry: bool | None = None,
        suggestions: Sequence[Suggestion] = (),
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.call_failed = False
        self.kind, self.detail, self.param, self.code = kind, detail, param, code
        self.status, self.title = KINDS[kind]
        self.suggestions = list(suggestions)
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["retry-after"] = str(max(1, math.ceil(retry_after)))
        if should_retry is not None:
            self.headers["x-should-retry"] = "true" if should_retry else "false"


@dataclass(frozen=True)
class Rendered:
    """A problem as bytes."""

    status: int
    body: bytes
    media_type: str
    headers: dict[str, str] = field(default_factory=dict)


def render(problem: Problem, request_id: str, *, openai: bool) -> Rendered:
    """Write a problem in the shape of its route."""
    if openai:
        return Rendered(problem.status, _openai_body(problem), "application/json", problem.headers)
    body = msgspec.json.encode(details(problem, request_id))
    return Rendered(problem.status, body, "application/problem+json", problem.headers)


def details(problem: Problem, request_id: str) -> ProblemDetails:
    """Return a problem as RFC 9457 has it."""
    return ProblemDetails(
        type=f"urn:beforehand:problem:{problem.kind}",
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        request_id=request_id,
        suggestions=problem.suggestions or None,
    )


def _openai_body(problem: Problem) -> bytes:
    default = "server_error" if problem.status >= 500 else "invalid_request_error"
    kind, code = _OPENAI.get(problem.status, (default, None))
    error: dict[str, object] = {
        "message": problem.detail,
        "type": kind,
        "param": problem.param,
        "code": problem.code or code,
    }
    if problem.suggestions:
        error["suggestions"] = problem.suggestions
    return msgspec.json.encode({"error": error})


def as_problem(error: Exception) -> Problem:
    """Map an error to what a caller is told; what concerns our machines stays in the log.

    Raises:
        Exception: the error itself, if it is a fault of ours.
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, QuestionError):
        return Problem("invalid", str(error))
    if isinstance(error, LlmRefusedError):
        return Problem("llm-refused", "The language model refused the request: it may be too long.", should_retry=False)
    if isinstance(error, LlmMisconfiguredError):
        detail = "The language model can't be asked; whoever runs the service has to look at its log."
        problem = Problem("llm-down", detail, retry_after=_REPAIR_SECONDS, should_retry=False)
        problem.call_failed = True
        return problem
    if isinstance(error, LlmUnavailableError):
        detail = "The language model gave no answer; try again later."
        problem = Problem("llm-down", detail, retry_after=error.retry_after or 5)
        problem.call_failed = error.reached and error.retry_after is None  # else it is too busy, or away
        return problem
    raise error
