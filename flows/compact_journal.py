"""Compact the journal: move the service's segments into the Parquet history, each record exactly once."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from warehouse.history.compaction import Compacted
from warehouse.history.shared_compaction import compact_journal as compact_data
from warehouse.settings import HistorySettings


@flow(name="compact_journal", validate_parameters=False, persist_result=False)
def compact_journal(data: str, settings: dict[str, object]) -> Compacted:
    """Compact every closed segment and drop records older than the retention; safe to run at any time."""
    return compact_data(Path(data), HistorySettings.model_validate(settings))
