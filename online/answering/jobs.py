"""Asynchronous questions (`Prefer: respond-async`): 202 and an address to poll; jobs survive a restart.

Each worker process runs a few jobs beside its requests. A job that finds no place at the language model is put back
until it finds one, so it outlasts an outage. A failed call is retried a few times with growing pauses: a question on
which the model fails must neither delay others nor keep the circuit breaker open. Ids can't be guessed, and only the
key that asked sees the answer. Writes are retried until they succeed, since the disk may be full or the file locked.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import msgspec

from online.answering.question import Asked
from online.answering.rendering import answer_body
from online.errors import Problem, fault
from online.http.schemas import AnswerSource
from online.records.job_store import JobStore, StoredJob
from online.telemetry.metrics import Metrics
from online.telemetry.throttled_log import ThrottledLog

if TYPE_CHECKING:
    from online.answering.exchange import Exchanges
    from online.release.withdrawn import Withdrawn

T = TypeVar("T")

_AT_ONCE = 4
_LOOK_SECONDS = 1.0
_RENEW_SECONDS = 3.0
_LONGEST_WAIT = 30
_TRY_AGAIN = {"queue-full", "llm-down", "no-release"}
_ATTEMPTS = 5
_FIRST_WAIT = 5.0  # seconds; each further one is four times as long, the last one over five minutes
_FIRST_PAUSE = 0.5  # when the store can't be reached; doubled each time
_LONGEST_PAUSE = 5.0

_log = logging.getLogger("beforehand.jobs")


@dataclass(frozen=True)
class Again:
    """Retry a job later; `failed` counts an attempt."""

    seconds: float
    failed: bool


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job, as a response."""

    status: int
    body: bytes


class _Basis(msgspec.Struct):
    """What a stored answer rests on."""

    collection: str
    source: AnswerSource
    query_key: str
    fingerprint: str
    documents: list[str] = []
    answer: str = ""


class Jobs:
    """Takes, runs and shows asynchronous questions. `refused` renders a problem as a response."""

    def __init__(
        self,
        store: JobStore,
        exchanges: Exchanges,
        withdrawn: Withdrawn,
        refused: Callable[[Problem, str], Outcome],
        metrics: Metrics,
        limit: int,
        hours: float,
    ) -> None:
        self._store = store
        self._exchanges = exchanges
        self._withdrawn = withdrawn
        self._refused = refused
        self._metrics = metrics
        self._limit = limit
        self._hours = hours
        self._news = asyncio.Event()
        self._ended: dict[str, asyncio.Event] = {}
        self._trouble = ThrottledLog(_log)

    async def submit(self, asked: Asked) -> StoredJob:
        """Store a question to be answered later.

        Raises:
            Problem: too many wait already.
        """
        if await self._store.open_jobs() >= self._limit:
            raise Problem("queue-full", "Too many questions wait to be answered later.", retry_after=30)
        job = await self._store.insert(msgspec.json.encode(replace(asked, stream=False)), asked.key_id)
        self._news.set()
        return job

    async def find(self, job_id: str, key_id: str | None) -> StoredJob:
        """Return a job of this key; answered again if its answer was rejected or a document of it withdrawn.

        Raises:
            Problem: there is none.
        """
        job = await self._store.find(job_id)
        if job is None or job.key_id != key_id:
            raise Problem("not-found", "There is no such answer, or it has expired.")
        return await self._as_it_may_be_shown(job)

    async def wait_for(self, job: StoredJob, seconds: int) -> StoredJob:
        """Wait for a job for at most `seconds`, and return it as it then is."""
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

    async def _as_it_may_be_shown(self, job: StoredJob) -> StoredJob:
        if job.status != "done" or job.outcome is None:
            return job
        basis = msgspec.json.decode(job.outcome, type=_Basis)
        if self._withdrawn.touches(basis.collection, basis.documents):
            why = "withdrawn"
        elif self._is_rejected(job, basis):
            why = "rejected"
        else:
            return job
        await self._store.answer_again(job)
        self._metrics.jobs.labels(why).inc()
        self._news.set()
        return replace(job, status="queued", http_status=None, outcome=None, attempts=0)

    def _is_rejected(self, job: StoredJob, basis: _Basis) -> bool:
        if basis.source in ("withheld", "unreliable"):
            return False
        lookup = self._exchanges.lookup
        reviewed = lookup.prepared.reviewed
        asked = msgspec.json.decode(job.asked, type=Asked)
        keys = {asked.query_key, basis.query_key}
        if basis.fingerprint in reviewed.rejected_fingerprints or not keys.isdisjoint(reviewed.rejected):
            return True
        return basis.source == "live" and lookup.has_rejected_words(basis.collection, basis.answer)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the jobs; on exit those under way are put back for the next start."""
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
        """Retry a step with the store until it succeeds."""
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

    async def _run(self, job: StoredJob) -> None:
        try:
            outcome = await self._outcome(job)
        except Exception:  # its row can't be read, say; the job would come back for ever
            _log.exception("job %s can't be run", job.id)
            outcome = self._refused(fault(), job.id)
        if isinstance(outcome, Again):
            postpone = functools.partial(self._store.postpone, job, outcome.seconds, failed=outcome.failed)
            await self._insist(postpone)
            self._metrics.jobs.labels("postponed").inc()
            return
        await self._insist(functools.partial(self._store.finish, job, outcome.status, outcome.body))
        self._metrics.jobs.labels("done" if outcome.status < 400 else "failed").inc()
        if job.id in self._ended:
            self._ended[job.id].set()

    async def _outcome(self, job: StoredJob) -> Outcome | Again:
        asked = replace(msgspec.json.decode(job.asked, type=Asked), started=time.perf_counter(), route="later")
        try:
            async with self._exchanges.begin(asked, None, lambda problem: next_attempt(job, problem) is None) as answer:
                return Outcome(200, await answer_body(asked, answer))
        except Problem as problem:
            return next_attempt(job, problem) or self._refused(problem, asked.request_id)
        except Exception:
            _log.exception("job %s failed", job.id)
            return self._refused(fault(), asked.request_id)


def next_attempt(job: StoredJob, problem: Problem) -> Again | None:
    """Return when to retry a job after a problem; None if that is no use, or was tried often enough."""
    if problem.kind not in _TRY_AGAIN:
        return None
    if not problem.call_failed:  # no place at the model, or no release: that says nothing about this question
        return Again(max(1, math.ceil(problem.retry_after or 5)), failed=False)
    if job.attempts + 1 >= _ATTEMPTS:
        return None
    return Again(_FIRST_WAIT * 4**job.attempts, failed=True)
