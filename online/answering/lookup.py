"""The way of a question: exact hit, verified semantic hit, live answer."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import functools
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from online.answering.live_answer import LiveAnswer, LiveOpening, Miss, answer_live
from online.answering.semantic_hit import Sought, seek
from online.answering.semantic_watch import SemanticWatch
from online.answering.single_flight import Flight, SingleFlight
from online.http.problems import Problem, as_problem
from online.http.schemas import Source
from online.model.language_model import LanguageModel
from online.model.work_pool import WorkPool
from online.release.current_release import CurrentRelease
from online.release.open_release import OpenRelease
from online.release.reviewed import Reviewed
from online.release.withdrawn import Withdrawn
from online.telemetry.metrics import Metrics
from rag.errors import LlmError
from rag.identity import normalise
from rag.llm.protocol import Delta, Sampling
from rag.settings import CollectionSettings


@dataclass(frozen=True)
class Asked:
    """A question after authentication and validation. `started` is on `time.perf_counter`.

    `query_key` is empty in a chat that is only passed on. `fresh` asks for a live answer (`Cache-Control: no-cache`),
    `private` keeps the text out of the journal (`no-store`), `stream` that the text be sent as it comes, `sampling`
    that a live answer be drawn otherwise than the configuration says.
    """

    request_id: str
    collection: str
    question: str
    query_key: str
    started: float
    key_id: str | None = None
    route: str = "answers"
    explain: bool = False
    stream: bool = False
    fresh: bool = False
    private: bool = False
    sampling: Sampling | None = None


class Head(msgspec.Struct):
    """What the service itself needs to know of an anticipated answer's body."""

    collection: str
    fingerprint: str
    query_key: str
    generated_at: datetime.datetime
    documents: list[str]


@dataclass(frozen=True)
class Prepared:
    """An anticipated answer: its JSON `body` as the release holds it."""

    body: bytes
    head: Head
    release_id: str
    source: Source = "exact"
    confidence: float = 1.0
    sought: Sought | None = None

    @property
    def age_seconds(self) -> int:
        """Seconds since the answer was generated."""
        return max(0, int(time.time() - self.head.generated_at.timestamp()))


@dataclass(frozen=True)
class Opened:
    """A live answer that has begun."""

    live: LiveOpening
    sought: Sought
    release_id: str


AnswerFlight = Flight[Prepared | Opened, Delta, LiveAnswer]


@dataclass(frozen=True)
class Begun:
    """An answer of which the kind is known: an anticipated one, or a live one that has begun.

    `joined` says that someone else's call in flight is shared.
    """

    prepared: Prepared | None = None
    opened: Opened | None = None
    flight: AnswerFlight | None = None
    joined: bool = False

    def deltas(self) -> AsyncIterator[Delta]:
        """Yield the message of a live answer as it comes."""
        assert self.flight is not None
        return self.flight.follow()

    async def pieces(self) -> AsyncIterator[str]:
        """Yield the text of a live answer as it comes."""
        async for delta in self.deltas():
            if delta.text:
                yield delta.text

    async def result(self) -> LiveAnswer:
        """Return the whole live answer."""
        assert self.flight is not None
        return await asyncio.shield(self.flight.result)


_decode_head = msgspec.json.Decoder(Head).decode


@dataclass
class Answering:
    """All that a question meets on its way."""

    current: CurrentRelease
    withdrawn: Withdrawn
    reviewed: Reviewed
    model: LanguageModel
    pool: WorkPool
    watch: SemanticWatch
    metrics: Metrics
    collections: Mapping[str, CollectionSettings]
    rewrite_queries: bool = False
    flights: SingleFlight[Prepared | Opened, Delta, LiveAnswer] = field(default_factory=SingleFlight)
    on_semantic_hit: Callable[[Asked, Prepared], None] = lambda _asked, _hit: None

    def release(self) -> OpenRelease:
        """Return the release that is served now."""
        release = self.current.get()
        if release is None:
            raise Problem("no-release", "Nothing has been published yet; run `beforehand run` first.", retry_after=10)
        return release

    def exact(self, asked: Asked) -> Prepared | None:
        """Look the very question up; a few microseconds, no thread, no wait."""
        return self._prepared(self.release(), asked.collection, asked.query_key)

    def _prepared(self, release: OpenRelease, collection: str, query_key: str) -> Prepared | None:
        body = self.reviewed.answer(release.index, query_key)
        if body is None:
            return None
        head = _decode_head(body)
        if head.collection != collection or self.withdrawn.touches(collection, head.documents):
            return None
        return Prepared(body, head, release.release_id)

    @contextlib.asynccontextmanager
    async def begin(self, asked: Asked) -> AsyncIterator[Begun]:
        """Start on an answer, or join those who asked the same; leaving early gives it up.

        Raises:
            Problem: there is no answer to be had.
        """
        prepared = None if asked.fresh else self.exact(asked)
        if prepared is not None:
            yield Begun(prepared)
            return
        if not normalise(asked.question):  # asked of a miss only: no such question is ever anticipated
            raise Problem("invalid", "The question is empty: it has no letters or digits.", param="question")
        release = self.release()
        key = (release.release_id, asked.query_key, asked.fresh, asked.sampling)
        async with self.flights.join(key, functools.partial(self._fly, asked, release)) as (flight, joined):
            opening = await asyncio.shield(flight.opening)
            if isinstance(opening, Prepared):
                yield Begun(opening, joined=joined)
            else:
                yield Begun(None, opening, flight, joined)

    async def _fly(self, asked: Asked, release: OpenRelease, flight: AnswerFlight) -> None:
        # Under a flood even to look for a semantic hit costs more than there is: hits need the processor.
        if self.pool.crowded and (refusal := self.model.refusal()) is not None:
            raise refusal
        with release.hold():
            sought = await self.pool.run(
                seek,
                release,
                asked.collection,
                asked.question,
                functools.partial(self._usable, release, asked),
                self._tolerated(asked),
            )
            hit = self._take(release, asked, sought)
            if hit is not None:
                flight.open(hit)
                self.on_semantic_hit(asked, hit)
                return
            await self._live(asked, release, sought, flight)

    def is_served(self, release: OpenRelease, collection: str, query_key: str) -> bool:
        """Say whether an anticipated question has an answer that may be served."""
        return self._prepared(release, collection, query_key) is not None

    def _usable(self, release: OpenRelease, asked: Asked, query_key: str) -> bool:
        return not self.withdrawn.tombstoned(asked.query_key, query_key) and self.is_served(
            release, asked.collection, query_key
        )

    def _tolerated(self, asked: Asked) -> float | None:
        return None if asked.fresh else self.watch.tolerated(asked.collection)

    def _take(self, release: OpenRelease, asked: Asked, sought: Sought) -> Prepared | None:
        self.metrics.semantic.labels("hit" if sought.hit else sought.refusal).inc()
        if sought.hit is None or sought.decision is None:
            return None
        found = self._prepared(release, asked.collection, sought.hit)
        if found is None:  # withdrawn while it was being verified
            return None
        confidence = min(1.0, max(0.0, float(sought.decision.score)))
        return replace(found, source="semantic", confidence=confidence, sought=sought)

    async def _live(self, asked: Asked, release: OpenRelease, sought: Sought, flight: AnswerFlight) -> None:
        withdrawn = self.withdrawn.documents(asked.collection)
        miss = Miss(
            asked.collection,
            asked.question,
            asked.query_key,
            sought.vector,
            withdrawn,
            self.rewrite_queries,
            asked.sampling,
        )
        try:
            answer = await answer_live(
                miss,
                release,
                self.model,
                self.pool,
                lambda live: flight.open(Opened(live, sought, release.release_id)),
                flight.push if asked.stream else None,
            )
        except LlmError as error:
            raise _with_suggestions(as_problem(error), sought) from error
        except Problem as problem:
            raise _with_suggestions(problem, sought) from None
        self.metrics.invalid_citations.inc(answer.linked.invalid)
        if not asked.stream:
            flight.push(Delta(answer.linked.text, others=answer.completion.others))
        flight.land(answer)


def _with_suggestions(problem: Problem, sought: Sought) -> Problem:
    problem.suggestions = sought.suggestions()
    return problem
