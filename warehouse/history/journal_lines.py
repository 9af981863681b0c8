"""Lines of journal segments as rows: each value fits its column, or is left out."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from rag.text.decoding import replace_surrogates
from warehouse.log_line import parse
from warehouse.tables import JOURNAL

JournalRow = dict[str, Any]  # by the columns of `warehouse.tables.JOURNAL`


def read_record(line: bytes) -> JournalRow | None:
    """Return a line as a journal row, or None if it is torn or has no time."""
    found = parse(line)
    if found is None:
        return None
    record = {field.name: _value(field.type, found.get(field.name)) for field in JOURNAL}
    return record if record["at"] is not None and record["kind"] is not None else None


def _value(kind: pa.DataType, value: object) -> object:
    """Return a value that fits its column, or None: one bad value must not cost the whole record."""
    if value is None or kind == pa.bool_():
        return value if isinstance(value, bool) else None
    if kind == pa.string():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return replace_surrogates(text)
    if pa.types.is_timestamp(kind):
        return _time(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _real(value) if kind == pa.float64() else _whole(value)


def _real(value: float) -> float | None:
    """Return a finite number, or None: one NaN would turn its day's mean into NaN."""
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _whole(value: float) -> int | None:
    return int(value) if -(2**63) <= value < 2**63 else None


def _time(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
