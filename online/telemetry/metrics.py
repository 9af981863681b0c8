"""The metrics of `/metrics`, by Prometheus' conventions: base units, few labels, never a question.

With several worker processes each scrape must show all of them, so prometheus_client keeps its values in files that
the workers share (`online.workers`). A scrape only reads what the others have written: each worker sets its gauges
regularly, and they count while it lives (`live…`). Counters outlive their worker, states don't.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


def shared_folder() -> Path | None:
    """Return the folder that the worker processes share, or None with a single process."""
    folder = os.environ.get(MULTIPROCESS_FOLDER)
    return Path(folder) if folder else None


class Metrics:
    """All metrics of one application."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"beforehand_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, mode: str = "livesum") -> Gauge:
            return Gauge(f"beforehand_{name}", text, registry=registry, multiprocess_mode=mode)  # type: ignore[arg-type]  # a Literal there

        self.requests = counter("requests_total", "Questions by the source of their answer.", "source")
        self.seconds = Histogram(
            "beforehand_request_duration_seconds",
            "Seconds from the question to the whole answer.",
            ("source",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self.problems = counter("problems_total", "Requests that were refused or failed, by kind.", "kind")
        self.unanswered = counter(
            "unanswered_total", "Questions for which no answer was shown, by source and reason.", "source", "reason"
        )
        self.semantic = counter(
            "semantic_candidates_total", "Nearest anticipated questions by what was decided.", "decision"
        )
        self.comparisons = counter(
            "semantic_comparisons_total", "Semantic hits that were also answered live.", "verdict"
        )
        self.error_rate = gauge("semantic_error_estimate", "Share of compared semantic hits that differ.", "livemax")
        self.error_bound = gauge("semantic_error_upper_bound", "Upper 95 % confidence bound of that share.", "livemax")
        self.semantic_tightened = gauge(
            "semantic_hits_tightened",
            "1 while semantic hits need a higher score than the configuration asks.",
            "livemax",
        )
        self.semantic_on = gauge("semantic_hits_enabled", "1 while semantic hits are served.", "livemin")
        self.queue_depth = gauge("llm_queue_depth", "Misses that wait for the language model.")
        self.running = gauge("llm_running", "Calls to the language model that are under way.")
        self.limit = gauge("llm_concurrency_limit", "Calls to the language model that may run at once.")
        self.breaker = gauge("llm_circuit_open", "1 while the language model counts as down.", "livemax")
        self.llm_seconds = Histogram(
            "beforehand_llm_duration_seconds",
            "Seconds that the language model took.",
            buckets=_BUCKETS,
            registry=registry,
        )
        self.llm_failures = counter("llm_failures_total", "Calls that gave no answer, by reason.", "reason")
        self.tokens = counter("llm_tokens_total", "Tokens of live answers.", "kind")
        self.invalid_citations = counter(
            "invalid_citations_total", "References in live answers that named no passage of the prompt."
        )
        self.releases = counter("release_swaps_total", "Releases that were opened, by outcome.", "outcome")
        self.following_failures = counter(
            "following_failures_total",
            "Failed looks at withdrawals, reported pairs, decisions, comparisons and the release pointer.",
            "what",
        )
        self.withdrawn = gauge("withdrawn_documents", "Documents that are withdrawn.", "livemax")
        self.journal_lost = counter("journal_lost_total", "Records that could not be written.")
        self.jobs = counter("jobs_total", "Asynchronous questions by what became of them.", "outcome")
        self.feedback = counter("feedback_total", "Feedback by verdict.", "verdict")

        self._by_source = {
            source: (self.requests.labels(source), self.seconds.labels(source))
            for source in ("exact", "semantic", "live", "withheld", "unreliable", "bypass", "refused", "failed")
        }

    def request(self, source: str, seconds: float) -> None:
        """Count one question; the labels are resolved in advance, for the hot path."""
        count, histogram = self._by_source[source]
        count.inc()
        histogram.observe(seconds)

    def scrape(self) -> bytes:
        """Return the exposition text, of all worker processes."""
        folder = shared_folder()
        return generate_latest(self._registry if folder is None else _Together(folder))


class _Together:
    """A collector of what all worker processes count."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Read the files of all; one that a starting worker has made and not filled yet would be an error."""
        filled = [str(path) for path in self._folder.glob("*.db") if _size(path)]
        return MultiProcessCollector.merge(filled)  # type: ignore[no-any-return, no-untyped-call]  # theirs is untyped


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # its worker has ended
        return 0
