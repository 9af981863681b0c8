"""The language model behind admission control, a circuit breaker and a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from online.errors import Problem
from online.model.admission import Admission, Place, QueueFullError
from online.model.circuit_breaker import CircuitBreaker
from online.model.no_model import NoModel
from online.telemetry.metrics import Metrics
from online.telemetry.throttled_log import ThrottledLog
from online.telemetry.tracing import Tracing, completed
from rag.errors import LlmError, LlmMisconfiguredError, LlmRefusedError, LlmUnavailableError
from rag.llm.protocol import Completion, Delta, Llm, Message, Sampling

T = TypeVar("T")

_ALIVE = {"busy", "refused"}  # failures of a model that is up

_log = logging.getLogger("beforehand.llm")


@dataclass(frozen=True)
class LanguageModel:
    """A guarded `Llm`. `deadline_seconds` bounds a whole answer."""

    llm: Llm
    sampling: Sampling
    admission: Admission
    breaker: CircuitBreaker
    metrics: Metrics
    deadline_seconds: float
    tracing: Tracing | None = None
    failures: ThrottledLog = field(default_factory=lambda: ThrottledLog(_log))

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[Place]:
        """Hold a place at the model.

        Raises:
            Problem: it counts as down, or too many wait already.
        """
        if self.is_down:
            raise self.down()
        try:
            async with self.admission.place() as place:
                yield place
        except QueueFullError as error:
            raise _queue_full(error) from None

    @property
    def is_absent(self) -> bool:
        """Whether the service has no language model at all."""
        return isinstance(self.llm, NoModel)

    @property
    def is_down(self) -> bool:
        """Whether no call would be made now."""
        return self.is_absent or self.breaker.state == "open"

    @property
    def has_place(self) -> bool:
        """Whether a call would run at once."""
        return not self.is_down and self.admission.running < self.admission.limit

    def refusal(self) -> Problem | None:
        """Return why a question would get no live answer now, or None."""
        if self.breaker.state == "open":
            return self.down()
        full = self.admission.refusal()
        return None if full is None else _queue_full(full)

    async def ask(
        self, messages: Sequence[Message], sampling: Sampling, on_piece: Callable[[Delta], None] | None
    ) -> Completion:
        """Ask, within a place that the caller holds; with `on_piece` the answer is streamed to it.

        Raises:
            Problem: the model counts as down.
            LlmError: it gave no answer, or not within the deadline.
        """
        call = contextlib.nullcontext() if self.tracing is None else self.tracing.call(self.llm.model, sampling)
        with call as span:
            completion = await self.guarded(self._answer(messages, sampling, on_piece))
            if span is not None:
                completed(span, completion)
        self.metrics.tokens.labels("prompt").inc(completion.prompt_tokens)
        self.metrics.tokens.labels("completion").inc(completion.completion_tokens)
        return completion

    async def guarded(self, call: Coroutine[object, object, T]) -> T:
        """Await a call to the model under the breaker and the deadline, within a place that the caller holds.

        Raises:
            Problem: the model counts as down.
            LlmError: it gave no answer, or not within the deadline.
        """
        if not self.breaker.allow():
            call.close()
            raise self.down()
        started = time.perf_counter()
        with self._judged():
            async with asyncio.timeout(self.deadline_seconds):
                outcome = await call
        self.metrics.llm_seconds.observe(time.perf_counter() - started)
        return outcome

    @contextlib.contextmanager
    def _judged(self) -> Iterator[None]:
        """Report the outcome of the call inside to the breaker, the metrics and the log."""
        try:
            yield
        except TimeoutError:
            overdue = LlmUnavailableError(f"no answer within {self.deadline_seconds:g} seconds")
            self._failed("timeout", overdue)
            raise overdue from None
        except LlmError as error:
            self._failed(_reason(error), error)
            raise
        except BaseException:
            self.breaker.abandoned()
            raise
        self._tell(self.breaker.succeeded)

    def _failed(self, reason: str, error: LlmError) -> None:
        self.metrics.llm_failures.labels(reason).inc()
        self._tell(self.breaker.succeeded if reason in _ALIVE else self.breaker.failed, reason, error)

    def _tell(self, verdict: Callable[[], None], reason: str = "", error: LlmError | None = None) -> None:
        """Tell the breaker. A change of its state is always logged, other failures now and then."""
        was_closed = self.breaker.state == "closed"
        verdict()
        closed = self.breaker.state == "closed"
        if was_closed and not closed:
            _log.error("the language model counts as down (%s): %s", reason, error)
        elif error is not None:
            level = logging.ERROR if isinstance(error, LlmMisconfiguredError) else logging.WARNING
            self.failures(level, "the language model gave no answer (%s): %s", reason, error)
        if closed and not was_closed:
            _log.info("the language model counts as up again")

    async def _answer(
        self, messages: Sequence[Message], sampling: Sampling, on_piece: Callable[[Delta], None] | None
    ) -> Completion:
        if on_piece is None:
            return await self.llm.complete(messages, sampling)
        whole: Completion | None = None
        async with contextlib.aclosing(self.llm.stream(messages, sampling)) as deltas:
            async for delta in deltas:
                if delta.says_something:
                    on_piece(delta)
                whole = delta.completion or whole
        if whole is None:
            raise LlmUnavailableError("the stream ended without a completion")
        return whole

    def down(self) -> Problem:
        """Return the problem of a model that counts as down, or is not there: to retry at once would not help."""
        if self.is_absent:
            detail = "No prepared answer fits, and this service has no language model to write one."
            return Problem("no-answer", detail, should_retry=False, code="no_answer")
        return Problem(
            "llm-down",
            "The language model is down; anticipated questions are still answered.",
            retry_after=self.breaker.seconds_left or 1,
            should_retry=False,
        )


def _reason(error: LlmError) -> str:
    """Return the label of a failure."""
    if isinstance(error, LlmMisconfiguredError):
        return "misconfigured"
    if isinstance(error, LlmRefusedError):
        return "refused"
    if isinstance(error, LlmUnavailableError) and error.retry_after is not None:
        return "busy"  # it is alive, and says when to come back
    return "unavailable"


def _queue_full(error: QueueFullError) -> Problem:
    return Problem(
        "queue-full", "Too many new questions are waiting; try again shortly.", retry_after=error.retry_after
    )
