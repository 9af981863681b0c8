"""Reads table files (JSON lines, CSV, Parquet) row by row; a bad row is reported and the rest is read."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from rag.errors import DocumentError
from rag.text.decoding import decode

_YES, _NO = ("true", "1", "yes", "y", "same"), ("false", "0", "no", "n", "different")
ROW_ENDINGS = frozenset({".jsonl", ".ndjson", ".csv", ".tsv", ".parquet"})


@dataclass(frozen=True)
class Reject:
    """An item that could not be read, and one sentence that says why."""

    item: str
    reason: str


@dataclass(frozen=True)
class Row:
    """A row of a table file: its place (`line 3`, `row 3`) and its values by lower-case column name."""

    place: str
    values: Mapping[str, object]


def ending(name: str) -> str:
    """Return the ending of a file name in lower case, with its dot."""
    return PurePosixPath(name).suffix.lower()


def as_flag(value: object) -> bool | None:
    """Return what a cell says in the words and digits that people use for yes and no, or None."""
    text = str(value).strip().lower()
    return True if text in _YES else False if text in _NO else None


def read_rows(
    name: str, data: bytes, required: Collection[str], optional: Collection[str] = (), *, keep_empty: bool = False
) -> Iterator[Row | Reject]:
    """Yield the rows of a JSONL, CSV or Parquet file; a bad row is a `Reject` and the rest is read.

    At least one of the `required` columns, if any, must be there; only these and the `optional` ones are kept, and
    empty cells only with `keep_empty`. Column names match in any case; of several that differ only in case, the
    lower-case one counts. A JSONL line that is a bare string counts as the first required column.

    Raises:
        DocumentError: the file as a whole can't be read.
    """
    kind = ending(name)
    if kind == ".parquet":
        rows = _parquet_rows(name, data, required, optional)
    elif kind in {".csv", ".tsv"}:
        rows = _csv_rows(name, decode(data), required, optional)
    else:
        rows = _json_rows(name, decode(data), required, optional)
    return rows if keep_empty else map(_without_empty, rows)


def _without_empty(row: Row | Reject) -> Row | Reject:
    if isinstance(row, Reject):
        return row
    return Row(row.place, {column: value for column, value in row.values.items() if value not in (None, "")})


def _json_rows(name: str, text: str, required: Collection[str], optional: Collection[str]) -> Iterator[Row | Reject]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            value = json.loads(line, strict=False)
        except (ValueError, RecursionError) as error:
            reason = str(error).partition(":")[0].lower()
            yield Reject(f"{name}, {place}", f"not a JSON value ({reason}): the line is torn or not JSONL")
            continue
        if isinstance(value, str) and required:
            value = {next(iter(required)): value}
        if not isinstance(value, dict):
            yield Reject(f"{name}, {place}", "not a JSON object with named fields")
            continue
        try:
            columns = _columns(value, (*required, *optional))
        except DocumentError as error:
            yield Reject(f"{name}, {place}", str(error))
            continue
        if required and not columns.keys() & set(required):
            yield Reject(f"{name}, {place}", f"no field named {' or '.join(required)}")
            continue
        yield Row(place, _keep(value, columns))


def _csv_rows(name: str, text: str, required: Collection[str], optional: Collection[str]) -> Iterator[Row | Reject]:
    csv.field_size_limit(sys.maxsize)  # the default refuses a document above 128 KiB
    header, _, _ = text.partition("\n")
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = _header(reader.fieldnames or (), required, optional)
    except csv.Error as error:
        raise DocumentError(f"its first line is not a CSV row ({error}): check its quotation marks") from None
    while True:
        place = f"line {reader.line_num + 1}"
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield Reject(f"{name}, {place}", f"not a CSV row ({error}): check its quotation marks")
            continue
        if row is None:
            return
        if any(cell.strip() for cell in row.get(None, ())):  # empty extra cells are stray delimiters and lose nothing
            reason = f"more cells than columns: put a text that holds {delimiter!r} between quotation marks"
            yield Reject(f"{name}, {place}", reason)
            continue
        yield Row(place, _keep(row, columns))


def _parquet_rows(
    name: str, data: bytes, required: Collection[str], optional: Collection[str]
) -> Iterator[Row | Reject]:
    try:
        table = pq.ParquetFile(pa.BufferReader(data))
        columns = _header(table.schema_arrow.names, required, optional)
        number = 0
        for batch in table.iter_batches(columns=list(columns.values())):
            cells = {column: _cells(batch.column(column)) for column in columns.values()}
            for row in range(batch.num_rows):
                number += 1
                values = {column: cells[column][row] for column in cells}
                broken = [column for column, value in values.items() if isinstance(value, Exception)]
                if broken:
                    yield Reject(f"{name}, row {number}", f"its {broken[0]} can't be read ({values[broken[0]]})")
                else:
                    yield Row(f"row {number}", _keep(values, columns))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DocumentError(f"not a Parquet file that can be read ({str(error).splitlines()[0]})") from None


def _cells(column: pa.Array) -> list[object]:
    """Return a column's values, with an error in place of a value that can't be read."""
    try:
        return list(column.to_pylist())
    except Exception:  # one value that Python can't represent must not cost the others
        return [_cell(value) for value in column]


def _cell(value: pa.Scalar) -> object:
    """Return a value, as text where Python can't represent the date or time; or the error that it raises."""
    try:
        return value.as_py()
    except Exception as error:  # nanoseconds, the year 30000 and an unknown time zone raise different errors
        try:
            if isinstance(error, KeyError) and pa.types.is_timestamp(value.type):  # unknown time zone: show UTC
                value = value.cast(pa.timestamp(value.type.unit))
            return value.cast(pa.string()).as_py()
        except (pa.ArrowException, UnicodeDecodeError):
            return error


def _header(names: Collection[str], required: Collection[str], optional: Collection[str]) -> dict[str, str]:
    """Return the wanted columns of a table.

    Raises:
        DocumentError: none of the required columns is there.
    """
    columns = _columns(names, (*required, *optional))
    if required and not columns.keys() & set(required):
        raise DocumentError(f"no column named {' or '.join(required)}: its columns are {', '.join(names) or 'none'}")
    return columns


def _columns(names: Collection[str], wanted: Collection[str]) -> dict[str, str]:
    """Map each wanted column that exists to its name as the file spells it."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.strip().lower(), []).append(name)
    return {column: _exact(column, found[column]) for column in wanted if column in found}


def _exact(column: str, alike: list[str]) -> str:
    exact = alike if len(alike) == 1 else [name for name in alike if name == column]
    if len(exact) != 1:
        raise DocumentError(f"several columns are called {column} ({', '.join(alike)}): rename all but one")
    return exact[0]


def _keep(values: Mapping[str, object], columns: Mapping[str, str]) -> dict[str, object]:
    """Return the wanted columns under their lower-case names."""
    return {column: values[name] for column, name in columns.items()}
