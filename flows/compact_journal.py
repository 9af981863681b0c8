"""Compact the journal: the segments of the service into the Parquet history, exactly once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow

from warehouse.history.compaction import Compacted, compact
from warehouse.settings import HistorySettings


@flow(name="compact_journal", validate_parameters=False, persist_result=False)
def compact_journal(data: str, settings: dict[str, Any]) -> Compacted:
    """Take over every closed segment, drop what is older than the retention; safe to run at any time."""
    return compact(Path(data), HistorySettings.model_validate(settings))
