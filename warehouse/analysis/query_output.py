"""Writes the result of an analyst's SQL as a table for the terminal, CSV, JSON, JSON lines or Parquet.

All formats but the table are streamed, so a whole table is exported with the memory of one batch.

The result goes through Arrow, which misrepresents some types: an interval becomes three numbers, a bit string its
bytes, 24:00 midnight. DuckDB casts such columns to text first, also inside lists and structs.
"""

from __future__ import annotations

import codecs
import datetime
import decimal
import io
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from duckdb.sqltypes import DuckDBPyType

from warehouse.analysis.cells import FORMULA, as_json, python_values, visible
from warehouse.durable import replacing, storage_errors
from warehouse.errors import QueryError

FORMATS = ("table", "csv", "json", "jsonl", "parquet")
ENDINGS = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".parquet": "parquet", ".txt": "table"}
LONGEST_CELL = 60  # of a table
_BATCH = 10_000
_DEVICES = (Path("/dev"), Path("/dev/fd"))  # /dev/stdout leads to a file where a shell redirects it
_TABLE_ROWS = 1_000
# types that Arrow or Parquet lack
_FOREIGN = frozenset({"interval", "bit", "bignum", "uhugeint", "time with time zone", "union", "variant", "geometry"})
_CLOCK = _FOREIGN | {"date", "time", "time_ns"}  # and those that Python can't always represent
_MOMENTS = frozenset({"timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone"})


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
    """Give each column a unique name and a type that the format supports; by position, since names may repeat."""
    columns = zip(itertools.count(1), _distinct(relation.columns), relation.types)
    return relation.project(
        ", ".join(f"{_cast(place, kind, form)} AS {_quoted(name)}" for place, name, kind in columns)
    )


def _cast(place: int, kind: DuckDBPyType, form: str) -> str:
    """Return a column in SQL as the format has it; CSV guards text that a spreadsheet would take for a formula."""
    if form == "csv" and kind.id == "varchar":
        return f"regexp_replace(#{place}, '^(''*(?:{FORMULA}))', '''\\1')"
    return f"#{place}::{_type(kind, form)}"


def _distinct(names: Sequence[str]) -> list[str]:
    """Number repeated names: name, name_1, name_2, skipping those already taken."""
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
    """Return a type in SQL, with text in place of the types that are `strange`."""
    if kind.id in strange:
        return "VARCHAR"
    if kind.id == "timestamp_s":
        return "TIMESTAMP"  # Parquet has no seconds
    if kind.id not in ("list", "array", "struct", "tuple", "map"):
        return str(kind)
    inner = [(name, _without(part, strange)) for name, part in kind.children if isinstance(part, DuckDBPyType)]
    if kind.id in ("list", "array"):
        return f"{inner[0][1]}[]"  # no fixed length: Arrow writes an empty one to Parquet unreadably
    parts = (f"{_quoted(name)} {part}" if kind.id == "struct" else part for name, part in inner)
    return f"{kind.id}({', '.join(parts)})"


def explain(error: duckdb.Error) -> str:
    """Return DuckDB's message as one sentence: what is wrong, what it suggests, and where."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    message = lines[0].removesuffix(".")
    hints = [line for line in lines[1:] if line.startswith(("Did you mean", "Candidate", "HINT"))]
    place = [line for line in lines[1:] if line.startswith("LINE ")]
    return " ".join([f"{message}.", *hints, *(f"({line})" for line in place)])


def format_of(path: Path) -> str:
    """Return the format for a file's ending.

    Raises:
        QueryError: no format has this ending.
    """
    if path.suffix.lower() not in ENDINGS:
        raise QueryError(f"{path}: no format has this ending; use one of {', '.join(ENDINGS)}, or name the format.")
    return ENDINGS[path.suffix.lower()]


def write_result(
    connection: duckdb.DuckDBPyConnection, sql: str, form: str, output: BinaryIO, longest: int | None = LONGEST_CELL
) -> int:
    """Run SQL, write its result to `output` in one of `FORMATS`, and return the number of rows.

    Of several statements a table shows each result; a file has one, so there only the last may have a result.
    A table cuts cells to `longest` characters; None cuts nothing.

    Raises:
        QueryError: the SQL is wrong, there are too many results for the format, or the format is unknown.
    """
    if form not in FORMATS:
        raise QueryError(f"Unknown format {form!r}; known are {', '.join(FORMATS)}.")
    statements = _statements(sql, form)
    if form == "table":
        drawn, rows = io.BytesIO(), 0  # written when all have run
        for statement in statements:
            reader = query(connection, statement, form)
            rows += _write_table(reader.schema.names, _batches(reader), drawn, longest)
        output.write(drawn.getvalue())
        return rows
    for statement in statements[:-1]:
        query(connection, statement, form).read_all()
    return _write_one(query(connection, statements[-1] if statements else "", form), form, output)


def _statements(sql: str, form: str) -> list[str]:
    """Return the statements of a text.

    Raises:
        QueryError: one can't be parsed, or more than one has a result and the format has room for one.
    """
    try:
        found = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise QueryError(explain(error)) from error
    results = [each for each in found if each.expected_result_type == [duckdb.ExpectedResultType.QUERY_RESULT]]
    if form != "table" and (len(results) > 1 or (results and results[0] is not found[-1])):
        raise QueryError(
            f"There are {len(found)} statements, and {form} has room for the result of the last one: "
            "run those that have a result one by one, or write a table."
        )
    return [each.query for each in found]


def _write_one(reader: pa.RecordBatchReader, form: str, output: BinaryIO) -> int:
    batches = _batches(reader)
    if form == "parquet":
        return _write_with(pa.parquet.ParquetWriter(output, reader.schema), batches)
    if form == "csv":
        flat = _flat_schema(reader.schema)
        return _write_with(pa.csv.CSVWriter(output, flat), (_flatten(batch, flat) for batch in batches))
    return _write_json(reader.schema.names, batches, output, lines=form == "jsonl")


@contextmanager
def result_file(path: Path, form: str) -> Iterator[BinaryIO]:
    """Open a file for a result: it replaces the old one only if the query succeeds; a device or pipe is just written.

    A CSV file begins with the mark by which Excel knows UTF-8.

    Raises:
        StorageError: the file can't be written.
    """
    special = path.parent in _DEVICES or (path.exists() and not path.is_file())
    with (
        storage_errors(path.parent, f"write {path.name}"),
        path.open("wb") if special else replacing(path.resolve()) as file,
    ):
        if form == "csv" and not special:
            file.write(codecs.BOM_UTF8)
        yield file


def _batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Yield batches; DuckDB executes while they are fetched, so its errors appear here."""
    try:
        yield from reader
    except (pa.ArrowException, OSError, duckdb.Error) as error:
        raise QueryError(f"{str(error).splitlines()[0].removesuffix('.')}.") from error


def _write_with(writer: pa.parquet.ParquetWriter | pa.csv.CSVWriter, batches: Iterator[pa.RecordBatch]) -> int:
    rows = 0
    with writer:
        for batch in batches:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def _flat_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema for CSV: nested columns and bytes become text."""
    return pa.schema([pa.field(f.name, f.type if _is_flat(f.type) else pa.string()) for f in schema])


def _is_flat(kind: pa.DataType) -> bool:
    return not (pa.types.is_nested(kind) or pa.types.is_binary(kind))


def _flatten(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        column if _is_flat(column.type) else pa.array([_flat(value) for value in python_values(column)], pa.string())
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _flat(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.hex()
    return None if value is None else as_json(value)


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[object, ...]]:
    return zip(*(python_values(column) for column in batch.columns), strict=True)


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


def _cut(text: str, longest: int | None) -> str:
    return text if longest is None or len(text) <= longest else f"{text[: longest - 1]}…"
