"""The progress of workers elsewhere reaches the display through Beam's metrics."""

from __future__ import annotations

import threading

import pytest
from apache_beam.metrics.monitoring_infos import int64_user_counter as counter
from apache_beam.portability.api import beam_job_api_pb2 as api

from batch import progress
from batch.runners import job_progress
from batch.runners.job_progress import following


class Result:
    """A job's result: its server says that two steps have counted, and is silent for a moment at first."""

    _job_id = "job-1"

    def __init__(self) -> None:
        self._job_service = self
        self.asked = 0

    def GetJobMetrics(self, request: api.GetJobMetricsRequest, timeout: float) -> api.GetJobMetricsResponse:  # noqa: N802
        assert (request.job_id, timeout > 0) == ("job-1", True)
        self.asked += 1
        if self.asked == 1:
            raise ConnectionError("not now")
        found = api.GetJobMetricsResponse()
        for step, name, value in (("Embed", "done", 30), ("Ask", "done", 12), ("Ask", "tokens", 480)):
            found.metrics.attempted.append(counter("beforehand", name, value, ptransform=step))
        found.metrics.attempted.append(counter("other", "done", 7, ptransform="Ask"))
        return found


def test_counts_of_all_steps_are_shown_as_workers_report_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_progress, "_SECONDS", 0.02)
    progress.enter("generate", "generating answers")
    progress.expect("loading the language model", 100, "answers")
    seen = threading.Event()

    def report(done: int, tokens: int) -> None:
        progress.observe(done, tokens)
        seen.set()

    with following(Result(), report):
        assert seen.wait(30)

    assert progress.percent() == 42.0
    assert "42 of 100 answers" in progress.describe()
    progress.observe(41, 470)
    assert progress.percent() == 42.0, "a worker that begins anew takes nothing back"
