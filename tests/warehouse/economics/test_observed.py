"""What the history and the run log say about the assumptions of `decide`."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from warehouse.economics.assumptions import DecideSettings
from warehouse.economics.observed import completed
from warehouse.history.run_log import log_run
from warehouse.tables import JOURNAL

TODAY = date(2026, 11, 20)


def write_days(data: Path, days: int) -> None:
    """Ask every hour once a day, and at nine ten times: half are hits."""
    for age in range(days):
        day = TODAY - timedelta(days=age)
        hours = [*range(24), *[9] * 9]
        rows: list[dict[str, Any]] = [
            {"kind": "request", "request_id": str(number),
             "at": datetime(day.year, day.month, day.day, hour, tzinfo=UTC),
             "source": "exact" if number % 2 else "live", "release_id": "r", "query_key": "q",
             "total_seconds": 0.01 if number % 2 else 4.0, "llm_seconds": None if number % 2 else 3.5,
             "prompt_tokens": None if number % 2 else 900, "completion_tokens": None if number % 2 else 80}
            for number, hour in enumerate(hours)
        ]  # fmt: skip
        folder = data / "history" / f"day={day}"
        folder.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=JOURNAL), folder / "history.parquet")


def test_what_is_measured_fills_what_is_not_set(tmp_path: Path) -> None:
    write_days(tmp_path, 10)
    log_run(tmp_path, {"run_id": "r", "generated": 5, "completion_tokens": 3000, "generation_seconds": 2.0})

    given, sources = completed(DecideSettings(hit_rate=0.9, peak_hours=1), tmp_path, TODAY)

    assert given.requests_a_month == pytest.approx(33 * 365 / 12, rel=0.01)
    assert (given.prompt_tokens, given.answer_tokens, given.batch_tokens_a_second) == (900, 80, 1500)
    assert given.peak_factor == pytest.approx(10 / 33 * 24)
    assert given.overhead_seconds == pytest.approx(0.5)
    assert (given.hit_rate, sources["hit_rate"]) == (0.9, "configured")
    assert (sources["answer_tokens"], sources["gpu_hour"]) == ("measured", "default")


def test_less_than_a_day_of_history_and_no_project_leave_the_defaults(tmp_path: Path) -> None:
    write_days(tmp_path / "new", 1)

    for data in (tmp_path / "new", tmp_path / "none"):
        given, _ = completed(DecideSettings(), data, TODAY)
        assert given == DecideSettings()


def test_a_peak_that_no_day_has_is_refused() -> None:
    with pytest.raises(ValueError, match="more than a whole day's questions"):
        DecideSettings(peak_factor=10, peak_hours=4)
