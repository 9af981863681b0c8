"""The language model with what protects it from us, and us from it: places, a breaker, a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from online.admission import Admission, Place, QueueFullError
from online.circuit_breaker import CircuitBreaker
from online.metrics import Metrics
from online.problems import Problem
from online.tracing import Tracing, completed
from rag.errors import LlmRefusedError, LlmUnavailableError
from rag.llm import Completion, Llm, Message, Sampling

T = TypeVar("T")


@dataclass(frozen=True)
class LanguageModel:
    """One handed-in `Llm`, guarded. `deadline_seconds` bounds a whole answer."""

    llm: Llm
    sampling: Sampling
    admission: Admission
    breaker: CircuitBreaker
    metrics: Metrics
    deadline_seconds: float
    tracing: Tracing | None = None

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[Place]:
        """Hold a place at the model.

        Raises:
            Problem: it counts as down, or too many wait already.
        """
        if self.breaker.state == "open":
            raise self.down()
        try:
            async with self.admission.place() as place:
                yield place
        except QueueFullError as error:
            raise _queue_full(error) from None

    def refusal(self) -> Problem | None:
        """Return why a question that comes now would get no live answer, or None."""
        if self.breaker.state == "open":
            return self.down()
        full = self.admission.refusal()
        return None if full is None else _queue_full(full)

    async def ask(
        self, messages: Sequence[Message], sampling: Sampling, on_piece: Callable[[str], None] | None
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

    async def guarded(self, call: Coroutine[Any, Any, T]) -> T:
        """Await a call to the model under the breaker and the deadline, within a place that the caller holds.

        Raises:
            Problem: the model counts as down.
            LlmError: it gave no answer, or not within the deadline.
        """
        if not self.breaker.allow():
            call.close()
            raise self.down()
        verdict = self.breaker.abandoned
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self.deadline_seconds):
                outcome = await call
            verdict = self.breaker.succeeded
        except TimeoutError:
            verdict = self.breaker.failed
            self.metrics.llm_failures.labels("timeout").inc()
            raise LlmUnavailableError(f"no answer within {self.deadline_seconds:.0f} seconds") from None
        except LlmUnavailableError as error:
            busy = error.retry_after is not None  # it is alive, and says when to come back
            verdict = self.breaker.succeeded if busy else self.breaker.failed
            self.metrics.llm_failures.labels("busy" if busy else "unavailable").inc()
            raise
        except LlmRefusedError:
            verdict = self.breaker.succeeded
            self.metrics.llm_failures.labels("refused").inc()
            raise
        finally:
            verdict()
        self.metrics.llm_seconds.observe(time.perf_counter() - started)
        return outcome

    async def _answer(
        self, messages: Sequence[Message], sampling: Sampling, on_piece: Callable[[str], None] | None
    ) -> Completion:
        if on_piece is None:
            return await self.llm.complete(messages, sampling)
        whole: Completion | None = None
        async with contextlib.aclosing(self.llm.stream(messages, sampling)) as deltas:
            async for delta in deltas:
                if delta.text:
                    on_piece(delta.text)
                whole = delta.completion or whole
        if whole is None:
            raise LlmUnavailableError("the stream ended without a completion")
        return whole

    def down(self) -> Problem:
        """Say that the model counts as down, and that trying again at once would not help."""
        return Problem(
            "llm-down",
            "The language model is down; anticipated questions are still answered.",
            retry_after=self.breaker.seconds_left or 1,
            should_retry=False,
        )


def _queue_full(error: QueueFullError) -> Problem:
    return Problem(
        "queue-full", "Too many new questions are waiting; try again shortly.", retry_after=error.retry_after
    )
