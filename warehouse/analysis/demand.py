"""How often each question was asked, from the history."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import duckdb

from warehouse.analysis.journal import history_dataset
from warehouse.sql import prepare, sql_text


def demand(data: Path) -> Mapping[str, int]:
    """Return how often each question was asked, by its query key."""
    return {key: sum(days.values()) for key, days in demand_by_day(data).items()}


def demand_by_day(data: Path) -> Mapping[str, Mapping[date, int]]:
    """Return how often each question was asked on each day (UTC), by its query key."""
    found: dict[str, dict[date, int]] = {}
    with duckdb.connect(":memory:") as session:
        prepare(session)
        session.register("journal_files", history_dataset(data))
        for key, day, asked in session.execute(sql_text("demand.sql")).fetchall():
            found.setdefault(key, {})[day] = asked
    return found
