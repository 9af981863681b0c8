"""The rulings on wordings and fences as a table; `warehouse.editorial.wordings` writes them, and is above this wing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

_TEXTS = ("collection", "query_key", "text", "verdict", "origin", "approved_by", "since")
_RULINGS = pa.schema([*((name, pa.string()) for name in _TEXTS), ("person", pa.bool_()), ("confidence", pa.float64())])


def rulings_table(records: Iterable[Mapping[str, object]]) -> pa.Table:
    """Return the records of the logs as a table."""
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
