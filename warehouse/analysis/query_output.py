"""The result of an analyst's SQL as a table for the terminal, CSV, JSON, JSON lines or Parquet.

All but the table are streamed in batches, so a whole table can be exported with the memory of one batch.

Arrow stands between DuckDB and the formats, and gives some types away: an interval is three numbers, a bit string
its bytes, 24:00 the start of the day. Such columns are cast to text by DuckDB before, lists and structs of them too.
"""

from __future__ import annotations

import datetime
import decimal
import itertools
import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from duckdb.sqltypes import DuckDBPyType

from warehouse.errors import QueryError

FORMATS = ("table", "csv", "json", "jsonl", "parquet")
ENDINGS = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".parquet": "parquet", ".txt": "table"}
LONGEST_CELL = 60  # of a table
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # all but tab and line ends
_BATCH = 10_000
_TABLE_ROWS = 1_000
# what Arrow or its Parquet files don't know
_FOREIGN = frozenset({"interval", "bit", "bignum", "uhugeint", "time with time zone", "union", "variant", "geometry"})
_CLOCK = _FOREIGN | {"date", "time", "time_ns"}  # what Python can't always hold either
_MOMENTS = frozenset({"timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone"})
_INFINITY = 2**63 - 1  # as DuckDB stores it in a timestamp


def query(connection: duckdb.DuckDBPyConnection, sql: str, form: str = "table") -> pa.RecordBatchReader:
    """Run SQL for a format; a statement without a result gives no rows and no columns.

    Raises:
        QueryError: the SQL is wrong or not allowed; one sentence.
    """
    try:
        relation = connection.sql(sql)
        reader = None if relation is None else _fitted(relation, form).to_arrow_reader(_BATCH)
    except duckdb.Error as error:
        raise QueryError(explain(error)) from error
    return reader or pa.RecordBatchReader.from_batches(pa.schema([]), [])


def _fitted(relation: duckdb.DuckDBPyRelation, form: str) -> duckdb.DuckDBPyRelation:
    """Give each column a name of its own and a type that the format can hold; by position, since names may recur."""
    columns = zip(itertools.count(1), _distinct(relation.columns), (_type(kind, form) for kind in relation.types))
    return relation.project(", ".join(f"#{place}::{kind} AS {_quoted(name)}" for place, name, kind in columns))


def _distinct(names: Sequence[str]) -> list[str]:
    """Number the names that recur: name, name_1, name_2, whatever of these is not there already."""
    distinct: list[str] = []
    for name in names:
        found, number = name, 0
        while found in distinct or (number and found in names):
            number += 1
            found = f"{name}_{number}"
        distinct.append(found)
    return distinct


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _type(kind: DuckDBPyType, form: str) -> str:
    """Return the type to which a column is cast."""
    if form == "csv" and kind.id in _MOMENTS:  # Arrow's CSV has no infinity, and no year after 32767
        return "VARCHAR"
    return _without(kind, _FOREIGN if form == "parquet" else _CLOCK)


def _without(kind: DuckDBPyType, strange: frozenset[str]) -> str:
    """Return a type as SQL writes it, with text in place of what is strange in it."""
    if kind.id in strange:
        return "VARCHAR"
    if kind.id == "timestamp_s":
        return "TIMESTAMP"  # Parquet has no seconds
    if kind.id not in ("list", "array", "struct", "tuple", "map"):
        return str(kind)
    inner = [(name, _without(part, strange)) for name, part in kind.children if isinstance(part, DuckDBPyType)]
    if kind.id in ("list", "array"):
        return f"{inner[0][1]}[]"  # of no fixed length: Arrow writes an empty one to Parquet so that nobody can read it
    parts = (f"{_quoted(name)} {part}" if kind.id == "struct" else part for name, part in inner)
    return f"{kind.id}({', '.join(parts)})"


def explain(error: duckdb.Error) -> str:
    """Make one sentence of DuckDB's message: what is wrong, what it suggests, and where."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    message = lines[0].removesuffix(".")
    hints = [line for line in lines[1:] if line.startswith(("Did you mean", "Candidate", "HINT"))]
    place = [line for line in lines[1:] if line.startswith("LINE ")]
    return " ".join([f"{message}.", *hints, *(f"({line})" for line in place)])


def format_of(path: Path) -> str:
    """Return the format that a file's ending asks for.

    Raises:
        QueryError: it asks for none; the message names the endings.
    """
    if path.suffix.lower() not in ENDINGS:
        raise QueryError(f"{path}: no format has this ending; use one of {', '.join(ENDINGS)}, or name the format.")
    return ENDINGS[path.suffix.lower()]


def write_result(
    connection: duckdb.DuckDBPyConnection, sql: str, form: str, output: BinaryIO, longest: int | None = LONGEST_CELL
) -> int:
    """Run SQL and write what it gives to `output` in one of `FORMATS`; return the number of rows.

    A table cuts cells that are longer than `longest`, None cuts nothing.

    Raises:
        QueryError: the SQL is wrong, or the format is unknown.
    """
    if form not in FORMATS:
        raise QueryError(f"Unknown format {form!r}; known are {', '.join(FORMATS)}.")
    reader = query(connection, sql, form)
    batches = _batches(reader)
    if form == "parquet":
        return _write_with(pa.parquet.ParquetWriter(output, reader.schema), batches)
    if form == "csv":
        flat = _flat_schema(reader.schema)
        return _write_with(pa.csv.CSVWriter(output, flat), (_flatten(batch, flat) for batch in batches))
    if form == "table":
        return _write_table(reader.schema.names, batches, output, longest)
    return _write_json(reader.schema.names, batches, output, lines=form == "jsonl")


def _batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Yield batches; DuckDB works while they are fetched, so its errors come here too."""
    try:
        yield from reader
    except (pa.ArrowException, OSError, duckdb.Error) as error:
        raise QueryError(f"{str(error).splitlines()[0].removesuffix('.')}.") from error


def _write_with(writer: Any, batches: Iterator[pa.RecordBatch]) -> int:
    rows = 0
    with writer:
        for batch in batches:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def _flat_schema(schema: pa.Schema) -> pa.Schema:
    """Return what CSV can hold: nested columns become JSON text, bytes hexadecimal."""
    return pa.schema([pa.field(f.name, f.type if _is_flat(f.type) else pa.string()) for f in schema])


def _is_flat(kind: pa.DataType) -> bool:
    return not (pa.types.is_nested(kind) or pa.types.is_binary(kind))


def _flatten(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        column if _is_flat(column.type) else pa.array([_flat(value) for value in _values(column)], pa.string())
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _flat(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.hex()
    return None if value is None else as_json(value)


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    return zip(*(_values(column) for column in batch.columns), strict=True)


def _values(column: pa.Array) -> list[Any]:
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):  # a time that Python can't hold is somewhere in it
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    """Return one value like `to_pylist`, with text in place of times that Python can't hold."""
    if not scalar.is_valid:
        return None
    if isinstance(scalar, pa.MapScalar):
        return [tuple(_value(part) for part in pair.values()) for pair in scalar.values]
    if isinstance(scalar, pa.ListScalar):
        return [_value(item) for item in scalar.values]
    if isinstance(scalar, pa.StructScalar):
        return {name: _value(part) for name, part in scalar.items()}
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):
        return _beyond(scalar)


def _beyond(scalar: pa.TimestampScalar) -> str:
    """Return a time of nanoseconds or of a year that isn't one of 1 to 9999 in ISO 8601, infinity as in DuckDB."""
    if abs(scalar.value) == _INFINITY:
        return "infinity" if scalar.value > 0 else "-infinity"
    return f"{np.datetime64(scalar.value, scalar.type.unit)}{'+00:00' if scalar.type.tz else ''}"


def as_json(value: object) -> str:
    """Return a value of a result as JSON; times in ISO 8601, decimals as numbers, bytes in hexadecimal.

    JSON knows neither NaN nor infinity: they become null.
    """
    try:
        return json.dumps(value, ensure_ascii=False, default=_plain, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, default=_plain)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: object) -> object:
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value) if value.as_tuple().exponent else int(value)  # a sum of integers is a decimal in Arrow
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def _write_json(names: list[str], batches: Iterator[pa.RecordBatch], output: BinaryIO, *, lines: bool) -> int:
    rows = 0
    start, between, end = (b"", b"\n", b"\n") if lines else (b"[\n", b",\n", b"\n]\n")
    output.write(start)
    for batch in batches:
        for row in _rows(batch):
            output.write((between if rows else b"") + as_json(dict(zip(names, row, strict=True))).encode())
            rows += 1
    output.write(end if rows or not lines else b"")
    return rows


def _write_table(names: list[str], batches: Iterator[pa.RecordBatch], output: BinaryIO, longest: int | None) -> int:
    rows: list[list[str]] = []
    numeric = [True] * len(names)
    more = False
    for batch in batches:
        for values in _rows(batch):
            numeric = [n and (v is None or _is_number(v)) for n, v in zip(numeric, values, strict=True)]
            rows.append([_cut(_cell(value), longest) for value in values])
        if len(rows) >= _TABLE_ROWS:
            more = True
            break
    rows = rows[:_TABLE_ROWS]
    output.write(_draw(names, rows, numeric).encode())
    if more:
        output.write(f"Only the first {_TABLE_ROWS} rows are shown; another format gives all.\n".encode())
    return len(rows)


def _draw(names: list[str], rows: list[list[str]], numeric: list[bool]) -> str:
    if not names:
        return ""
    widths = [max(len(cell) for cell in column) for column in zip(names, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in [names, ["-" * width for width in widths], *rows]
    ]
    return "\n".join([*lines, f"({len(rows)} row{'s' if len(rows) != 1 else ''})", ""])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | decimal.Decimal) and not isinstance(value, bool)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.0f}"
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return visible(" ".join((value if isinstance(value, str) else as_json(value).strip('"')).split()))


def visible(text: str) -> str:
    """Return a text in whose place of control characters U+FFFD stands: visitors may have typed them.

    A terminal would obey some of them, and a page must not hold them.
    """
    return _CONTROL.sub("\ufffd", text)


def _cut(text: str, longest: int | None) -> str:
    return text if longest is None or len(text) <= longest else f"{text[: longest - 1]}…"
