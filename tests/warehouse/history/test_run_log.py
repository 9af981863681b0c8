"""The run log: every run that ended, with what it cost."""

from __future__ import annotations

from datetime import UTC, datetime

from warehouse.history.run_log import log_run, logged_runs


def test_a_logged_run_is_returned_as_it_was(tmp_path):
    started = datetime(2026, 11, 24, 2, tzinfo=UTC)
    log_run(tmp_path, {"run_id": "r1", "started_at": started, "status": "published", "generated": 3})

    (run,) = logged_runs(tmp_path)

    assert (run["run_id"], run["started_at"], run["status"], run["generated"]) == ("r1", started, "published", 3)
    assert run["completion_tokens"] is None


def test_the_last_record_of_a_continued_run_counts(tmp_path):
    for run_id, status in (("r1", "interrupted"), ("r2", "failed"), ("r1", "published")):
        log_run(tmp_path, {"run_id": run_id, "status": status})

    assert [(run["run_id"], run["status"]) for run in logged_runs(tmp_path)] == [("r1", "published"), ("r2", "failed")]


def test_without_a_run_the_log_is_empty(tmp_path):
    assert logged_runs(tmp_path) == []
