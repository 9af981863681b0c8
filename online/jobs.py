"""Answering later: `Prefer: respond-async` gives 202 and an address to poll; jobs survive a restart.

A few jobs run beside the requests in each worker process, on the same way as any question; what finds no
place at the language model is put back and tried again, so a job outlasts an outage. An id can't be guessed,
and only the key that asked sees the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Literal

import msgspec
from starlette.types import Send

from online.answering import Answering, Asked
from online.edge import send_bytes
from online.job_store import Job, JobStore
from online.metrics import Metrics
from online.problems import Problem, as_problem, render
from online.recording import Recording
from online.rendering import RawHeaders, cache_status, live_answer, prepared_body
from online.schemas import Answer
from online.schemas import Job as JobBody

_AT_ONCE = 4
_LOOK_SECONDS = 1.0
_RENEW_SECONDS = 3.0
_LONGEST_WAIT = 30
_TRY_AGAIN = {"queue-full", "llm-down", "no-release"}

_log = logging.getLogger("beforehand.jobs")


class Jobs:
    """Takes, runs and shows asynchronous questions."""

    def __init__(
        self, store: JobStore, answering: Answering, recording: Recording, metrics: Metrics, limit: int, hours: float
    ) -> None:
        self._store = store
        self._answering = answering
        self._recording = recording
        self._metrics = metrics
        self._limit = limit
        self._hours = hours
        self._news = asyncio.Event()
        self._ended: dict[str, asyncio.Event] = {}

    async def submit(self, asked: Asked) -> Job:
        """Take a question.

        Raises:
            Problem: too many wait already.
        """
        if await self._store.open_jobs() >= self._limit:
            raise Problem("queue-full", "Too many questions wait to be answered later.", retry_after=30)
        job = await self._store.insert(msgspec.json.encode(replace(asked, stream=False)), asked.key_id)
        self._news.set()
        return job

    async def find(self, job_id: str, key_id: str | None) -> Job:
        """Return a job of this key.

        Raises:
            Problem: there is none.
        """
        job = await self._store.find(job_id)
        if job is None or job.key_id != key_id:
            raise Problem("not-found", "There is no such answer, or it has expired.")
        return job

    async def wait_for(self, job: Job, seconds: int) -> Job:
        """Wait for a job for at most so many seconds, and return it as it then is."""
        deadline = time.monotonic() + min(seconds, _LONGEST_WAIT)
        ended = self._ended.setdefault(job.id, asyncio.Event())
        try:
            while not job.ended and (left := deadline - time.monotonic()) > 0:
                with contextlib.suppress(TimeoutError):  # another worker process may have run it: look
                    await asyncio.wait_for(ended.wait(), min(left, 0.25))
                job = await self._store.find(job.id) or job
        finally:
            self._ended.pop(job.id, None)
        return job

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the jobs; on the way out those under way are put back for the next start."""
        await self._store.open()
        tasks = [asyncio.create_task(self._work()) for _ in range(_AT_ONCE)] + [asyncio.create_task(self._tend())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._store.close()

    async def _tend(self) -> None:
        while True:
            await self._store.renew()
            await self._store.expire(self._hours)
            await asyncio.sleep(_RENEW_SECONDS)

    async def _work(self) -> None:
        while True:
            self._news.clear()
            job = await self._store.claim()
            if job is not None:
                await self._run(job)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _LOOK_SECONDS)

    async def _run(self, job: Job) -> None:
        asked = replace(msgspec.json.decode(job.asked, type=Asked), started=time.perf_counter(), route="later")
        try:
            body = await self._answer(asked)
        except Problem as problem:
            await self._failed(job, asked, problem)
        except Exception:
            _log.exception("job %s failed", job.id)
            await self._failed(job, asked, Problem("internal", "The service has a fault; its log has the details."))
        else:
            await self._store.finish(job, 200, body)
            self._metrics.jobs.labels("done").inc()
        if job.id in self._ended:
            self._ended[job.id].set()

    async def _failed(self, job: Job, asked: Asked, problem: Problem) -> None:
        if problem.kind in _TRY_AGAIN:
            await self._store.postpone(job, float(problem.headers.get("retry-after", 5)))
            self._metrics.jobs.labels("postponed").inc()
            return
        self._recording.problem(asked, problem)
        await self._store.finish(job, problem.status, render(problem, asked.request_id, openai=False).body)
        self._metrics.jobs.labels("failed").inc()

    async def _answer(self, asked: Asked) -> bytes:
        try:
            async with self._answering.begin(asked) as begun:
                if begun.prepared is not None:
                    status = cache_status(asked, begun.prepared.source)
                    self._recording.prepared(asked, begun.prepared, status)
                    return prepared_body(asked, begun.prepared)
                assert begun.opened is not None
                live = await begun.result()
                self._recording.live(asked, begun.opened, live, cache_status(asked, "live", joined=begun.joined))
                return msgspec.json.encode(live_answer(asked, begun.opened, live))
        except Exception as error:
            raise as_problem(error) from error

    async def send(self, job: Job, send: Send, headers: RawHeaders, if_none_match: bytes = b"") -> None:
        """Send a job as a response: the answer, the problem, or 202 and where to ask again."""
        location = f"/v1/answers/{job.id}"
        if not job.ended:
            asked = msgspec.json.decode(job.asked, type=Asked)
            state: Literal["queued", "running"] = "queued" if job.status == "queued" else "running"
            body = msgspec.json.encode(JobBody(job.id, state, location, asked.question, asked.collection))
            extra = [*headers, (b"location", location.encode()), (b"retry-after", b"1")]
            await send_bytes(send, 202, body, b"application/json", extra)
            return
        outcome = job.outcome or b""
        if job.status == "failed":
            await send_bytes(send, job.http_status or 500, outcome, b"application/problem+json", headers)
            return
        tag = b'"%b"' % msgspec.json.decode(outcome, type=Answer).fingerprint.encode()
        extra = [*headers, (b"etag", tag), (b"cache-control", b"private, no-cache")]
        if tag in [each.strip().removeprefix(b"W/") for each in if_none_match.split(b",")]:
            await send_bytes(send, 304, b"", b"application/json", extra)
        else:
            await send_bytes(send, 200, outcome, b"application/json", extra)
