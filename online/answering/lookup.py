"""The lookup of an answer: exact hit, verified semantic hit, live answer, or why there is none to show."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from online.answering.live_answer import LiveQuestion, answer_live
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
from online.release.stored_heads import Head, decode_head
from online.telemetry.metrics import Metrics
from rag.errors import LlmError
from rag.filters import Filters
from rag.identity import ModelIdentity, normalise
from rag.llm.protocol import Delta
from rag.prompting.answer_rules import AnswerRules
from rag.prompting.citations import bare_words

if TYPE_CHECKING:
    from online.release.current_release import CurrentRelease
    from online.release.listed import Listed
    from online.release.open_release import OpenRelease
    from online.release.reviewed import Reviewed
    from online.release.withdrawn import Withdrawn


@dataclass
class Lookup:
    """Looks an answer up: exact, semantic, live. A live one has to pass `rules`."""

    current: CurrentRelease
    withdrawn: Withdrawn
    reviewed: Reviewed
    listed: Listed
    withholding: Withholding
    model: LanguageModel
    pool: WorkPool
    watch: SemanticWatch
    metrics: Metrics
    rules: AnswerRules
    identity: ModelIdentity
    rewrite_queries: bool = False
    flights: SingleFlight[Begun, Delta, LiveAnswer] = field(default_factory=SingleFlight)
    on_semantic_hit: Callable[[Asked, Prepared], None] = lambda _asked, _hit: None

    def release(self) -> OpenRelease:
        """Return the release that is served now.

        Raises:
            Problem: there is none yet.
        """
        release = self.current.get()
        if release is None:
            raise Problem("no-release", "Nothing has been published yet; run `beforehand run` first.", retry_after=10)
        return release

    def exact(self, asked: Asked) -> Prepared | None:
        """Return the answer to this very question, if there is one; a few microseconds, without a thread.

        Where the question may not be listed it is repeated in the caller's words, not in those of another visitor.
        """
        release = self.release()
        asked = _keyed(asked, release)
        found = self._prepared(release, asked.collection, asked.query_key)
        if found is None or self.reviewed.standing(asked.query_key) is not None:
            found = self._worded(release, asked) or found
        elif not self.listed.allows(release, asked.query_key):
            return _repeated(found, asked, {"listed": False})
        return found

    def _worded(self, release: OpenRelease, asked: Asked) -> Prepared | None:
        """Return the answer to the question of which this one is a further wording, unless it was a false hit."""
        key = release.index.answer_key(asked.query_key)
        if key == asked.query_key or self.withdrawn.tombstoned(asked.query_key, key):
            return None
        found = self._prepared(release, asked.collection, key)
        if found is None:
            return None
        if not self.listed.allows(release, key):
            return replace(_repeated(found, asked, {"listed": False}), wording_key=asked.query_key)
        primary = msgspec.json.decode(found.body)["question"]
        return replace(_repeated(found, asked, {"matched_question": primary}), wording_key=asked.query_key)

    def _prepared(self, release: OpenRelease, collection: str, query_key: str) -> Prepared | None:
        body = self.reviewed.answer(release.index, query_key)
        if body is None:
            return None
        head = decode_head(body)
        if not self._may_serve(release, collection)(head):
            return None
        if self.withholding.repeats_rejected(release, collection, query_key, body):
            return None
        return Prepared(body, head, release.release_id)

    def _may_serve(self, release: OpenRelease, collection: str) -> Callable[[Head], bool]:
        """Return the test whether an answer belongs to a collection, rests on no withdrawn document, is not too old."""
        foreign = collection in release.unfiltered
        max_age, touches = self.withholding.collections[collection].max_age, self.withdrawn.touching(collection)

        def may_serve(head: Head) -> bool:
            if foreign or head.collection != collection or head.expired(max_age):
                return False
            return touches is None or not touches(head.documents)

        return may_serve

    @contextlib.asynccontextmanager
    async def begin(self, asked: Asked) -> AsyncIterator[Prepared | Unanswered | Live]:
        """Begin an answer, or join an identical question in flight; leaving early cancels it.

        Raises:
            Problem: there is no answer to be had.
        """
        asked = _keyed(asked, self.release())
        prepared = None if asked.fresh else self.exact(asked)
        if prepared is not None:
            yield prepared
            return
        _require_words(asked)
        release = self.release()
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
        asked = _keyed(asked, release)
        prepared = None if asked.fresh else self.exact(asked)
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
            batch = [_keyed(each, release) for each in asked[start : start + TOGETHER]]
            exact = [self.exact(each) for each in batch]
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
            withdrawn = self.withdrawn.documents(asked.collection)
            return _strictly(asked, await self.pool.run(seek_and_retrieve, release, search, withdrawn))
        return _strictly(asked, await self.pool.run(seek, release, search))

    def _search(self, asked: Asked, release: OpenRelease) -> Search:
        permits = Permits(
            self._usable(release, asked),
            functools.partial(self._bars, release, asked),
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
        asked = _keyed(asked, release)
        sought = await self._seek(asked, release)
        reason = self.withholding.reason(release, asked.collection, asked.query_key)
        if reason is not None:
            return self._told(asked, release, "withheld", reason, sought)
        return self._barred(asked, release, sought) or sought

    def rejects_words(self, collection: str) -> bool:
        """Whether there are words that a person rejected in a collection."""
        return self.withholding.rejects_words(self.release(), collection)

    def has_rejected_words(self, collection: str, said: str) -> bool:
        """Whether a text of the model has words that a person rejected in a collection."""
        release = self.current.get()
        return release is not None and self._says_rejected_words(release, collection, said)

    def _says_rejected_words(self, release: OpenRelease, collection: str, said: str) -> bool:
        withholding = self.withholding
        return withholding.rejects_words(release, collection) and withholding.has_rejected_words(
            release, collection, bare_words(said)
        )

    def rejected(self, asked: Asked, said: str) -> Unanswered | None:
        """Return what is told instead of what the model said, if a person rejected the question or those words."""
        release = self.release()
        asked = _keyed(asked, release)
        self.withholding.follow()
        reason = self.withholding.reason(release, asked.collection, asked.query_key)
        if reason is None and self._says_rejected_words(release, asked.collection, said):
            reason = "rejected"
        return None if reason is None else self._told(asked, release, "withheld", reason, None)

    def _told(
        self, asked: Asked, release: OpenRelease, source: UnansweredSource, reason: str, sought: Sought | None
    ) -> Unanswered:
        near: list[Suggestion] = [] if sought is None else suggestions(sought)
        served = [each for each in near if self.is_served(release, asked.collection, each.query_key)]
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

    def is_served(self, release: OpenRelease, collection: str, query_key: str) -> bool:
        """Whether an anticipated question has an answer that may be served."""
        return self._serves(release, collection)(query_key)

    def _serves(self, release: OpenRelease, collection: str) -> Callable[[str], bool]:
        """Return the test of `is_served`; a search asks it of dozens, and what holds for all is found out once."""
        standing, before_reviews, find = self.reviewed.standing, release.index.before_reviews, release.heads.find
        rejects_words = self.withholding.rejects_words(release, collection)
        may_serve = self._may_serve(release, collection)

        def serves(query_key: str) -> bool:
            if rejects_words or query_key in before_reviews or standing(query_key) is not None:
                return self._prepared(release, collection, query_key) is not None
            head = find(query_key)
            return head is not None and may_serve(head)

        return serves

    def is_listed(self, release: OpenRelease, collection: str, query_key: str) -> bool:
        """Whether an anticipated question may be shown to others than who asks it.

        Every list, page and suggestion asks here; the search for semantic hits has the same rule in `_usable`.
        """
        return self.listed.allows(release, query_key) and self.is_served(release, collection, query_key)

    def is_shown(self, release: OpenRelease, collection: str, query_key: str, filters: Filters) -> bool:
        """Whether an anticipated question may be shown to who asks with these filters: it may have no other ones."""
        return self.is_listed(release, collection, query_key) and release.is_open_to(collection, query_key, filters)

    def _usable(self, release: OpenRelease, asked: Asked) -> Callable[[str], bool]:
        """Return the test whether the answer to an anticipated question may be served to the one asked."""
        serves, apart = self._serves(release, asked.collection), self.withdrawn.apart_from(asked.query_key)
        if apart is None and not release.index.asked_by_visitors:
            return serves  # as nearly always, and it is asked of dozens
        return lambda key: self.listed.allows(release, key) and serves(key) and not (apart is not None and apart(key))

    def _bars(self, release: OpenRelease, asked: Asked, query_key: str) -> bool:
        """Whether a question bars others that ask the same; what a visitor typed does so by a person's word alone."""
        reason = self.withholding.reason(release, asked.collection, query_key)
        if reason is None or self.withdrawn.tombstoned(asked.query_key, query_key):
            return False
        return reason == "rejected" or self.listed.allows(release, query_key)

    def _tolerated(self, asked: Asked) -> float | None:
        tolerated = None if asked.fresh else self.watch.tolerated(asked.collection)
        if tolerated is None or asked.tolerated_error is None:
            return tolerated
        return min(tolerated, asked.tolerated_error)

    def _take(self, release: OpenRelease, asked: Asked, sought: Sought) -> Prepared | None:
        self.metrics.semantic.labels("hit" if sought.hit else sought.refusal).inc()
        if sought.hit is None or sought.decision is None:
            return None
        found = self._prepared(release, asked.collection, sought.hit)
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
            self.withdrawn.documents(asked.collection),
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


def _keyed(asked: Asked, release: OpenRelease) -> Asked:
    """Return a question under the key that it has in a release."""
    known = asked.query_key
    key = release.key_of(asked.collection, asked.question, known, asked.filters) if known else ""
    return asked if key == known else replace(asked, query_key=key)


def _repeated(found: Prepared, asked: Asked, also: dict[str, object]) -> Prepared:
    """Return an answer that repeats the question in the caller's words."""
    fields = msgspec.json.decode(found.body) | {"question": asked.question} | also
    return replace(found, body=msgspec.json.encode(fields))


def _with_suggestions(problem: Problem, sought: Sought) -> Problem:
    problem.suggestions = suggestions(sought)
    return problem
