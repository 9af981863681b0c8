"""The parts of the service, made once from the settings and handed to the routes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from online.answering.comparison import Comparisons
from online.answering.exchange import Exchanges
from online.answering.jobs import Jobs, Outcome
from online.answering.lookup import Lookup
from online.answering.prepared_answers import PreparedAnswers
from online.answering.request_log import RequestLog
from online.answering.semantic_watch import SemanticWatch
from online.answering.withholding import Withholding
from online.errors import Problem
from online.http.askers import Askers
from online.http.authentication import keys_of
from online.http.problems import render, status_of
from online.http.rate_limits import AnonymousBuckets
from online.http.schemas import Readiness
from online.http.session import SESSION_SECRET, Sessions
from online.model.admission import Admission
from online.model.circuit_breaker import CircuitBreaker
from online.model.language_model import LanguageModel
from online.model.work_pool import WorkPool
from online.records.job_store import JobStore
from online.records.journal import Journal
from online.records.semantic_hits import SemanticHits
from online.release.current_release import CurrentRelease
from online.release.listed import Listed
from online.release.poller import Poller
from online.release.reviewed import Reviewed
from online.release.store_trouble import store_trouble
from online.release.withdrawn import Withdrawn
from online.settings import ServiceSettings
from online.telemetry.metrics import Metrics, shared_folder
from online.telemetry.tracing import Tracing
from rag.collection_settings import CollectionSettings
from rag.identity import ModelIdentity
from rag.llm.protocol import Llm, Sampling
from rag.prompting.answer_rules import AnswerRules
from rag.settings import RetrievalSettings, SamplingSettings

_REVIEWERS_WAITING = 32  # requests of the review page; each reads the release for some 100 ms
_REPORTS_WAITING = 16  # each may take seconds, with a thread of its own


@dataclass(frozen=True)
class LiveParts:
    """How live answers are made: the language model, how releases name it, and the rules that an answer has to pass."""

    llm: Llm
    identity: ModelIdentity
    sampling: SamplingSettings
    retrieval: RetrievalSettings
    rules: AnswerRules


class Service:
    """The parts that live as long as the process."""

    def __init__(
        self,
        settings: ServiceSettings,
        data: Path,
        collections: Mapping[str, CollectionSettings],
        live: LiveParts,
        tracing: Tracing | None,
    ) -> None:
        self.settings = settings
        self._collections = collections
        self.tracing = tracing
        self.metrics = Metrics()
        self.keys = keys_of(settings, collections, shared_folder(), Askers(data).name)
        self.anonymous = AnonymousBuckets(settings.feedback_per_minute, shared_folder())
        self.journal = Journal(data / "journal", self.metrics.journal_lost.inc) if settings.journal else None
        self.pool = WorkPool(settings.embedding_threads, settings.embedding_queue)
        self.review_pool = WorkPool(1, _REVIEWERS_WAITING)
        self.report_pool = WorkPool(1, _REPORTS_WAITING)
        self.sessions = Sessions(data / SESSION_SECRET)
        self.withdrawn = Withdrawn(data)
        self.reviewed = Reviewed(data)
        self.listed = Listed(data)
        self.semantic_hits = SemanticHits(data / "semantic_hits.sqlite3")
        self.watch = SemanticWatch(
            data,
            {name: each.tolerated_error for name, each in collections.items()},
            self.metrics,
            enabled=settings.semantic_hits,
        )
        self.current = CurrentRelease(data, collections, live.retrieval, self._swapped)
        # Withdrawals first: people wait for them, and they are cheap to read. A release takes its time to open.
        # Threads read the files: one that grew by thousands of records must not hold up the requests.
        self.poller = Poller(
            {
                "object store": store_trouble(data),
                "withdrawals": _in_thread(self.withdrawn.follow_documents),
                "reported pairs": _in_thread(self.withdrawn.follow_pairs),
                "decisions": _in_thread(self.reviewed.follow),
                "listed questions": _in_thread(self.listed.follow),
                "comparisons": self.watch.follow,
                "own gauges": self.refresh_metrics,
                "release pointer": self.current.follow,
            },
            lambda what: self.metrics.following_failures.labels(what).inc(),
        )
        self.model = _language_model(settings, live, self.metrics, tracing)
        withholding = Withholding(self.reviewed, collections)
        self.lookup = Lookup(
            PreparedAnswers(self.current, self.withdrawn, self.reviewed, self.listed, withholding),
            self.model,
            self.pool,
            self.watch,
            self.metrics,
            live.rules,
            live.identity,
            settings.rewrite_queries,
        )
        self.comparisons = Comparisons(self.lookup, self.journal, settings.comparison_share)
        self.lookup.on_semantic_hit = self.comparisons.consider
        self.exchanges = Exchanges(self.lookup, RequestLog(self.journal, self.metrics, status_of, self.semantic_hits))
        self.jobs = Jobs(
            JobStore(data / "jobs.sqlite3"),
            self.exchanges,
            self.withdrawn,
            _refused,
            self.metrics,
            settings.job_limit,
            settings.job_hours,
        )

    def _swapped(self, outcome: str) -> None:
        self.metrics.releases.labels(outcome).inc()
        release = self.current.get()
        if outcome == "opened" and release is not None:
            selectors = {name: each.selector for name, each in release.collections.items() if each.selector is not None}
            self.watch.begin(release.release_id, release.verifier, selectors)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the background work; on exit everything is written and closed."""
        # unguarded: better no service than one that serves withdrawn or rejected answers
        self.withdrawn.follow_documents()
        self.reviewed.follow()
        if self.journal is not None:
            self.journal.start()
        await self.poller.look()
        polling = asyncio.create_task(self.poller.run(self.settings.poll_seconds))
        try:
            async with self.jobs.running():
                yield
        finally:
            polling.cancel()
            await asyncio.gather(polling, self.comparisons.stop(), return_exceptions=True)
            self.pool.close()
            self.review_pool.close()
            self.report_pool.close()
            self.current.close()
            await self.semantic_hits.close()
            if self.journal is not None:
                await asyncio.to_thread(self.journal.close)
            if self.tracing is not None:
                await asyncio.to_thread(self.tracing.close)

    @property
    def trouble(self) -> str | None:
        """Why a newer release, a withdrawal or a report does not take effect, or None."""
        return "; ".join(filter(None, (self.current.failure, self.poller.failure))) or None

    def readiness(self) -> Readiness:
        """Return whether anticipated questions can be answered."""
        release = self.current.get()
        return Readiness(
            status="not ready" if release is None else "ready",
            release=None if release is None else release.release_id,
            collections=[] if self.keys.required else sorted(self._collections),
            language_model="none" if self.model.is_absent else self.model.breaker.state,
            problem=self.trouble,
        )

    def scrape(self) -> bytes:
        """Return the metrics, with fresh gauges of this process."""
        self.refresh_metrics()
        return self.metrics.scrape()

    def count_problem(self, kind: str) -> None:
        """Count a refusal or a failure."""
        self.metrics.problems.labels(kind).inc()

    def refresh_metrics(self) -> None:
        """Set the gauges of this process; any worker's scrape shows them."""
        admission, metrics = self.model.admission, self.metrics
        metrics.queue_depth.set(admission.waiting)
        metrics.running.set(admission.running)
        metrics.limit.set(admission.limit)
        metrics.withdrawn.set(len(self.withdrawn))
        metrics.breaker.set(self.model.breaker.state != "closed")


def _in_thread(step: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    return functools.partial(asyncio.to_thread, step)


def _refused(problem: Problem, request_id: str) -> Outcome:
    rendered = render(problem, request_id, openai=False)
    return Outcome(rendered.status, rendered.body)


def _language_model(
    settings: ServiceSettings, live: LiveParts, metrics: Metrics, tracing: Tracing | None
) -> LanguageModel:
    share = settings.workers  # the settings are for the whole service; each worker takes its share
    admission = Admission(
        start=max(1, settings.concurrency // share),
        most=max(1, settings.concurrency_limit // share),
        target_seconds=settings.target_seconds,
        queue_length=settings.queue_length // share,
        queue_seconds=settings.queue_seconds,
    )
    breaker = CircuitBreaker(settings.breaker_failures, settings.breaker_seconds)
    sampling = Sampling(**live.sampling.model_dump())
    return LanguageModel(live.llm, sampling, admission, breaker, metrics, settings.deadline_seconds, tracing)
