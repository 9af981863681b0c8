"""Values of a query's result as Python values, as JSON and as visible text."""

from __future__ import annotations

import datetime
import decimal
import json
import math
import re

import numpy as np
import pyarrow as pa

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # all but tab and line ends
# what a spreadsheet takes for a formula, and hashes that it would take for numbers; DuckDB reads the same expression
FORMULA = r"[=+\-@\t\r]|\d{12}|\d+[eE][+-]?\d+$"
_FORMULA = re.compile(FORMULA)
_METADATA = pa.map_(pa.string(), pa.list_(pa.string()))
_FILTERS = pa.map_(pa.string(), pa.string())
_INFINITY = 2**63 - 1  # as DuckDB stores it in a timestamp


def python_values(column: pa.Array) -> list[object]:
    """Return a column's values: metadata and filters as objects, text in place of times that Python can't represent."""
    as_objects = column.type == _FILTERS or _holds_metadata_alone(column.type)
    try:
        return list(column.to_pylist(maps_as_pydicts="lossy" if as_objects else None))
    except (OverflowError, ValueError):  # one of them is a time that Python can't represent
        return [_value(scalar) for scalar in column]


def _holds_metadata_alone(kind: pa.DataType) -> bool:
    """Whether all maps in a type are metadata: lists of texts by name, for which JSON has objects."""
    if pa.types.is_map(kind):
        return bool(kind == _METADATA)
    if pa.types.is_struct(kind):
        return all(_holds_metadata_alone(each.type) for each in kind)
    return _holds_metadata_alone(kind.value_type) if pa.types.is_list(kind) else True


def _value(scalar: pa.Scalar) -> object:
    if not scalar.is_valid:
        return None
    if isinstance(scalar, pa.MapScalar):
        pairs = [tuple(_value(part) for part in pair.values()) for pair in scalar.values]
        return {str(name): value for name, value in pairs} if _holds_metadata_alone(scalar.type) else pairs
    if isinstance(scalar, pa.ListScalar):
        return [_value(item) for item in scalar.values]
    if isinstance(scalar, pa.StructScalar):
        return {name: _value(part) for name, part in scalar.items()}
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):
        return _beyond(scalar)


def _beyond(scalar: pa.TimestampScalar) -> str:
    """Return a time with nanoseconds, or outside the years 1 to 9999, in ISO 8601; infinity as DuckDB writes it."""
    if abs(scalar.value) == _INFINITY:
        return "infinity" if scalar.value > 0 else "-infinity"
    return f"{np.datetime64(scalar.value, scalar.type.unit)}{'+00:00' if scalar.type.tz else ''}"


def as_json(value: object) -> str:
    """Return a value as JSON: times in ISO 8601, decimals as numbers, bytes in hexadecimal, NaN and infinity null."""
    try:
        return json.dumps(value, ensure_ascii=False, default=_plain, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, default=_plain)


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: object) -> object:
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value) if value.as_tuple().exponent else int(value)  # Arrow gives sums of integers as decimals
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def visible(text: str) -> str:
    """Replace control characters with U+FFFD: visitors may have typed them, and a terminal would obey some."""
    return _CONTROL.sub("\ufffd", text)


def guard(cell: str) -> str:
    """Return a cell for CSV with an apostrophe before what a spreadsheet would take for a formula or cut as a number.

    Visitors may have typed it.
    """
    return f"'{cell}" if _FORMULA.match(cell.lstrip("'")) else cell


def unguard(cell: str) -> str:
    """Return the cell that `guard` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell.lstrip("'")) else cell
