"""The progress of a job whose workers are elsewhere, from Beam's metrics: counted by the workers, asked each second."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from apache_beam.metrics.metric import Metrics, MetricsFilter
from apache_beam.portability.api import beam_job_api_pb2 as api
from apache_beam.runners.portability.portable_runner import PortableMetrics
from apache_beam.runners.runner import PipelineResult

_NAMESPACE = "beforehand"
_DONE, _TOKENS = "done", "tokens"
_SECONDS = 1.0


def count(done: int, tokens: int) -> None:
    """Count for the job that runs in this thread, if any."""
    Metrics.counter(_NAMESPACE, _DONE).inc(done)
    if tokens:
        Metrics.counter(_NAMESPACE, _TOKENS).inc(tokens)


@contextmanager
def following(result: PipelineResult, report: Callable[[int, int], None]) -> Iterator[None]:
    """Report a job's counts, done and tokens, each second until the block ends."""
    ended = threading.Event()
    thread = threading.Thread(target=_follow, args=(result, report, ended), name="job-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()


def _follow(result: PipelineResult, report: Callable[[int, int], None], ended: threading.Event) -> None:
    while not ended.wait(_SECONDS):
        try:
            done, tokens = _counts(result)
        except Exception:  # a job server that doesn't answer is noticed by whoever waits for the job
            continue
        report(done, tokens)


def _counts(result: PipelineResult) -> tuple[int, int]:
    request = api.GetJobMetricsRequest(job_id=result._job_id)  # `result.metrics()` asks only once
    found = PortableMetrics(result._job_service.GetJobMetrics(request, timeout=_SECONDS * 5))
    counters = found.query(MetricsFilter().with_namespace(_NAMESPACE))[PortableMetrics.COUNTERS]
    totals = {_DONE: 0, _TOKENS: 0}
    for each in counters:
        totals[each.key.metric.name] += max(each.committed or 0, each.attempted or 0)
    return totals[_DONE], totals[_TOKENS]
