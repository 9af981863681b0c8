"""An exchange: begin an answer, notice that the client left, and record what became of it, once.

Every route that answers questions, and the jobs, go through here. An exact hit needs no watch on the client, so the
hot path uses `recorded` alone, with the same records.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.types import Receive

from online.answering.question import Asked, Live, Prepared, Sought, Unanswered
from online.answering.request_log import RequestLog
from online.answering.semantic_hit import candidates
from online.errors import ClientGoneError, Kind, Problem, as_problem, fault
from online.http.disconnect import while_connected
from rag.errors import LlmRefusedError, Refusal
from rag.llm.protocol import Completion, Message, Sampling

if TYPE_CHECKING:
    from online.answering.lookup import Lookup


@dataclass(frozen=True)
class Exchanges:
    """Begins answers and records their outcomes."""

    lookup: Lookup
    log: RequestLog

    @contextlib.asynccontextmanager
    async def begin(
        self, asked: Asked, receive: Receive | None, is_final: Callable[[Problem], bool] = lambda _: True
    ) -> AsyncIterator[Prepared | Unanswered | Live]:
        """Begin an answer; the body delivers it. With `receive` a disconnect of the client cancels the body.

        Raises:
            Problem: there is no answer to be had.
            ClientGoneError: the client disconnected.
        """
        with self.recorded(asked, is_final):
            async with _watch(receive), self.lookup.begin(asked) as answer:
                yield answer
                await self._record(asked, answer)

    async def _record(self, asked: Asked, answer: Prepared | Unanswered | Live) -> None:
        if isinstance(answer, Prepared):
            self.log.prepared(asked, answer)
            return
        result = answer if isinstance(answer, Unanswered) else await answer.result()
        joined = isinstance(answer, Live) and answer.joined
        if isinstance(result, Unanswered):
            self.log.unanswered(asked, result, joined=joined)
        elif isinstance(answer, Live):
            self.log.live(asked, answer, result)

    @contextlib.asynccontextmanager
    async def bypass(self, asked: Asked, receive: Receive, sought: Sought | None = None) -> AsyncIterator[PassedOn]:
        """Hold a place at the language model, for a chat that the body passes on, or else says what it told instead.

        `sought` is what was near to its last question.

        Raises:
            Problem: the language model is down, refused the chat, or has no place.
            ClientGoneError: the client disconnected.
        """
        with self.recorded(asked):
            async with _watch(receive), self.lookup.model.place():
                passed = PassedOn()
                yield passed
                if passed.told is None:
                    self.log.bypass(asked, sought)
                else:
                    self.log.unanswered(asked, passed.told)

    @contextlib.asynccontextmanager
    async def ready(self, asked: Asked, kind: Kind = "not-cached") -> AsyncIterator[Prepared | Unanswered]:
        """Find an answer that lies ready, without the language model; the body delivers it.

        Raises:
            Problem: there is none; it is of this kind, and has the nearest anticipated questions.
        """
        with self.recorded(asked):
            with self.lookup.prepared.release().hold() as release:
                found = await self.lookup.ready(asked, release)
            if not isinstance(found, Sought):
                yield found
                await self._record(asked, found)
                return
        self.log.missed(asked, found, kind)
        raise nothing_ready(found, kind)

    async def ask_model(
        self, asked: Asked, receive: Receive, messages: Sequence[Message], sampling: Sampling
    ) -> Completion | None:
        """Ask the language model to help with a question, such as for other words; None if it refuses the request.

        Raises:
            Problem: it is down, has no place, or gave no answer.
            ClientGoneError: the client disconnected.
        """
        with self.recorded(asked):
            async with while_connected(receive), self.lookup.model.place():
                try:
                    return await self.lookup.model.ask(messages, sampling, None)
                except LlmRefusedError:
                    return None

    def recorded(self, asked: Asked, is_final: Callable[[Problem], bool] = lambda _: True) -> Recorded:
        """Record how the body fails, unless the question is asked again because the problem is not final.

        Raises:
            Problem: the body failed in a way that the caller is told.
        """
        return Recorded(self.log, asked, is_final)


def nothing_ready(sought: Sought, kind: Kind) -> Problem:
    """Return the problem of a question without a prepared answer: why, and what is near."""
    problem = Problem(kind, "No prepared answer fits this question.", should_retry=False)
    problem.reason = sought.refusal
    problem.candidates = candidates(sought)
    return problem


@dataclass
class PassedOn:
    """What became of a chat that was passed on; `told` is what was told instead of the reply, if anything."""

    told: Unanswered | None = None


@dataclass(slots=True)
class Recorded:
    """The context of `Exchanges.recorded`; a generator, or a frozen class, would cost an exact hit 1 µs more."""

    log: RequestLog
    asked: Asked
    is_final: Callable[[Problem], bool]

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, ClientGoneError):
            self.log.gone(self.asked)
        elif isinstance(error, Exception):
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        try:
            problem = _problem(self.asked, error)
        except Exception:
            self.log.problem(self.asked, fault())
            return
        if self.is_final(problem):
            self.log.problem(self.asked, problem)
        if problem is not error:
            raise problem from error


def _watch(receive: Receive | None) -> contextlib.AbstractAsyncContextManager[None]:
    return contextlib.nullcontext() if receive is None else while_connected(receive)


def _problem(asked: Asked, error: Exception) -> Problem:
    """Map an error; what the model refuses because of the caller's own parameters is told in its own words."""
    refused = error if isinstance(error, LlmRefusedError) else error.__cause__
    theirs = asked.sampling is not None or asked.passed_on
    if not theirs or not isinstance(refused, LlmRefusedError):
        return as_problem(error)
    said = refused.refusal or Refusal(400, "The language model refused the request: it may be too long.")
    kind: Kind = "invalid" if said.status == 422 else "malformed"
    return Problem(kind, said.message, should_retry=False, param=said.param, code=said.code)
