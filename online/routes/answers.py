"""`POST /v1/answers`: the hot path.

An exact hit is one lookup, and its body is the release's own bytes with the fields of this request spliced in
front: five fields are parsed, nothing is encoded. The rest of the time goes to the server and to Starlette's
routing (bench/exact_hits.py).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import msgspec
from starlette.types import Receive, Scope, Send

from online.answering.jobs import Jobs
from online.answering.lookup import Answering, Asked, Begun, Prepared
from online.answering.rendering import RawHeaders, cache_status, live_answer, prepared_body, provenance, sse
from online.http.authentication import Headers, Keys
from online.http.disconnect import ClientGoneError, unless_gone
from online.http.middleware import read_body, send_bytes
from online.http.problems import Problem, as_problem, details
from online.http.request_parsing import Directives, asked_by, directives, read_ask
from online.records.request_log import Recording

JSON = b"application/json"
_STREAM_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]


@dataclass(frozen=True)
class AnswersRoute:
    """The ASGI application of the route."""

    answering: Answering
    keys: Keys
    recording: Recording
    jobs: Jobs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one question."""
        started = time.perf_counter()
        headers: Headers = scope["headers_by_name"]
        caller = self.keys.caller(scope, visitors=True)
        caller.require("ask")
        ask = read_ask(headers, await read_body(receive))
        wishes = directives(headers)
        asked = asked_by(caller, ask, wishes, scope["request_id"], started)
        try:
            prepared = None if asked.fresh else self.answering.exact(asked)
            if prepared is not None:
                await self._send_prepared(asked, prepared, send)
            elif wishes.later:
                await self._later(asked, wishes, send)
            else:
                await unless_gone(receive, self._miss(asked, send))
        except ClientGoneError:
            self.recording.gone(asked)
            raise
        except Problem as problem:
            self.recording.problem(asked, problem)
            raise
        except Exception:
            self.recording.fault(asked)
            raise

    async def _later(self, asked: Asked, wishes: Directives, send: Send) -> None:
        job = await self.jobs.submit(asked)
        if wishes.wait:
            job = await self.jobs.wait_for(job, wishes.wait)
        await self.jobs.send(job, send, [(b"preference-applied", b"respond-async")])

    async def _send_prepared(self, asked: Asked, prepared: Prepared, send: Send) -> None:
        status = cache_status(asked, prepared.source)
        headers = provenance(status, prepared.age_seconds, prepared.head.fingerprint)
        body = prepared_body(asked, prepared)
        if asked.stream:
            await _begin_stream(send, headers)
            await _send_event(send, "start", _start(asked, prepared.source, prepared.release_id))
            await _send_event(send, "delta", {"text": msgspec.json.decode(body)["answer"]})
            await _end_stream(send, "answer", msgspec.Raw(body))
        else:
            await send_bytes(send, 200, body, JSON, headers)
        self.recording.prepared(asked, prepared, status)

    async def _miss(self, asked: Asked, send: Send) -> None:
        try:
            async with self.answering.begin(asked) as begun:
                if begun.prepared is not None:
                    await self._send_prepared(asked, begun.prepared, send)
                elif asked.stream:
                    await self._stream(asked, begun, send)
                else:
                    await self._send_live(asked, begun, send)
        except Exception as error:
            raise as_problem(error) from error

    async def _send_live(self, asked: Asked, begun: Begun, send: Send) -> None:
        assert begun.opened is not None
        live = await begun.result()
        status = cache_status(asked, "live", joined=begun.joined)
        body = msgspec.json.encode(live_answer(asked, begun.opened, live))
        await send_bytes(send, 200, body, JSON, provenance(status, 0, begun.opened.live.fingerprint))
        self.recording.live(asked, begun.opened, live, status)

    async def _stream(self, asked: Asked, begun: Begun, send: Send) -> None:
        opened = begun.opened
        assert opened is not None
        status = cache_status(asked, "live", joined=begun.joined)
        await _begin_stream(send, provenance(status, 0, opened.live.fingerprint))
        await _send_event(send, "start", _start(asked, "live", opened.release_id))
        try:
            async for piece in begun.pieces():
                await _send_event(send, "delta", {"text": piece})
            live = await begun.result()
        except Exception as error:  # the status is sent already, so the stream has to say it
            problem = as_problem(error)
            await _end_stream(send, "problem", details(problem, asked.request_id))
            self.recording.problem(asked, problem)
            return
        await _end_stream(send, "answer", live_answer(asked, opened, live))
        self.recording.live(asked, opened, live, status)


@dataclass(frozen=True)
class JobRoute:
    """`GET /v1/answers/{id}`: what became of a question that was to be answered later."""

    jobs: Jobs
    keys: Keys

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Send the answer, the problem, or 202."""
        headers: Headers = scope["headers_by_name"]
        caller = self.keys.caller(scope, visitors=True)
        caller.require("ask")
        job = await self.jobs.find(scope["path_params"]["job_id"], caller.key_id)
        await self.jobs.send(job, send, [], headers.get(b"if-none-match", b""))


def _start(asked: Asked, source: str, release_id: str) -> dict[str, str]:
    return {"id": asked.request_id, "source": source, "collection": asked.collection, "release": release_id}


async def _begin_stream(send: Send, headers: RawHeaders) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [*_STREAM_HEADERS, *headers]})


async def _send_event(send: Send, event: str, data: object) -> None:
    await send({"type": "http.response.body", "body": sse(event, data), "more_body": True})


async def _end_stream(send: Send, event: str, data: object) -> None:
    await send({"type": "http.response.body", "body": sse(event, data), "more_body": False})
