"""`POST /v1/feedback`: did it help, and was it the right answer at all?

A report of a false hit names the question that was asked and the anticipated one that answered it, both of
which stand in the answer. That one pair never hits again, at once and in all processes. It costs little to
believe a false report: the question is answered live instead.
"""

from __future__ import annotations

import asyncio
import datetime
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from online.http.authentication import Caller
from online.http.problems import Problem
from online.http.schemas import COLLECTION_CHARACTERS, QUESTION_CHARACTERS
from online.records.journal import Record
from online.service import Service
from rag.identity import normalise, query_key


class FalseHit(BaseModel):
    """An answer that was given to a question that asks something else."""

    model_config = ConfigDict(extra="forbid")

    question: str = Field(min_length=1, max_length=QUESTION_CHARACTERS, description="The question that was asked.")
    query_key: str = Field(pattern=r"^[0-9a-f]{32}$", description="The `query_key` of the answer that was given.")


class Feedback(BaseModel):
    """What someone thinks of an answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    request_id: str = Field(
        pattern=r"^[A-Za-z0-9._:-]{1,128}$", description="The `id` of the answer; the same as its `x-request-id`."
    )
    helpful: bool | None = Field(None, description="Did it help?")
    comment: str | None = Field(None, max_length=QUESTION_CHARACTERS, description="In their own words.")
    collection: Annotated[str, Field(min_length=1, max_length=COLLECTION_CHARACTERS)] | None = None
    false_hit: FalseHit | None = Field(None, description="The answer belongs to another question.")

    @model_validator(mode="after")
    def says_something(self) -> Feedback:
        """Refuse feedback without content."""
        if self.helpful is None and self.comment is None and self.false_hit is None:
            raise ValueError("say at least one of helpful, comment and false_hit")
        return self


class Received(BaseModel):
    """What became of it."""

    recorded: bool
    tombstoned: bool = Field(description="The pair of questions of a false hit will not hit again.")


def feedback(service: Service) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["feedback"])

    @router.post("/v1/feedback", summary="Say whether an answer helped")
    async def receive(request: Request, said: Feedback) -> Received:
        caller = service.keys.caller(request.scope, visitors=True)
        caller.require("feedback")
        if said.collection is not None:
            caller.collection(said.collection)
        tombstoned = said.false_hit is not None and await _tombstone(service, caller, said, said.false_hit)
        verdict = {True: "helpful", False: "unhelpful", None: "comment"}[said.helpful]
        service.metrics.feedback.labels("false_hit" if said.false_hit else verdict).inc()
        if service.journal is not None:
            service.journal.append(_record(caller, said))
        return Received(recorded=service.journal is not None, tombstoned=tombstoned)

    return router


async def _tombstone(service: Service, caller: Caller, said: Feedback, hit: FalseHit) -> bool:
    collection = caller.collection(said.collection)
    if not normalise(hit.question):
        raise Problem("invalid", "The question is empty: it has no letters or digits.", param="question")
    asked_key = query_key(collection, hit.question)
    with service.answering.release().hold() as release:
        known = service.answering.is_served(release, collection, hit.query_key)
    if not known or asked_key == hit.query_key:
        raise Problem("invalid", "There is no such pair of questions in this collection.", param="false_hit")
    if service.withdrawn.tombstoned(asked_key, hit.query_key):
        return True
    reason = said.comment or f"reported with request {said.request_id}"
    await asyncio.to_thread(service.withdrawn.tombstone, asked_key, hit.query_key, reason)
    service.withdrawn.follow_pairs()
    return True


def _record(caller: Caller, said: Feedback) -> Record:
    hit = said.false_hit
    collection = said.collection or (caller.collections[0] if len(caller.collections) == 1 else None)
    return Record(
        kind="feedback",
        request_id=said.request_id,
        at=datetime.datetime.now(datetime.UTC),
        route="feedback",
        collection=collection,
        question=None if hit is None else hit.question,
        query_key=None if hit is None or collection is None else query_key(collection, hit.question),
        matched_key=None if hit is None else hit.query_key,
        helpful=False if hit is not None and said.helpful is None else said.helpful,
        comment=said.comment,
        key_id=caller.key_id,
        status=200,
    )
