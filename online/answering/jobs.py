"""Answering later: `Prefer: respond-async` gives 202 and an address to poll; jobs survive a restart.

A few jobs run beside the requests in each worker process, on the same way as any question. What finds no place at
the language model is put back until it finds one, so a job outlasts an outage. A call that fails itself is tried
again a few times, each time after a longer pause: a question at which the model fails must keep neither others
waiting nor the circuit breaker open. An id can't be guessed, and only the key that asked sees the answer.

The disk may be full or the file locked for a while: whatever is to be written is tried until it succeeds.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import msgspec
from starlette.types import Send

from online.answering.lookup import Answering, Asked
from online.answering.rendering import RawHeaders, cache_status, live_answer, prepared_body
from online.http.middleware import send_bytes
from online.http.problems import Problem, as_problem, render
from online.http.schemas import Answer
from online.http.schemas import Job as JobBody
from online.records.job_store import Job, JobStore
from online.records.request_log import Recording
from online.telemetry.metrics import Metrics
from online.telemetry.throttled_log import ThrottledLog

T = TypeVar("T")

_AT_ONCE = 4
_LOOK_SECONDS = 1.0
_RENEW_SECONDS = 3.0
_LONGEST_WAIT = 30
_TRY_AGAIN = {"queue-full", "llm-down", "no-release"}
_ATTEMPTS = 5
_FIRST_WAIT = 5.0  # seconds; each further one is four times as long, the last one over five minutes
_FIRST_PAUSE = 0.5  # of one who can't reach the store; doubled each time
_LONGEST_PAUSE = 5.0

_log = logging.getLogger("beforehand.jobs")


@dataclass(frozen=True)
class Again:
    """A job is to be tried again; `failed` counts as an attempt."""

    seconds: float
    failed: bool


@dataclass(frozen=True)
class Outcome:
    """What became of a job, as a response."""

    status: int
    body: bytes


class _Basis(msgspec.Struct):
    """What a stored answer rests on."""

    collection: str
    documents: list[str] = []


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
        self._trouble = ThrottledLog(_log)

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
        """Return a job of this key; it is answered again if a document of its answer was withdrawn.

        Raises:
            Problem: there is none.
        """
        job = await self._store.find(job_id)
        if job is None or job.key_id != key_id:
            raise Problem("not-found", "There is no such answer, or it has expired.")
        return await self._as_it_may_be_shown(job)

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
        return await self._as_it_may_be_shown(job)

    async def _as_it_may_be_shown(self, job: Job) -> Job:
        if job.status != "done" or job.outcome is None:
            return job
        basis = msgspec.json.decode(job.outcome, type=_Basis)
        if not self._answering.withdrawn.touches(basis.collection, basis.documents):
            return job
        await self._store.answer_again(job)
        self._metrics.jobs.labels("withdrawn").inc()
        self._news.set()
        return replace(job, status="queued", http_status=None, outcome=None, attempts=0)

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
            try:
                await self._store.close()
            except sqlite3.Error as error:  # the next start takes the jobs over when their leases have run out
                _log.error("the jobs under way could not be put back: %s", error)

    async def _insist(self, step: Callable[[], Awaitable[T]]) -> T:
        """Do something with the store, however often it takes."""
        pause = _FIRST_PAUSE
        while True:
            try:
                return await step()
            except Exception as error:  # a task that ended here would be missing until the next restart
                trouble = f"{type(error).__name__}: {error}"
                self._trouble(logging.ERROR, "jobs can't be read or written (%s); trying again", trouble)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _tend(self) -> None:
        while True:
            await self._insist(self._store.renew)
            await self._insist(functools.partial(self._store.expire, self._hours))
            await asyncio.sleep(_RENEW_SECONDS)

    async def _work(self) -> None:
        while True:
            self._news.clear()
            job = await self._insist(self._store.claim)
            if job is not None:
                await self._run(job)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _LOOK_SECONDS)

    async def _run(self, job: Job) -> None:
        try:
            outcome = await self._outcome(job)
        except Exception:  # its row can't be read, say; it would come back for ever
            _log.exception("job %s can't be run", job.id)
            outcome = _rendered(_fault(), job.id)
        if isinstance(outcome, Again):
            postpone = functools.partial(self._store.postpone, job, outcome.seconds, failed=outcome.failed)
            await self._insist(postpone)
            self._metrics.jobs.labels("postponed").inc()
            return
        await self._insist(functools.partial(self._store.finish, job, outcome.status, outcome.body))
        self._metrics.jobs.labels("done" if outcome.status < 400 else "failed").inc()
        if job.id in self._ended:
            self._ended[job.id].set()

    async def _outcome(self, job: Job) -> Outcome | Again:
        asked = replace(msgspec.json.decode(job.asked, type=Asked), started=time.perf_counter(), route="later")
        try:
            return Outcome(200, await self._answer(asked))
        except Problem as refusal:
            problem = refusal
        except Exception:
            _log.exception("job %s failed", job.id)
            problem = _fault()
        if (again := next_attempt(job, problem)) is not None:
            return again
        self._recording.problem(asked, problem)
        return _rendered(problem, asked.request_id)

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
            final = [*headers, (b"x-should-retry", b"false")]  # to fetch it again changes nothing
            await send_bytes(send, job.http_status or 500, outcome, b"application/problem+json", final)
            return
        tag = b'"%b"' % msgspec.json.decode(outcome, type=Answer).fingerprint.encode()
        extra = [*headers, (b"etag", tag), (b"cache-control", b"private, no-cache")]
        if tag in [each.strip().removeprefix(b"W/") for each in if_none_match.split(b",")]:
            await send_bytes(send, 304, b"", b"application/json", extra)
        else:
            await send_bytes(send, 200, outcome, b"application/json", extra)


def next_attempt(job: Job, problem: Problem) -> Again | None:
    """Say when a job is to be tried again after a problem; None if that is no use, or has been tried often enough."""
    if problem.kind not in _TRY_AGAIN:
        return None
    if not problem.call_failed:  # no place at the model, or no release: that says nothing about this question
        return Again(float(problem.headers.get("retry-after", 5)), failed=False)
    if job.attempts + 1 >= _ATTEMPTS:
        return None
    return Again(_FIRST_WAIT * 4**job.attempts, failed=True)


def _fault() -> Problem:
    return Problem("internal", "The service has a fault; its log has the details.")


def _rendered(problem: Problem, request_id: str) -> Outcome:
    return Outcome(problem.status, render(problem, request_id, openai=False).body)
