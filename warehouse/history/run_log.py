"""The run log, `<data>/runs.jsonl`: one record a run, also for runs that failed.

Releases take the earlier runs from here. A run that failed its audit published nothing, but its tokens were paid for,
so costs would be wrong without it. A run that was killed gets its record from the next one that holds the lease.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from warehouse.append_log import append
from warehouse.log_line import read
from warehouse.tables import RUNS


def log_run(data: Path, row: Mapping[str, object]) -> None:
    """Append a row of the table `runs` to the log.

    Raises:
        StorageError: the disk is full.
    """
    append(_log(data), [{name: _plain(row.get(name)) for name in RUNS.names}])


def logged_runs(data: Path) -> list[dict[str, object]]:
    """Return the rows of all runs, oldest first; for a run that was continued, its last record."""
    runs = {str(record.get("run_id")): record for record in read(_log(data))}
    return [{field.name: _typed(field.type, record.get(field.name)) for field in RUNS} for record in runs.values()]


def _log(data: Path) -> Path:
    return data / "runs.jsonl"


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _typed(kind: pa.DataType, value: object) -> object:
    return datetime.fromisoformat(value) if pa.types.is_timestamp(kind) and isinstance(value, str) else value
