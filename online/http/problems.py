"""Problems as responses: the one table from kinds to statuses.

Our own routes speak RFC 9457, the OpenAI-compatible ones OpenAI's shape. A refusal that a retry can't help
carries `x-should-retry: false`, since the official client retries every 429 and 5xx by itself; the others
carry `Retry-After`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from online.errors import Kind, Problem
from online.http.openai_schemas import OpenAIError, OpenAIErrorDetails
from online.http.schemas import ProblemDetails

# kind: (status, title)
KINDS: Mapping[Kind, tuple[int, str]] = {
    "malformed": (400, "The request can't be read"),
    "unauthenticated": (401, "An API key is needed"),
    "forbidden": (403, "The API key does not allow this"),
    "foreign-origin": (403, "The request comes from a page of another site"),
    "not-found": (404, "There is no such thing"),
    "no-answer": (404, "No prepared answer fits"),
    "method": (405, "The method is not allowed here"),
    "too-large": (413, "The request is too large"),
    "too-long": (414, "The address is too long"),
    "media-type": (415, "The request must be JSON"),
    "misdirected": (421, "The service does not answer for this host"),
    "invalid": (422, "The request is not valid"),
    "rate-limited": (429, "Too many requests for this key"),
    "queue-full": (429, "Too many questions are waiting"),
    "too-many-headers": (431, "The request has too many headers"),
    "internal": (500, "The service has a fault"),
    "llm-refused": (502, "The language model refused the request"),
    "llm-down": (503, "No live answer at the moment"),
    "no-release": (503, "Nothing has been published yet"),
    "not-cached": (504, "No prepared answer fits"),
}
# Starlette's and FastAPI's own refusals
_BY_STATUS: Mapping[int, Kind] = {404: "not-found", 405: "method", 413: "too-large", 415: "media-type"}

# OpenAI's names: (type, code)
_OPENAI: Mapping[int, tuple[str, str | None]] = {
    401: ("authentication_error", "invalid_api_key"),
    403: ("permission_error", None),
    404: ("invalid_request_error", "unknown_url"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
}


class HttpProblem(Problem):
    """A problem with HTTP headers of its own, such as `Allow`."""

    def __init__(self, kind: Kind, detail: str, headers: Mapping[str, str]) -> None:
        super().__init__(kind, detail)
        self.headers = headers


@dataclass(frozen=True)
class Rendered:
    """A problem as bytes."""

    status: int
    body: bytes
    media_type: str
    headers: dict[str, str]


def status_of(kind: Kind) -> int:
    """Return the status of a kind of problem."""
    return KINDS[kind][0]


def headers_of(problem: Problem) -> dict[str, str]:
    """Return the headers of a problem: when to come back, and whether that can help."""
    headers = dict(problem.headers) if isinstance(problem, HttpProblem) else {}
    if problem.retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(problem.retry_after)))
    if problem.should_retry is not None:
        headers["x-should-retry"] = "true" if problem.should_retry else "false"
    return headers


def render(problem: Problem, request_id: str, *, openai: bool) -> Rendered:
    """Write a problem in the shape of its route."""
    status, headers = status_of(problem.kind), headers_of(problem)
    if openai:
        return Rendered(status, msgspec.json.encode(_openai(problem, status)), "application/json", headers)
    return Rendered(status, msgspec.json.encode(details(problem, request_id)), "application/problem+json", headers)


def details(problem: Problem, request_id: str) -> ProblemDetails:
    """Return a problem as RFC 9457 has it."""
    status, title = KINDS[problem.kind]
    return ProblemDetails(
        type=f"urn:beforehand:problem:{problem.kind}",
        title=title,
        status=status,
        detail=problem.detail,
        request_id=request_id,
        suggestions=list(problem.suggestions) or None,
        reason=problem.reason,
        candidates=None if problem.candidates is None else list(problem.candidates),
    )


def _openai(problem: Problem, status: int) -> OpenAIError:
    default = "server_error" if status >= 500 else "invalid_request_error"
    # OpenAI has no codes for what only a cache or its model can lack; a client has to tell them apart
    kind, code = _OPENAI.get(status, (default, problem.kind.replace("-", "_") if status >= 500 else None))
    suggestions = list(problem.suggestions) or msgspec.UNSET
    candidates = msgspec.UNSET if problem.candidates is None else list(problem.candidates)
    return OpenAIError(
        OpenAIErrorDetails(problem.detail, kind, problem.param, problem.code or code, suggestions, candidates)
    )


async def refuse_http(_: Request, error: Exception) -> NoReturn:
    """Raise the problem of a request that the router refused."""
    if not isinstance(error, HTTPException):
        raise error
    kind = _BY_STATUS.get(error.status_code, "malformed")
    raise HttpProblem(kind, f"{error.detail}.", dict(error.headers or {})) from error


async def refuse_invalid(_: Request, error: Exception) -> NoReturn:
    """Raise the problem of a request whose parameters are not valid."""
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    raise Problem("invalid", f"{place or 'the body'}: {first['msg']}.", param=place or None) from error
