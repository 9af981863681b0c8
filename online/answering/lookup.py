"""The lookup of an answer: exact hit, verified semantic hit, live answer, or why there is none to show."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from online.answering.live_answer import LiveQuestion, answer_live
from online.answering.prepared_answers import PreparedAnswers, keyed
from online.answering.question import (
    AnswerFlight,
    Asked,
    Begun,
    Live,
    LiveAnswer,
    Opening,
    Prepared,
    Sought,
    Unanswered,
)
from online.answering.semantic_hit import Permits, Search, seek, seek_all, seek_and_retrieve, suggestions
from online.answering.semantic_watch import SemanticWatch
from online.answering.single_flight import SingleFlight
from online.answering.withholding import Withholding
from online.errors import Problem, Suggestion, as_problem
from online.http.schemas import UnansweredSource
from online.model.language_model import LanguageModel
from online.model.work_pool import TOGETHER, WorkPool
from online.telemetry.metrics import Metrics
from rag.errors import LlmError
from rag.identity import ModelIdentity, normalise
from rag.llm.protocol import Delta
from rag.prompting.answer_rules import AnswerRules
from rag.prompting.citations import bare_words

if TYPE_CHECKING:
    from online.release.open_release import OpenRelease


@dataclass
class Lookup:
    """Looks an answer up: exact, semantic, live. A live one has to pass `rules`."""

    prepared: PreparedAnswers
    model: LanguageModel
    pool: WorkPool
    watch: SemanticWatch
    metrics: Metrics
    rules: AnswerRules
    identity: ModelIdentity
    rewrite_queries: bool = False
    flights: SingleFlight[Begun, Delta, LiveAnswer] = field(default_factory=SingleFlight)
    on_semantic_hit: Callable[[Asked, Prepared], None] = lambda _asked, _hit: None

    @property
    def withholding(self) -> Withholding:
        """What must not be said."""
        return self.prepared.withholding

    @contextlib.asynccontextmanager
    async def begin(self, asked: Asked) -> AsyncIterator[Prepared | Unanswered | Live]:
        """Begin an answer, or join an identical question in flight; leaving early cancels it.

        Raises:
            Problem: there is no answer to be had.
        """
        asked = keyed(asked, self.prepared.release())
        prepared = None if asked.fresh else self.prepared.exact(asked)
        if prepared is not None:
            yield prepared
            return
        _require_words(asked)
        release = self.prepared.release()
        reason = self.withholding.reason(release, asked.collection, asked.query_key)
        key = (release.release_id, asked.query_key, asked.fresh, asked.sampling, reason)
        flying = self.flights.join(key, functools.partial(self._fly, asked, release, reason))
        with release.hold():  # the verdict on a live answer is found in it
            async with flying as (flight, joined):
                begun = await asyncio.shield(flight.opening)
                if isinstance(begun, Opening):
                    yield Live(begun, flight, functools.partial(self._verdict, asked, release, begun), joined)
                else:
                    yield begun

    async def _fly(self, asked: Asked, release: OpenRelease, reason: str | None, flight: AnswerFlight) -> None:
        with release.hold():
            # Under a flood even the search for a semantic hit is too expensive: exact hits need the processor.
            if reason is None and self.pool.crowded and (refusal := self.model.refusal()) is not None:
                raise refusal
            found = await self._decide(asked, release, reason, live=not self.rewrite_queries and self.model.has_place)
            if isinstance(found, Sought):
                await self._live(asked, release, found, flight)
                return
            flight.open(found)
            if isinstance(found, Prepared):
                self.on_semantic_hit(asked, found)

    async def ready(self, asked: Asked, release: OpenRelease) -> Prepared | Unanswered | Sought:
        """Return the answer that lies ready, or why there is none to show, or what was near; never asks the model.

        The caller holds the release.

        Raises:
            Problem: the question is empty, or too many wait for the processor.
        """
        asked = keyed(asked, release)
        prepared = None if asked.fresh else self.prepared.exact(asked)
        if prepared is not None:
            return prepared
        _require_words(asked)
        return await self._decide(asked, release, self.withholding.reason(release, asked.collection, asked.query_key))

    async def _decide(
        self, asked: Asked, release: OpenRelease, reason: str | None, *, live: bool = False
    ) -> Prepared | Unanswered | Sought:
        """Decide about a question that has no exact hit; `reason` says why it has no answer to show, if so.

        A miss that will be answered `live` gets its passages as well.
        """
        if reason is not None:
            return await self._withheld(asked, release, reason)
        return self._decided(asked, release, await self._seek(asked, release, live=live))

    def _decided(self, asked: Asked, release: OpenRelease, sought: Sought) -> Prepared | Unanswered | Sought:
        return self._barred(asked, release, sought) or self._take(release, asked, sought) or sought

    def _barred(self, asked: Asked, release: OpenRelease, sought: Sought) -> Unanswered | None:
        """Return what a question gets that asks the same as a withheld one."""
        if sought.withheld is None:
            return None
        reason = self.withholding.reason(release, asked.collection, sought.withheld)
        return None if reason is None else self._told(asked, release, "withheld", reason, sought)

    async def ready_all(
        self, asked: Sequence[Asked], release: OpenRelease
    ) -> AsyncGenerator[Prepared | Unanswered | Sought, None]:
        """Yield what lies ready for each of several questions, in their order; a few are decided in one go.

        The caller holds the release.

        Raises:
            Problem: too many wait for the processor.
        """
        for start in range(0, len(asked), TOGETHER):
            batch = [keyed(each, release) for each in asked[start : start + TOGETHER]]
            exact = [self.prepared.exact(each) for each in batch]
            missing = [each for each, found in zip(batch, exact, strict=True) if found is None]
            searches = [self._search(each, release) for each in missing]
            sought = iter(await self.pool.run(seek_all, release, searches) if searches else ())
            for each, found in zip(batch, exact, strict=True):
                if found is not None:
                    yield found
                    continue
                near = _strictly(each, next(sought))
                reason = self.withholding.reason(release, each.collection, each.query_key)
                if reason is not None:
                    yield self._told(each, release, "withheld", reason, near)
                else:
                    yield self._decided(each, release, near)

    async def _seek(self, asked: Asked, release: OpenRelease, *, live: bool = False) -> Sought:
        search = self._search(asked, release)
        if live:
            withdrawn = self.prepared.withdrawn.documents(asked.collection)
            return _strictly(asked, await self.pool.run(seek_and_retrieve, release, search, withdrawn))
        return _strictly(asked, await self.pool.run(seek, release, search))

    def _search(self, asked: Asked, release: OpenRelease) -> Search:
        permits = Permits(
            self.prepared.usable(release, asked),
            functools.partial(self.prepared.bars, release, asked),
            self.withholding.collections[asked.collection].tolerated_error,
        )
        return Search(asked, permits, self._tolerated(asked))

    async def _withheld(self, asked: Asked, release: OpenRelease, reason: str) -> Unanswered:
        """Return what a withheld question gets, with suggestions unless there is too much to do."""
        try:
            return self._told(asked, release, "withheld", reason, await self._seek(asked, release))
        except Problem:
            return self._told(asked, release, "withheld", reason, None)

    async def unless_withheld(self, asked: Asked, release: OpenRelease) -> Unanswered | Sought:
        """Return what a question gets that is withheld, or asks the same as one that is, else what was near.

        For chats that no prepared answer fits. The caller holds the release.
        """
        asked = keyed(asked, release)
        sought = await self._seek(asked, release)
        reason = self.withholding.reason(release, asked.collection, asked.query_key)
        if reason is not None:
            return self._told(asked, release, "withheld", reason, sought)
        return self._barred(asked, release, sought) or sought

    def rejects_words(self, collection: str) -> bool:
        """Whether there are words that a person rejected in a collection."""
        return self.withholding.rejects_words(self.prepared.release(), collection)

    def has_rejected_words(self, collection: str, said: str) -> bool:
        """Whether a text of the model has words that a person rejected in a collection."""
        release = self.prepared.current.get()
        return release is not None and self._says_rejected_words(release, collection, said)

    def _says_rejected_words(self, release: OpenRelease, collection: str, said: str) -> bool:
        withholding = self.withholding
        return withholding.rejects_words(release, collection) and withholding.has_rejected_words(
            release, collection, bare_words(said)
        )

    def rejected(self, asked: Asked, said: str) -> Unanswered | None:
        """Return what is told instead of what the model said, if a person rejected the question or those words."""
        release = self.prepared.release()
        asked = keyed(asked, release)
        self.withholding.follow()
        reason = self.withholding.reason(release, asked.collection, asked.query_key)
        if reason is None and self._says_rejected_words(release, asked.collection, said):
            reason = "rejected"
        return None if reason is None else self._told(asked, release, "withheld", reason, None)

    def _told(
        self, asked: Asked, release: OpenRelease, source: UnansweredSource, reason: str, sought: Sought | None
    ) -> Unanswered:
        near: list[Suggestion] = [] if sought is None else suggestions(sought)
        served = [each for each in near if self.prepared.is_served(release, asked.collection, each.query_key)]
        return self.withholding.told(asked.collection, source, reason, release.release_id, served, sought)

    def _verdict(
        self, asked: Asked, release: OpenRelease, opening: Opening, live: LiveAnswer | None
    ) -> Unanswered | None:
        """Return what is told instead of a live answer: a person may have decided while it was being written."""
        if live is not None:
            self.withholding.follow()
        source: UnansweredSource = "withheld"
        reason = self.withholding.objection(release, asked.collection, asked.query_key, opening)
        if live is not None and reason is None:
            if self.withholding.has_rejected_words(release, asked.collection, live.words):
                reason = "rejected"
            elif live.fault is not None:
                source, reason = "unreliable", live.fault
        if reason is None:
            return None
        return replace(self._told(asked, release, source, reason, opening.sought), opening=opening, live=live)

    def _tolerated(self, asked: Asked) -> float | None:
        tolerated = None if asked.fresh else self.watch.tolerated(asked.collection)
        if tolerated is None or asked.tolerated_error is None:
            return tolerated
        return min(tolerated, asked.tolerated_error)

    def _take(self, release: OpenRelease, asked: Asked, sought: Sought) -> Prepared | None:
        self.metrics.semantic.labels("hit" if sought.hit else sought.refusal).inc()
        if sought.hit is None or sought.decision is None:
            return None
        found = self.prepared.find(release, asked.collection, sought.hit)
        if found is None:  # withdrawn while it was being verified
            return None
        confidence = min(1.0, max(0.0, float(sought.decision.score)))
        wording = sought.hit_wording or sought.hit
        return replace(found, source="semantic", confidence=confidence, sought=sought, wording_key=wording)

    async def _live(self, asked: Asked, release: OpenRelease, sought: Sought, flight: AnswerFlight) -> None:
        question = LiveQuestion(
            asked.collection,
            asked.question,
            asked.query_key,
            sought,
            self.prepared.withdrawn.documents(asked.collection),
            self.rules,
            self.identity.within(release.model),
            self.rewrite_queries,
            asked.sampling,
            asked.filters,
        )
        on_piece = flight.push if asked.stream else None
        try:
            answer = await answer_live(question, release, self.model, self.pool, flight.open, on_piece)
        except LlmError as error:
            raise _with_suggestions(as_problem(error), sought) from error
        except Problem as problem:
            raise _with_suggestions(problem, sought) from None
        self.metrics.invalid_citations.inc(answer.linked.invalid)
        if not asked.stream:
            flight.push(Delta(answer.linked.text, others=answer.completion.others))
        flight.land(answer)


def _require_words(asked: Asked) -> None:
    """Refuse a question of punctuation alone; checked on a miss only, since none is ever anticipated."""
    if not normalise(asked.question):
        raise Problem("invalid", "The question is empty: it has no letters or digits.", param="question")


def _strictly(asked: Asked, sought: Sought) -> Sought:
    """Refuse a hit whose score is below the least that the caller wants."""
    decision = sought.decision
    if decision is None or not decision.accepted or decision.score >= asked.least_score:
        return sought
    refused = replace(decision, accepted=False, reason="below_threshold", threshold=asked.least_score)
    return replace(sought, decision=refused)


def _with_suggestions(problem: Problem, sought: Sought) -> Problem:
    problem.suggestions = suggestions(sought)
    return problem
