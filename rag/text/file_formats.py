"""From bytes to clean text and to rows: what documents and question files have in common.

Text is UTF-8, or UTF-16 and UTF-32 with a byte order mark. Other encodings are rejected and not guessed:
a guess that is wrong turns into answers with broken words, which nobody notices until a user does.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import sys
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rag.errors import DocumentError

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff]")
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")
ROW_ENDINGS = frozenset({".jsonl", ".ndjson", ".csv", ".tsv", ".parquet"})


@dataclass(frozen=True)
class Reject:
    """Something that could not be read: which item, and one sentence that says why."""

    item: str
    reason: str


@dataclass(frozen=True)
class Row:
    """A row of a file: where it stands (`line 3`, `row 3`) and its values by column, in lower case."""

    place: str
    values: Mapping[str, object]


def ending(name: str) -> str:
    """Return the ending of a file name in lower case, with its dot."""
    return PurePosixPath(name).suffix.lower()


def decode(data: bytes) -> str:
    """Decode a file; its line ends and Unicode are normalised.

    Raises:
        DocumentError: it is binary or in another encoding; the message says what to do.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if encoding is None and (data.startswith(b"%PDF-") or b"\0" in data):
        raise DocumentError(_why_binary(data))
    try:
        return _normal(data.decode(encoding or "utf-8"))
    except UnicodeDecodeError as error:
        found = f"byte 0x{data[error.start]:02x} at offset {error.start}"
        raise DocumentError(
            f"not valid {(encoding or 'utf-8').removesuffix('-sig').upper()} ({found}): save it as UTF-8, "
            "for instance with iconv -f WINDOWS-1252 -t UTF-8"
        ) from None


def _why_binary(data: bytes) -> str:
    """Say what bytes with zeros among them are: half-empty pairs of bytes are letters that lack their mark."""
    zeros = {offset for offset in (0, 1) if b"\0" in data[offset::2]}
    if len(zeros) == 1 and len(data) % 2 == 0:  # a binary file has its zeros at both
        kind = "UTF-16BE" if zeros == {0} else "UTF-16LE"
        return (
            f"it looks like {kind} without a byte order mark: save it as UTF-8, "
            f"for instance with iconv -f {kind} -t UTF-8"
        )
    return "a binary file, not text: convert it to Markdown, HTML or plain text first"


def tidy(text: str) -> str:
    """Normalise line ends and Unicode (NFC) and drop what no reader can see or no file can hold."""
    return _normal(_LONE_SURROGATES.sub("\ufffd", _CONTROLS.sub("", text)))


def has_controls(text: str) -> bool:
    """Whether a text holds control characters or halves of characters."""
    return bool(_CONTROLS.search(text) or _LONE_SURROGATES.search(text))


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))


def read_rows(
    name: str, data: bytes, required: Collection[str], optional: Collection[str] = ()
) -> Iterator[Row | Reject]:
    """Read a JSONL, CSV or Parquet file row by row; a bad row is a `Reject` and the rest is read.

    At least one of the `required` columns must be there; only these and the `optional` ones are kept. A column
    is found whatever its capitals; among several that differ in them alone, the one in lower case counts.
    A JSONL line that is a bare string counts as the first required column.

    Raises:
        DocumentError: the file as a whole can't be read.
    """
    kind = ending(name)
    if kind == ".parquet":
        return _parquet_rows(name, data, required, optional)
    text = decode(data)
    if kind in {".csv", ".tsv"}:
        return _csv_rows(name, text, required, optional)
    return _json_rows(name, text, required, optional)


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
        if isinstance(value, str):
            value = {next(iter(required)): value}
        if not isinstance(value, dict):
            yield Reject(f"{name}, {place}", "not a JSON object with named fields")
            continue
        try:
            columns = _columns(value, (*required, *optional))
        except DocumentError as error:
            yield Reject(f"{name}, {place}", str(error))
            continue
        if not columns.keys() & set(required):
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
        if any(cell.strip() for cell in row.get(None, ())):  # empty ones are a delimiter too many, and lose nothing
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


def _cells(column: Any) -> list[object]:
    """Return a column's values; an error in the place of one that can't be read."""
    try:
        return list(column.to_pylist())
    except Exception:  # one value that Python has no word for is no reason to lose the others
        return [_cell(value) for value in column]


def _cell(value: Any) -> object:
    """Return a value, as text where Python has no such date or time; or the error that it gives."""
    try:
        return value.as_py()
    except Exception as error:  # nanoseconds, the year 30000, a time zone that nobody knows: each its own error
        try:
            if isinstance(error, KeyError) and pa.types.is_timestamp(value.type):  # the time zone: told in UTC
                value = value.cast(pa.timestamp(value.type.unit))
            return value.cast(pa.string()).as_py()
        except (pa.ArrowException, UnicodeDecodeError):
            return error


def _header(names: Collection[str], required: Collection[str], optional: Collection[str]) -> dict[str, str]:
    """Return the columns of a table that are wanted; without a required one it can't be read."""
    columns = _columns(names, (*required, *optional))
    if not columns.keys() & set(required):
        raise DocumentError(f"no column named {' or '.join(required)}: its columns are {', '.join(names) or 'none'}")
    return columns


def _columns(names: Collection[str], wanted: Collection[str]) -> dict[str, str]:
    """Return the columns that are wanted and there, each with its name as the file writes it."""
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
    """Keep the wanted columns, with their names in lower case; empty cells and nulls are left out."""
    found = {column: values[name] for column, name in columns.items()}
    return {column: value for column, value in found.items() if value not in (None, "")}
