"""The result of an analyst's SQL as a table for the terminal, CSV, JSON, JSON lines or Parquet.

All but the table are streamed in batches, so a whole table can be exported with the memory of one batch.
"""

from __future__ import annotations

import datetime
import decimal
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from warehouse.errors import QueryError

FORMATS = ("table", "csv", "json", "jsonl", "parquet")
ENDINGS = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".parquet": "parquet", ".txt": "table"}
LONGEST_CELL = 60  # of a table
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # all but tab and line ends
_BATCH = 10_000
_TABLE_ROWS = 1_000


def query(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.RecordBatchReader:
    """Run SQL; a statement without a result gives no rows and no columns.

    Raises:
        QueryError: the SQL is wrong or not allowed; one sentence.
    """
    try:
        relation = connection.sql(sql)
        reader = None if relation is None else relation.to_arrow_reader(_BATCH)
    except duckdb.Error as error:
        raise QueryError(explain(error)) from error
    return reader or pa.RecordBatchReader.from_batches(pa.schema([]), [])


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
    reader = query(connection, sql)
    batches = _batches(reader)
    if form == "parquet":
        return _write_with(pa.parquet.ParquetWriter(output, reader.schema), batches)
    if form == "csv":
        flat = _flat_schema(reader.schema)
        return _write_with(pa.csv.CSVWriter(output, flat), (_flatten(batch, flat) for batch in batches))
    if form == "table":
        return _write_table(reader.schema.names, batches, output, longest)
    return _write_json(batches, output, lines=form == "jsonl")


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
    """Return what CSV can hold: nested columns become JSON text."""
    return pa.schema([pa.field(f.name, pa.string() if pa.types.is_nested(f.type) else f.type) for f in schema])


def _flatten(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        pa.array([None if v is None else as_json(v) for v in column.to_pylist()], pa.string())
        if pa.types.is_nested(column.type)
        else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def as_json(value: object) -> str:
    """Return a value of a result as JSON; times in ISO 8601, decimals as numbers, bytes in hexadecimal."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def _write_json(batches: Iterator[pa.RecordBatch], output: BinaryIO, *, lines: bool) -> int:
    rows = 0
    start, between, end = (b"", b"\n", b"\n") if lines else (b"[\n", b",\n", b"\n]\n")
    output.write(start)
    for batch in batches:
        for row in batch.to_pylist():
            output.write((between if rows else b"") + as_json(row).encode())
            rows += 1
    output.write(end if rows or not lines else b"")
    return rows


def _write_table(names: list[str], batches: Iterator[pa.RecordBatch], output: BinaryIO, longest: int | None) -> int:
    rows: list[list[str]] = []
    numeric = [True] * len(names)
    more = False
    for batch in batches:
        for row in batch.to_pylist():
            values = list(row.values())
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
