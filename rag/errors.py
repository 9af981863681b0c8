"""What can go wrong, as a table of contents.

Each message is one sentence for a person: what was found, where, and what to do next. `online` maps
these classes to HTTP statuses, the front door maps every `BeforehandError` to exit code 2.
"""

from __future__ import annotations

from dataclasses import dataclass


class BeforehandError(Exception):
    """Root of the errors that a user can act on."""


class ConfigurationError(BeforehandError):
    """A setting is wrong, unknown or contradicts another."""


class RunnerError(BeforehandError):
    """A Beam runner can't be used: its job server is away, or its workers lack something."""


class HiddenError(BeforehandError):
    """An unforeseen error whose text, or that of a cause, quoted a secret: its type, and its text with a mask."""


class DocumentError(BeforehandError):
    """A document can't be read; the run rejects it and goes on."""


class QuestionError(BeforehandError):
    """A question is empty, too long or otherwise can't be asked."""


class ModelError(BeforehandError):
    """A model is missing, torn or not what it says."""


class OutdatedVerifierError(ModelError):
    """A verifier was made by another version of this software; what it certified does not hold for today's."""


class IndexUnusableError(BeforehandError):
    """A vector or lexical index is missing, torn or degenerate."""


class CalibrationError(BeforehandError):
    """Labelled pairs can't be used, or are too few for the tolerated error rate."""


class LlmError(BeforehandError):
    """The language model gave no answer."""


@dataclass(frozen=True)
class Refusal:
    """What the model's server said to the one who wrote the request, in the fields of OpenAI's errors."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None


class LlmRefusedError(LlmError):
    """The request itself is wrong (too long, bad parameters): a retry can't help.

    `refusal` holds the server's own words, where it has some.
    """

    def __init__(self, message: str, refusal: Refusal | None = None) -> None:
        super().__init__(message)
        self.refusal = refusal


class LlmMisconfiguredError(LlmError):
    """The model's server turns every request away: a setting of ours is wrong, and the message names it."""


class LlmUnavailableError(LlmError):
    """The model's server is down, overloaded or too slow: a retry later may help.

    `retry_after` is the wait that the server asked for, in seconds, or None. `reached` is False where the request
    certainly never got to the server. `busy` says that the server has too much to do, whatever the request (429, 503).
    `lost` says that the connection broke off after the request got there: the server may have died.
    """

    def __init__(
        self,
        message: str,
        retry_after: float | None = None,
        *,
        reached: bool = True,
        busy: bool = False,
        lost: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.reached = reached
        self.busy = busy
        self.lost = lost


class TooManyRejectsError(BeforehandError):
    """A stage rejected more prompts than `[batch] most_rejected` allows."""


class AnswersPendingError(BeforehandError):
    """A run can't go on before answers that are made elsewhere are there; the message says what to do."""


EXIT_WAITING = 3
"""The exit code of a run that waits for answers."""
