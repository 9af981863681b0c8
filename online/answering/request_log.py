"""One journal row and one count a request, whatever became of it."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from online.answering.question import Asked, Live, LiveAnswer, Opening, Prepared, Sought, Unanswered
from online.answering.rendering import cache_status, citations
from online.errors import Kind, Problem
from online.records.journal import Journal, JournalRow, journal_filters
from online.records.semantic_hits import SemanticHit, SemanticHits
from online.telemetry.metrics import Metrics

_REFUSALS = {"llm-down", "not-cached"}  # no failures of ours, for all their status
BYPASS = "beforehand; fwd=bypass"


@dataclass(frozen=True)
class RequestLog:
    """Writes to the journal, if there is one, and counts. `status_of` gives the HTTP status of a kind of problem.

    Hits in other words are kept apart, for reports of false ones.
    """

    journal: Journal | None
    metrics: Metrics
    status_of: Callable[[Kind], int]
    hits: SemanticHits

    def prepared(self, asked: Asked, prepared: Prepared) -> None:
        """Record an anticipated answer that was served."""
        seconds = self._count(asked, prepared.source)
        if prepared.source == "semantic" or prepared.wording_key:
            self.hits.record(
                SemanticHit(
                    asked.request_id, asked.key_id or "", asked.collection, asked.query_key, prepared.head.query_key
                )
            )
        if self.journal is None:
            return
        row = _row(asked, seconds, prepared.source, cache_status(asked, prepared.source))
        row.status = 200
        row.confidence = prepared.confidence
        row.fingerprint = prepared.head.fingerprint
        row.matched_key = prepared.head.query_key
        row.wording_key = prepared.wording_key or None
        row.release_id = prepared.release_id
        if prepared.sought is not None:
            _add_search(row, prepared.sought)
        self.journal.append(row)

    def live(self, asked: Asked, begun: Live, answer: LiveAnswer) -> None:
        """Record a live answer."""
        seconds = self._count(asked, "live")
        if self.journal is None:
            return
        row = _row(asked, seconds, "live", cache_status(asked, "live", joined=begun.joined))
        row.status = 200
        row.confidence = answer.support
        _add_live(row, asked, begun.opening, answer)
        self.journal.append(row)

    def unanswered(self, asked: Asked, told: Unanswered, *, joined: bool = False) -> None:
        """Record that no answer was shown, and why; the text of a live one is kept for the team."""
        seconds = self._count(asked, told.source)
        self.metrics.unanswered.labels(told.source, told.reason).inc()
        if self.journal is None:
            return
        row = _row(asked, seconds, told.source, cache_status(asked, told.source, joined=joined))
        row.status = 200
        row.confidence = 0.0
        row.release_id = told.release_id
        if told.sought is not None:
            _add_search(row, told.sought)
        if told.opening is not None and told.live is not None:
            _add_live(row, asked, told.opening, told.live)
        if told.sought is not None and told.sought.withheld is not None:
            row.matched_key, row.wording_key = told.sought.withheld, None
        row.refusal = told.reason
        self.journal.append(row)

    def problem(self, asked: Asked, problem: Problem) -> None:
        """Record a question that got no answer."""
        status = self.status_of(problem.kind)
        source = "refused" if status < 500 or problem.kind in _REFUSALS else "failed"
        seconds = self._count(asked, source)
        if self.journal is None:
            return
        row = _row(asked, seconds, source, None)
        row.status = status
        row.refusal = problem.kind
        self.journal.append(row)

    def bypass(self, asked: Asked, sought: Sought | None = None) -> None:
        """Record a chat that was passed on to the language model; its question is kept if it was looked up."""
        seconds = self._count(asked, "bypass")
        if self.journal is not None:
            row = _row(asked, seconds, "bypass", BYPASS)
            row.status = 200
            if sought is not None and not asked.private:
                _add_search(row, sought)
            self.journal.append(row)

    def missed(self, asked: Asked, sought: Sought, kind: Kind) -> None:
        """Record a question that was only looked up, and has no prepared answer."""
        seconds = self._count(asked, "refused")
        if self.journal is not None:
            row = _row(asked, seconds, "refused", None)
            row.status = self.status_of(kind)
            _add_search(row, sought)
            self.journal.append(row)

    def gone(self, asked: Asked) -> None:
        """Record that the client disconnected."""
        seconds = self._count(asked, "failed")
        if self.journal is not None:
            row = _row(asked, seconds, "failed", None)
            row.status = 499
            row.refusal = "the client went away"
            self.journal.append(row)

    def _count(self, asked: Asked, source: str) -> float:
        seconds = time.perf_counter() - asked.started
        self.metrics.request(source, seconds)
        return seconds


def _row(asked: Asked, seconds: float, source: str, cache_status: str | None) -> JournalRow:
    return JournalRow(
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
        asker=asked.asker,
        streamed=asked.stream,
        filters=journal_filters(asked.filters),
    )


def _add_live(row: JournalRow, asked: Asked, opening: Opening, answer: LiveAnswer) -> None:
    completion = answer.completion
    row.fingerprint = opening.fingerprint
    row.release_id = opening.release_id
    row.model = completion.model
    row.finish_reason = completion.finish_reason
    row.prompt_tokens = completion.prompt_tokens
    row.completion_tokens = completion.completion_tokens
    row.retrieve_seconds = opening.retrieve_seconds
    row.queue_seconds = opening.queue_seconds
    row.llm_seconds = answer.llm_seconds
    if opening.passages:
        row.passage_score = max(each.score for each in opening.passages)
    _add_search(row, opening.sought)
    if not asked.private:
        row.answer = answer.linked.text
        row.prompt = msgspec.json.encode(opening.prompt).decode()
        row.citations = msgspec.json.encode(citations(answer.linked.citations)).decode()


def _add_search(row: JournalRow, sought: Sought) -> None:
    row.embed_seconds = sought.embed_seconds
    if sought.hit is None:
        row.refusal = sought.refusal
    if sought.candidates:
        row.similarity = float(sought.candidates[0].similarity)
        row.matched_key = sought.hit or sought.candidates[0].query_key
        row.wording_key = sought.hit_wording or sought.candidates[0].wording_key
