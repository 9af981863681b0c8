"""`POST /v1/feedback`: did it help, and was it the right answer at all?

A report of a false hit names the request, the question that was asked and the anticipated one that answered it; the
answer holds all three. That pair never hits again, at once and in all processes. A report counts only for a semantic
hit that this request really had (`online.records.semantic_hits`), once, within a day. Callers without a key have a rate
limit of their own, by their addresses.
"""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import dataclass

import msgspec
from fastapi import APIRouter, Request, Response

from online.answering.lookup import Lookup
from online.errors import Problem
from online.http.authentication import Caller, Keys
from online.http.openapi import gives, problems, takes
from online.http.rate_limits import AnonymousBuckets
from online.http.request_parsing import read_body, read_json
from online.http.responses import json_response
from online.http.schemas import FalseHit, Feedback, Received
from online.records.journal import Journal, JournalRow, journal_filters
from online.records.semantic_hits import SemanticHit, SemanticHits
from rag.filters import Filters
from rag.identity import normalise, query_key

_feedback = msgspec.json.Decoder(Feedback)


def feedback(desk: FeedbackDesk, keys: Keys) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["feedback"], default_response_class=Response)

    @router.post(
        "/v1/feedback",
        summary="Say whether an answer helped",
        openapi_extra=takes(Feedback),
        responses={200: gives("It is recorded", Received), **problems(400, 401, 403, 413, 415, 422, 429, 503)},
    )
    async def receive(request: Request) -> Response:
        caller = keys.caller(request.scope, visitors=True)
        caller.require("feedback")
        body = await read_body(request.receive)
        said = read_json(request.scope["headers_by_name"], body, _feedback, unreadable="invalid")
        return json_response(await desk.take(caller, said))

    return router


@dataclass(frozen=True)
class _Pair:
    """Two questions of which one was answered with the answer to the other."""

    question: str
    asked_key: str
    matched_key: str
    filters: Filters


@dataclass(frozen=True)
class FeedbackDesk:
    """Takes feedback: tombstones false hits, counts, and writes to the journal, if there is one."""

    lookup: Lookup
    journal: Journal | None
    hits: SemanticHits
    anonymous: AnonymousBuckets

    async def take(self, caller: Caller, said: Feedback) -> Received:
        """Take feedback from a caller.

        Raises:
            Problem: it names another's collection, or a pair of questions that is not served, or comes too often.
        """
        if caller.key_id is None:
            self._limit(caller.asker or "")
        if said.collection is not None:
            caller.collection(said.collection)
        pair = None if said.false_hit is None else await self._tombstone(caller, said, said.false_hit)
        verdict = {True: "helpful", False: "unhelpful", None: "comment"}[said.helpful]
        self.lookup.metrics.feedback.labels("false_hit" if said.false_hit else verdict).inc()
        if self.journal is not None:
            self.journal.append(_row(caller, said, pair))
        return Received(recorded=self.journal is not None, tombstoned=pair is not None)

    def _limit(self, asker: str) -> None:
        bucket = self.anonymous.of(asker)
        if not bucket.take():
            detail = "You have sent as much feedback as one visitor may send in a minute."
            raise Problem("rate-limited", detail, retry_after=bucket.seconds_to_next)

    async def _tombstone(self, caller: Caller, said: Feedback, hit: FalseHit) -> _Pair | None:
        """Keep the two questions of a false hit apart; they have the same filters, as those of every hit."""
        collection = caller.collection(said.collection)
        if not normalise(hit.question):
            raise Problem("invalid", "The question is empty: it has no letters or digits.", param="question")
        with self.lookup.prepared.release().hold() as release:
            filters = release.filters_of(hit.query_key)
            asked_key = query_key(collection, hit.question, filters)
            known = self.lookup.prepared.is_listed(release, collection, hit.query_key)
        if not known or asked_key == hit.query_key:
            raise Problem("invalid", "There is no such pair of questions in this collection.", param="false_hit")
        withdrawn, pair = self.lookup.prepared.withdrawn, _Pair(hit.question, asked_key, hit.query_key, filters)
        if withdrawn.tombstoned(asked_key, hit.query_key):
            return pair
        reported = SemanticHit(said.request_id, caller.key_id or "", collection, asked_key, hit.query_key)
        if not await self.hits.report(reported):
            return None
        await asyncio.to_thread(
            withdrawn.tombstone, asked_key, hit.query_key, f"reported with request {said.request_id}"
        )
        return pair


def _row(caller: Caller, said: Feedback, pair: _Pair | None) -> JournalRow:
    """Return the journal's row; it names the pair of a false hit only if that was one, so that nobody can invent it."""
    collection = said.collection or (caller.collections[0] if len(caller.collections) == 1 else None)
    return JournalRow(
        kind="feedback",
        request_id=said.request_id,
        at=datetime.datetime.now(datetime.UTC),
        route="feedback",
        collection=collection,
        question=None if pair is None else pair.question,
        query_key=None if pair is None or collection is None else pair.asked_key,
        matched_key=None if pair is None else pair.matched_key,
        filters=None if pair is None else journal_filters(pair.filters),
        helpful=False if said.false_hit is not None and said.helpful is None else said.helpful,
        comment=said.comment,
        key_id=caller.key_id,
        asker=caller.asker,
        status=200,
    )
