"""How often each question was asked, from the history."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb

from warehouse.analysis.journal import history_dataset
from warehouse.sql import prepare, sql_text


def demand(data: Path) -> Mapping[str, int]:
    """Return how often each question was asked, by its query key."""
    with duckdb.connect(":memory:") as session:
        prepare(session)
        session.register("journal_files", history_dataset(data))
        return dict(session.execute(sql_text("demand.sql")).fetchall())
