"""What a caller is told when a question gets no answer: a kind, a sentence, and when to come back.

Every wing raises `Problem`. Only `online.http.problems` knows the statuses, titles and headers of the kinds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rag.errors import LlmMisconfiguredError, LlmRefusedError, LlmUnavailableError, QuestionError

Kind = Literal[
    "malformed",
    "unauthenticated",
    "forbidden",
    "foreign-origin",
    "not-found",
    "no-answer",
    "method",
    "too-large",
    "too-long",
    "media-type",
    "misdirected",
    "invalid",
    "rate-limited",
    "queue-full",
    "too-many-headers",
    "internal",
    "llm-refused",
    "llm-down",
    "no-release",
    "not-cached",
]

_REPAIR_SECONDS = 60  # a person has to change a setting


@dataclass(frozen=True)
class Suggestion:
    """An anticipated question that is near to the one that was asked."""

    question: str
    query_key: str
    similarity: float


@dataclass(frozen=True)
class Near:
    """An anticipated question near to one that it does not answer; `score` is the verifier's, where it was asked."""

    question: str
    query_key: str
    similarity: float
    score: float | None


class Problem(Exception):  # noqa: N818  # the word of RFC 9457
    """A refusal or failure on its way to the caller.

    `retry_after` is in seconds; `should_retry` says whether trying again can help, where that is known. `param` names
    the field at fault, `code` is the model server's own code. `call_failed` says that the language model was asked
    this very question and gave no answer, so the same may happen each time. `reason` and `candidates` say why nothing
    that lies ready answers a question.
    """

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        retry_after: float | None = None,
        should_retry: bool | None = None,
        param: str | None = None,
        code: str | None = None,
        call_failed: bool = False,
    ) -> None:
        super().__init__(detail)
        self.kind: Kind = kind
        self.detail, self.param, self.code = detail, param, code
        self.retry_after, self.should_retry = retry_after, should_retry
        self.call_failed = call_failed
        self.suggestions: Sequence[Suggestion] = ()
        self.reason: str | None = None
        self.candidates: Sequence[Near] | None = None


class ClientGoneError(Exception):
    """The client disconnected before it had its answer."""


def fault() -> Problem:
    """Return what a caller is told of a fault of ours."""
    return Problem("internal", "The service has a fault; its log has the details.")


def as_problem(error: Exception) -> Problem:
    """Map an error to what a caller is told; details of our machines stay in the log.

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
        return Problem("llm-down", detail, retry_after=_REPAIR_SECONDS, should_retry=False, call_failed=True)
    if isinstance(error, LlmUnavailableError):
        detail = "The language model gave no answer; try again later."
        too_busy_or_away = not error.reached or error.retry_after is not None
        return Problem("llm-down", detail, retry_after=error.retry_after or 5, call_failed=not too_busy_or_away)
    raise error
