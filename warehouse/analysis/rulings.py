"""The rulings on wordings and fences as a table; `warehouse.editorial.wordings` writes them, and is above this wing."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from warehouse.append_log import read

_TEXTS = ("collection", "query_key", "text", "verdict", "origin", "approved_by", "since")
_RULINGS = pa.schema([*((name, pa.string()) for name in _TEXTS), ("person", pa.bool_()), ("confidence", pa.float64())])


def rulings_table(data: Path) -> pa.Table:
    """Return every ruling of a data folder, in the order of the files."""
    records = [record for name in ("wordings", "fences") for record in read(data / f"{name}.jsonl")]
    rows = [
        {
            **{name: str(record.get(name) or "") for name in _TEXTS},
            "person": record.get("person") is True,
            "confidence": _number(record.get("confidence")),
        }
        for record in records
    ]
    return pa.Table.from_pylist(rows, schema=_RULINGS)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
