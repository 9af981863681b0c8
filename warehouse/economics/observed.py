"""What the history, the run log and the release say about the assumptions of `decide`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import duckdb

from warehouse.analysis.journal import history_dataset
from warehouse.economics.assumptions import DecideSettings
from warehouse.economics.designs import MONTH_HOURS
from warehouse.history.run_log import logged_runs
from warehouse.releases.changes import previous_database
from warehouse.sql import prepare, sql_text

_DAYS = 30
_LEAST_HOURS = 24.0  # of history, from which a month is extrapolated
_LAST_RUNS = 5


def observed(data: Path, peak_hours: float, today: date) -> Mapping[str, float]:
    """Return the assumptions that are on record, by name."""
    found = {**_traffic(data, peak_hours, today), **_batch(data)}
    known = {name: value for name, value in found.items() if value is not None and math.isfinite(value)}
    return {name: value for name, value in known.items() if value > 0 or name == "hit_rate"}


def completed(given: DecideSettings, data: Path, today: date) -> tuple[DecideSettings, Mapping[str, str]]:
    """Return the assumptions, completed by what is on record, and where each comes from."""
    known = observed(data, given.peak_hours, today) if data.is_dir() else {}
    taken = {name: value for name, value in known.items() if name not in given.model_fields_set}
    if "peak_factor" in taken:  # a day has no more questions than all
        taken["peak_factor"] = min(max(1.0, taken["peak_factor"]), 24 / given.peak_hours)
    hit = {name for name in taken if name.startswith("hit_p")}
    if hit and (len(hit) == 1 or taken["hit_p99_seconds"] < taken["hit_p50_seconds"]):
        taken = {name: value for name, value in taken.items() if name not in hit}
    sources = dict.fromkeys(type(given).model_fields, "default")
    sources |= dict.fromkeys(given.model_fields_set, "configured") | dict.fromkeys(taken, "measured")
    return given.model_copy(update=taken), sources


def _traffic(data: Path, peak_hours: float, today: date) -> dict[str, float | None]:
    with duckdb.connect(":memory:") as session:
        prepare(session)
        session.register("journal_files", history_dataset(data))
        parameters = {"since": today - timedelta(days=_DAYS), "peak_hours": max(1, round(peak_hours))}
        rows = session.execute(sql_text("observed.sql"), parameters)
        names = [column[0] for column in rows.description or ()]
        row = dict(zip(names, rows.fetchone() or (), strict=True))
    requests, hours = row.pop("requests"), row.pop("hours")
    if not requests or hours is None or hours < _LEAST_HOURS:
        return {}
    return {"requests_a_month": requests / hours * MONTH_HOURS, **row}


def _batch(data: Path) -> dict[str, float | None]:
    runs = [run for run in logged_runs(data) if run["generated"] and run["generation_seconds"] and not run["shadow"]][
        -_LAST_RUNS:
    ]
    tokens = sum(float(str(run["completion_tokens"] or 0)) for run in runs)
    seconds = sum(float(str(run["generation_seconds"])) for run in runs)
    database = previous_database(data)
    anticipated = None
    if database is not None:
        with duckdb.connect(str(database), read_only=True) as release:
            (anticipated,) = release.execute("SELECT count(*) FROM answers").fetchone() or (None,)
    return {"batch_tokens_a_second": tokens / seconds if tokens and seconds else None, "anticipated": anticipated}
