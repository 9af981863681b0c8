"""The run log: one record a run, whatever became of it, in `<data>/runs.jsonl`.

A release knows the runs before it from here. Those that failed their audit published nothing, but their tokens were
generated and paid for, so costs and speeds would be wrong without them. A run that was killed outright is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from warehouse.append_log import append, read
from warehouse.tables import RUNS


def log_run(data: Path, row: Mapping[str, Any]) -> None:
    """Append a row of the table `runs`.

    Raises:
        StorageError: the disk is full.
    """
    append(_log(data), [{name: _plain(row.get(name)) for name in RUNS.names}])


def logged_runs(data: Path) -> list[dict[str, Any]]:
    """Return the rows of all runs, oldest first; of one that was continued, the last record."""
    runs = {str(record.get("run_id")): record for record in read(_log(data))}
    return [{field.name: _typed(field.type, record.get(field.name)) for field in RUNS} for record in runs.values()]


def _log(data: Path) -> Path:
    return data / "runs.jsonl"


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _typed(kind: pa.DataType, value: Any) -> Any:
    return datetime.fromisoformat(value) if pa.types.is_timestamp(kind) and isinstance(value, str) else value
