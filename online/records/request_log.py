"""One journal record and one count a request, whatever became of it."""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass

import msgspec

from online.answering.live_answer import LiveAnswer
from online.answering.lookup import Asked, Opened, Prepared
from online.answering.rendering import citations
from online.answering.semantic_hit import Sought
from online.http.problems import Problem
from online.records.journal import Journal, Record
from online.telemetry.metrics import Metrics


@dataclass(frozen=True)
class Recording:
    """Writes to the journal, if there is one, and counts."""

    journal: Journal | None
    metrics: Metrics

    def prepared(self, asked: Asked, prepared: Prepared, cache_status: str) -> None:
        """Record an anticipated answer that was served."""
        seconds = self._count(asked, prepared.source)
        if self.journal is None:
            return
        record = _record(asked, seconds, prepared.source, cache_status)
        record.status = 200
        record.confidence = prepared.confidence
        record.fingerprint = prepared.head.fingerprint
        record.matched_key = prepared.head.query_key
        record.release_id = prepared.release_id
        if prepared.sought is not None:
            _add_search(record, prepared.sought)
        self.journal.append(record)

    def live(self, asked: Asked, opened: Opened, answer: LiveAnswer, cache_status: str) -> None:
        """Record a live answer."""
        seconds = self._count(asked, "live")
        if self.journal is None:
            return
        record = _record(asked, seconds, "live", cache_status)
        completion = answer.completion
        record.status = 200
        record.confidence = answer.support
        record.fingerprint = opened.live.fingerprint
        record.release_id = opened.release_id
        record.model = completion.model
        record.finish_reason = completion.finish_reason
        record.prompt_tokens = completion.prompt_tokens
        record.completion_tokens = completion.completion_tokens
        record.retrieve_seconds = opened.live.retrieve_seconds
        record.queue_seconds = opened.live.queue_seconds
        record.llm_seconds = answer.llm_seconds
        _add_search(record, opened.sought)
        if not asked.private:
            record.answer = answer.linked.text
            record.prompt = msgspec.json.encode(opened.live.prompt).decode()
            record.citations = msgspec.json.encode(citations(answer.linked.citations)).decode()
        self.journal.append(record)

    def problem(self, asked: Asked, problem: Problem) -> None:
        """Record a question that got no answer."""
        source = "refused" if problem.status < 500 or problem.kind == "llm-down" else "failed"
        seconds = self._count(asked, source)
        if self.journal is None:
            return
        record = _record(asked, seconds, source, None)
        record.status = problem.status
        record.refusal = problem.kind
        self.journal.append(record)

    def fault(self, asked: Asked) -> None:
        """Record a question on which the service itself failed."""
        self.problem(asked, Problem("internal", "The service has a fault."))

    def bypass(self, asked: Asked, cache_status: str) -> None:
        """Record a chat that went to the language model as it came; its text is not kept."""
        seconds = self._count(asked, "bypass")
        if self.journal is not None:
            record = _record(asked, seconds, "bypass", cache_status)
            record.status = 200
            self.journal.append(record)

    def gone(self, asked: Asked) -> None:
        """Record that the one who asked went away."""
        seconds = self._count(asked, "failed")
        if self.journal is not None:
            record = _record(asked, seconds, "failed", None)
            record.status = 499
            record.refusal = "the client went away"
            self.journal.append(record)

    def _count(self, asked: Asked, source: str) -> float:
        seconds = time.perf_counter() - asked.started
        self.metrics.request(source, seconds)
        return seconds


def _record(asked: Asked, seconds: float, source: str, cache_status: str | None) -> Record:
    return Record(
        kind="request",
        request_id=asked.request_id,
        at=datetime.datetime.now(datetime.UTC),
        collection=asked.collection,
        route=asked.route,
        question=None if asked.private else asked.question,
        query_key=asked.query_key or None,
        source=source,
        cache_status=cache_status,
        total_seconds=seconds,
        key_id=asked.key_id,
        streamed=asked.stream,
    )


def _add_search(record: Record, sought: Sought) -> None:
    record.embed_seconds = sought.embed_seconds
    if sought.hit is None:
        record.refusal = sought.refusal
    if sought.candidates:
        record.similarity = float(sought.candidates[0].similarity)
        record.matched_key = sought.hit or sought.candidates[0].query_key
