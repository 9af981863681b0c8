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
        raise DocumentError("a binary file, not text: convert it to Markdown, HTML or plain text first")
    try:
        return _normal(data.decode(encoding or "utf-8"))
    except UnicodeDecodeError as error:
        found = f"byte 0x{data[error.start]:02x} at offset {error.start}"
        raise DocumentError(
            f"not valid {(encoding or 'utf-8').removesuffix('-sig').upper()} ({found}): save it as UTF-8, "
            "for instance with iconv -f WINDOWS-1252 -t UTF-8"
        ) from None


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

    At least one of the `required` columns must be there; only these and the `optional` ones are kept.
    A JSONL line that is a bare string counts as the first required column.

    Raises:
        DocumentError: the file as a whole can't be read.
    """
    kind = ending(name)
    if kind == ".parquet":
        return _parquet_rows(data, required, optional)
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
        if not {key.strip().lower() for key in value} & set(required):
            yield Reject(f"{name}, {place}", f"no field named {' or '.join(required)}")
            continue
        yield Row(place, _keep(value, {*required, *optional}))


def _csv_rows(name: str, text: str, required: Collection[str], optional: Collection[str]) -> Iterator[Row | Reject]:
    csv.field_size_limit(sys.maxsize)  # the default refuses a document above 128 KiB
    header, _, _ = text.partition("\n")
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        _check_columns(reader.fieldnames or (), required)
    except csv.Error as error:
        raise DocumentError(f"its first line is not a CSV row ({error}): check its quotation marks") from None
    while True:
        begin = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield Reject(f"{name}, line {begin}", f"not a CSV row ({error}): check its quotation marks")
            continue
        if row is None:
            return
        yield Row(f"line {begin}", _keep(row, {*required, *optional}))


def _parquet_rows(data: bytes, required: Collection[str], optional: Collection[str]) -> Iterator[Row | Reject]:
    try:
        table = pq.ParquetFile(pa.BufferReader(data))
        names = table.schema_arrow.names
        _check_columns(names, required)
        kept = [name for name in names if name.strip().lower() in {*required, *optional}]
        number = 0
        for batch in table.iter_batches(columns=kept):
            for values in batch.to_pylist():
                number += 1
                yield Row(f"row {number}", _keep(values, {*required, *optional}))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DocumentError(f"not a Parquet file that can be read ({str(error).splitlines()[0]})") from None


def _check_columns(names: Collection[str], required: Collection[str]) -> None:
    if not {name.strip().lower() for name in names} & set(required):
        raise DocumentError(f"no column named {' or '.join(required)}: its columns are {', '.join(names) or 'none'}")


def _keep(values: Mapping[str | None, object], wanted: Collection[str]) -> dict[str, object]:
    """Keep the wanted columns, with their names in lower case; empty cells and nulls are left out."""
    named = {key.strip().lower(): value for key, value in values.items() if isinstance(key, str)}
    return {key: value for key, value in named.items() if key in wanted and value not in (None, "")}
