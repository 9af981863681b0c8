"""`POST /v1/lookup`: is there a prepared answer? For teams with a language model of their own.

An answer or a clear no, with the nearest anticipated questions; the language model is never asked. What visitors typed
is no candidate. Several questions are decided four at a time, and other questions take their turns in between.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope, Send

from online.answering.asked_question import asked_by
from online.answering.exchange import Exchanges
from online.answering.question import Asked, Prepared, Sought, Unanswered
from online.answering.rendering import prepared_body, provenance
from online.answering.semantic_hit import candidates
from online.errors import Problem
from online.http.authentication import Caller, Headers, Keys
from online.http.openapi import gives, problems, takes
from online.http.request_parsing import Directives, directives, read_body, read_json
from online.http.responses import AsgiResponse, send_bytes
from online.http.schemas import Answer, Ask, JsonObject, LookupRequest, LookupResults
from rag.collection_settings import CollectionSettings
from rag.identity import normalise

_JSON = b"application/json"
_PREFIX = 100  # characters of the request's id that begin those of its rows
_request = msgspec.json.Decoder(LookupRequest)


def lookup(looking: Looking) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["answers"], default_response_class=Response)
    one = gives("The answer, or a row for each of several questions", Answer, Cache_Status="Which kind of hit it is.")
    schema = one["content"]["application/json"]["schema"]
    several = gives("", LookupResults)["content"]["application/json"]["schema"]
    one["content"]["application/json"]["schema"] = {"oneOf": [schema, several]}

    @router.post(
        "/v1/lookup",
        summary="Look for prepared answers",
        operation_id="lookup",
        openapi_extra=takes(LookupRequest, {"Cache-Control": "`no-store`: keep the text out of the journal."}),
        responses={200: one, **problems(400, 401, 403, 404, 413, 415, 422, 429, 503)},
    )
    async def look(_: Request) -> Response:
        return AsgiResponse(looking)

    return router


@dataclass(frozen=True)
class Looking:
    """The ASGI application of the route."""

    exchanges: Exchanges
    keys: Keys
    collections: Mapping[str, CollectionSettings]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look one question up, or several."""
        started = time.perf_counter()
        headers: Headers = scope["headers_by_name"]
        caller = self.keys.caller(scope)
        caller.require("ask")
        request = read_json(headers, await read_body(receive), _request)
        wishes = Directives(private=directives(headers).private)
        if request.questions is None:
            asked = self._asked(caller, request, request.question or "", wishes, scope["request_id"], started)
            await self._one(asked, send)
        else:
            prefix = scope["request_id"][:_PREFIX]
            several = [
                self._asked(caller, request, question, wishes, f"{prefix}-{number}", time.perf_counter())
                for number, question in enumerate(request.questions)
            ]
            rows = [row async for row in self._rows(several)]
            await send_bytes(send, 200, msgspec.json.encode({"results": rows}), _JSON, [])

    def _asked(
        self,
        caller: Caller,
        request: LookupRequest,
        question: str,
        wishes: Directives,
        request_id: str,
        started: float,
    ) -> Asked:
        asked = asked_by(
            caller, Ask(question, request.collection, filters=request.filters), wishes, request_id, started, "lookup"
        )
        most = self.collections[asked.collection].tolerated_error
        if request.tolerated_error is not None and request.tolerated_error > most:
            detail = f"tolerated_error may be at most {most:g}, as the collection has it."
            raise Problem("invalid", detail, param="tolerated_error")
        return replace(asked, tolerated_error=request.tolerated_error, least_score=request.threshold)

    async def _one(self, asked: Asked, send: Send) -> None:
        async with self.exchanges.ready(asked, "no-answer") as answer:
            if isinstance(answer, Prepared):
                await send_bytes(send, 200, prepared_body(asked, answer), _JSON, provenance(asked, answer))
                return
        problem = Problem("no-answer", answer.text)
        problem.reason, problem.candidates = answer.reason, []
        raise problem

    async def _rows(self, asked: list[Asked]) -> AsyncIterator[JsonObject]:
        lookup, log = self.exchanges.lookup, self.exchanges.log
        telling = [each for each in asked if normalise(each.question)]  # the others are of punctuation alone
        with self.exchanges.recorded(asked[0]), lookup.prepared.release().hold() as release:
            async with contextlib.aclosing(lookup.ready_all(telling, release)) as found:
                for one in asked:
                    if not normalise(one.question):
                        yield {"question": one.question, "found": False, "reason": "empty", "candidates": []}
                        continue
                    each = await anext(found)
                    if isinstance(each, Prepared):
                        log.prepared(one, each)
                    elif isinstance(each, Unanswered):
                        log.unanswered(one, each)
                    else:
                        log.missed(one, each, "no-answer")
                    yield _row(one, each)


def _row(asked: Asked, found: Prepared | Unanswered | Sought) -> JsonObject:
    row: JsonObject = {"question": asked.question, "found": isinstance(found, Prepared)}
    if isinstance(found, Prepared):
        return row | {"answer": msgspec.Raw(prepared_body(asked, found))}
    if isinstance(found, Unanswered):
        return row | {"reason": found.reason, "candidates": []}
    return row | {"reason": found.refusal, "candidates": candidates(found)}
