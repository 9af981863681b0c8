"""`POST /v1/answers`, the hot path, and `GET /v1/answers/{id}`, the answer to a question that was asked for later.

An exact hit is one lookup, and its body is the release's own bytes with the fields of this request spliced in
front: five fields are parsed, nothing is encoded. The rest of the time goes to the server and to Starlette's
routing, which `online.http.middleware` skips (bench/exact_hits.py).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Request, Response
from starlette.types import Receive, Scope, Send

from online.answering.asked_question import asked_by
from online.answering.exchange import Exchanges
from online.answering.jobs import Jobs
from online.answering.question import Asked, Live, Prepared, Unanswered
from online.answering.rendering import answer_body, live_answer, prepared_body, provenance, unanswered
from online.answering.safe_html import safe_html
from online.errors import Problem
from online.http.authentication import Headers, Keys
from online.http.openapi import Responses, gives, problems, streams, takes
from online.http.problems import details
from online.http.request_parsing import Directives, directives, read_ask, read_body
from online.http.responses import AsgiResponse, RawHeaders, begin_stream, end_stream, send_bytes, send_part, sse
from online.http.schemas import Answer, Ask, Job
from online.records.job_store import StoredJob

_JSON = b"application/json"
_REDRAWN_SECONDS = 0.2  # a text as HTML is sent whole, so not with every word
_TAKES = takes(
    Ask,
    {
        "Cache-Control": "`no-cache`: answer live; `only-if-cached`: answer only what lies ready; `no-store`: keep "
        "the text out of the journal.",
        "Prefer": "`respond-async, wait=N` answers later, if it has to be live (RFC 7240).",
    },
)
_GIVES: Responses = {
    200: streams(
        gives(
            "The answer",
            Answer,
            Cache_Status="Where the answer came from (RFC 9211).",
            Age="Seconds since it was generated.",
            ETag="Its fingerprint.",
        ),
        "With `stream`: start, deltas with the text, then the answer, or `unreliable` or `withheld` (then the text so "
        "far must not be shown any more), or a problem; the data are JSON. With `html`, some deltas have the text "
        "so far as HTML.",
        *("start", "delta", "answer", "unreliable", "withheld", "problem"),
    ),
    202: gives("It will be answered; ask again at `location`", Job, Location="Where to ask again."),
    **problems(400, 401, 403, 404, 413, 415, 422, 429, 502, 503, 504),
}
_GIVES_LATER: Responses = {
    200: gives("The answer", Answer, ETag="Its fingerprint."),
    202: gives(
        "Not yet, or once more since a document of the answer was withdrawn; ask again",
        Job,
        Location="Where to ask again.",
    ),
    304: {"description": "The answer is the one that is known"},
    **problems(401, 403, 404, 422, 429, 502, 503),
}


def answers(asking: Asking, jobs: Jobs, keys: Keys) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["answers"], default_response_class=Response)

    @router.post("/v1/answers", summary="Ask a question", operation_id="answer", openapi_extra=_TAKES, responses=_GIVES)
    async def ask(_: Request) -> Response:
        return AsgiResponse(asking)

    @router.head("/v1/answers/{job_id}", include_in_schema=False)
    @router.get(
        "/v1/answers/{job_id}",
        summary="Fetch an answer that was asked for later",
        operation_id="later_answer",
        openapi_extra=takes(headers={"If-None-Match": "The ETag of the answer that is known."}),
        responses=_GIVES_LATER,
    )
    async def later(request: Request, job_id: Annotated[str, Path(min_length=1)]) -> Response:
        headers: Headers = request.scope["headers_by_name"]
        caller = keys.caller(request.scope, visitors=True)
        caller.require("ask")
        job = await jobs.find(job_id, caller.key_id)
        known = headers.get(b"if-none-match", b"")
        location = asking.location(job)
        return AsgiResponse(lambda _scope, _receive, send: _send_job(job, location, send, [], known))

    return router


@dataclass(frozen=True)
class Asking:
    """The ASGI application of `POST /v1/answers`; `base_path` is put before the addresses of jobs."""

    exchanges: Exchanges
    jobs: Jobs
    keys: Keys
    base_path: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one question."""
        started = time.perf_counter()
        headers: Headers = scope["headers_by_name"]
        caller = self.keys.caller(scope, visitors=True)
        caller.require("ask")
        ask = read_ask(headers, await read_body(receive))
        wishes = directives(headers)
        asked = asked_by(caller, ask, wishes, scope["request_id"], started)
        with self.exchanges.recorded(asked):
            prepared = None if asked.fresh else self.exchanges.lookup.prepared.exact(asked)
            if prepared is not None:
                await _send_prepared(asked, prepared, send)
                self.exchanges.log.prepared(asked, prepared)
                return
            if wishes.later and not wishes.only_cached:
                await self._later(asked, wishes, send)
                return
        if wishes.only_cached:
            async with self.exchanges.ready(asked) as answer:
                await _send_ready(asked, answer, send)
            return
        await self._miss(asked, receive, send)

    async def _later(self, asked: Asked, wishes: Directives, send: Send) -> None:
        job = await self.jobs.submit(asked)
        if wishes.wait:
            job = await self.jobs.wait_for(job, wishes.wait)
        await _send_job(job, self.location(job), send, [(b"preference-applied", b"respond-async")])

    def location(self, job: StoredJob) -> str:
        """Return where to ask for a job again."""
        return f"{self.base_path}/v1/answers/{job.id}"

    async def _miss(self, asked: Asked, receive: Receive, send: Send) -> None:
        streaming = False
        try:
            async with self.exchanges.begin(asked, receive) as answer:
                if isinstance(answer, Prepared):
                    await _send_prepared(asked, answer, send)
                elif asked.stream:
                    streaming = True
                    await begin_stream(send, provenance(asked, answer))
                    await (_stream(asked, answer, send) if isinstance(answer, Live) else _decline(asked, answer, send))
                else:
                    body = await answer_body(asked, answer)
                    await send_bytes(send, 200, body, _JSON, provenance(asked, answer))
        except Problem as problem:
            if not streaming:
                raise
            # the status is sent already, so the stream has to say it
            await end_stream(send, sse("problem", details(problem, asked.request_id)))


async def _send_ready(asked: Asked, answer: Prepared | Unanswered, send: Send) -> None:
    if isinstance(answer, Prepared):
        await _send_prepared(asked, answer, send)
    elif asked.stream:
        await begin_stream(send, provenance(asked, answer))
        await _decline(asked, answer, send)
    else:
        await send_bytes(send, 200, await answer_body(asked, answer), _JSON, provenance(asked, answer))


async def _send_prepared(asked: Asked, prepared: Prepared, send: Send) -> None:
    headers = provenance(asked, prepared)
    body = prepared_body(asked, prepared)
    if not asked.stream:
        await send_bytes(send, 200, body, _JSON, headers)
        return
    await begin_stream(send, headers)
    await send_part(send, _start(asked, prepared.source, prepared.release_id))
    await send_part(send, sse("delta", {"text": msgspec.json.decode(body)["answer"]}))
    await end_stream(send, sse("answer", msgspec.Raw(body)))


async def _stream(asked: Asked, answer: Live, send: Send) -> None:
    await send_part(send, _start(asked, "live", answer.release_id))
    written, drawn = "", -math.inf
    async for piece in answer.pieces():
        delta = {"text": piece}
        if asked.html:
            written += piece
            if time.perf_counter() - drawn >= _REDRAWN_SECONDS:
                delta["html"], drawn = safe_html(written, ()), time.perf_counter()
        await send_part(send, sse("delta", delta))
    result = await answer.result()
    if isinstance(result, Unanswered):
        await end_stream(send, sse(result.source, unanswered(asked, result)))
    else:
        await end_stream(send, sse("answer", live_answer(asked, answer, result)))


async def _decline(asked: Asked, told: Unanswered, send: Send) -> None:
    await send_part(send, _start(asked, told.source, told.release_id))
    await end_stream(send, sse(told.source, unanswered(asked, told)))


def _start(asked: Asked, source: str, release_id: str) -> bytes:
    start = {"id": asked.request_id, "source": source, "collection": asked.collection, "release": release_id}
    return sse("start", start)


async def _send_job(job: StoredJob, location: str, send: Send, headers: RawHeaders, if_none_match: bytes = b"") -> None:
    """Send the answer, the problem, or 202 and where to ask again."""
    if not job.ended:
        body = msgspec.json.encode(_pending(job, location))
        extra = [*headers, (b"location", location.encode()), (b"retry-after", b"1")]
        await send_bytes(send, 202, body, _JSON, extra)
        return
    outcome = job.outcome or b""
    if job.status == "failed":
        final = [*headers, (b"x-should-retry", b"false")]  # to fetch it again changes nothing
        await send_bytes(send, job.http_status or 500, outcome, b"application/problem+json", final)
        return
    fingerprint = msgspec.json.decode(outcome, type=Answer).fingerprint.encode()
    if not fingerprint:  # it is withheld, or unreliable
        await send_bytes(send, 200, outcome, _JSON, [*headers, (b"cache-control", b"no-store")])
        return
    tag = b'"%b"' % fingerprint
    extra = [*headers, (b"etag", tag), (b"cache-control", b"private, no-cache")]
    if tag in [each.strip().removeprefix(b"W/") for each in if_none_match.split(b",")]:
        await send_bytes(send, 304, b"", _JSON, extra)
    else:
        await send_bytes(send, 200, outcome, _JSON, extra)


def _pending(job: StoredJob, location: str) -> Job:
    asked = msgspec.json.decode(job.asked, type=Asked)
    return Job(job.id, "queued" if job.status == "queued" else "running", location, asked.question, asked.collection)
