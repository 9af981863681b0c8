"""Reads table files (JSON lines, CSV, Parquet) row by row; a bad row is reported and the rest is read."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from rag.errors import DocumentError
from rag.text.decoding import decode

_BLANKS = re.compile(r"\s+")  # within a column name: people write "New answer" for new_answer
_PATIENCE, _FEW_LINES = 10, 100  # how often a file is read over for open quotation marks; a record's lines from then on
_SEPARATOR_LINE = re.compile(r'\s*"?sep=([^\s"]|\t)"?[ \t]*\n', re.IGNORECASE)
_YES, _NO = ("true", "1", "yes", "y", "same"), ("false", "0", "no", "n", "different")
ROW_ENDINGS = frozenset({".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet"})


@dataclass(frozen=True)
class Reject:
    """An item that could not be read, and one sentence that says why."""

    item: str
    reason: str


@dataclass(frozen=True)
class Row:
    """A row of a table file: its place (`line 3`, `row 3`) and its values by lower-case column name.

    `others` are the values of the columns that were not asked for, where the caller wanted them too.
    """

    place: str
    values: Mapping[str, object]
    others: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """The columns that a caller wants. One of `required` must be there, or all of `instead`."""

    required: Collection[str]
    optional: Collection[str] = ()
    instead: Collection[str] = ()
    others: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that are wanted by name."""
        return tuple(dict.fromkeys((*self.required, *self.instead, *self.optional)))

    def lacks(self, columns: Collection[str]) -> bool:
        """Whether columns are too few to read a row."""
        found = set(columns)
        enough = found & set(self.required) or (self.instead and set(self.instead) <= found)
        return bool(self.required) and not enough


def ending(name: str) -> str:
    """Return the ending of a file name in lower case, with its dot."""
    return PurePosixPath(name).suffix.lower()


def as_flag(value: object) -> bool | None:
    """Return what a cell says in the words and digits that people use for yes and no, or None."""
    text = str(value).strip().lower()
    return True if text in _YES else False if text in _NO else None


def read_rows(
    name: str,
    data: bytes,
    required: Collection[str],
    optional: Collection[str] = (),
    *,
    instead: Collection[str] = (),
    others: bool = False,
    keep_empty: bool = False,
    encoding: str | None = None,
) -> Iterator[Row | Reject]:
    """Yield the rows of a JSONL, JSON, CSV or Parquet file; a bad row is a `Reject` and the rest is read.

    At least one of the `required` columns, if any, must be there, or all of `instead`; only these and the `optional`
    ones are kept, with `others` the rest too, and empty cells only with `keep_empty`. Column names match in any case;
    of several that differ only in case, the lower-case one counts. A JSONL line that is a bare string counts as the
    first required column.

    Raises:
        DocumentError: the file as a whole can't be read.
    """
    kind = ending(name)
    wanted = Wanted(required, optional, instead, others)
    if kind == ".parquet":
        rows = _parquet_rows(name, data, wanted)
    elif kind in {".csv", ".tsv"}:
        rows = _csv_rows(name, decode(data, encoding), wanted)
    elif kind == ".json":
        rows = _json_file(name, decode(data, encoding), wanted)
    else:
        rows = _json_rows(name, decode(data, encoding), wanted)
    return rows if keep_empty else map(_without_empty, rows)


def _without_empty(row: Row | Reject) -> Row | Reject:
    if isinstance(row, Reject):
        return row
    return replace(row, values=_filled(row.values), others=_filled(row.others))


def _filled(values: Mapping[str, object]) -> dict[str, object]:
    return {column: value for column, value in values.items() if value not in (None, "")}


def _json_rows(name: str, text: str, wanted: Wanted) -> Iterator[Row | Reject]:
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
        yield _json_row(name, place, value, wanted)


def _json_file(name: str, text: str, wanted: Wanted) -> Iterator[Row | Reject]:
    """Read a JSON file: a list of rows, an object that holds such a list, or a single row."""
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError) as error:
        reason = str(error).partition(":")[0].lower()
        raise DocumentError(f"not a JSON value ({reason}): the file is torn or not JSON") from None
    if isinstance(value, dict) and wanted.lacks([str(key).strip().lower() for key in value]):
        lists = [each for each in value.values() if isinstance(each, list) and each and isinstance(each[0], dict)]
        value = max(lists, key=len) if lists else value
    for number, each in enumerate(value if isinstance(value, list) else [value], start=1):
        yield _json_row(name, f"row {number}", each, wanted)


def _json_row(name: str, place: str, value: object, wanted: Wanted) -> Row | Reject:
    if isinstance(value, str) and wanted.required:
        value = {next(iter(wanted.required)): value}
    if not isinstance(value, dict):
        return Reject(f"{name}, {place}", "not a JSON object with named fields")
    try:
        columns = _columns(value, wanted.names)
    except DocumentError as error:
        return Reject(f"{name}, {place}", str(error))
    if wanted.lacks(columns):
        return Reject(f"{name}, {place}", f"no field named {' or '.join(wanted.required)}")
    return _row(place, value, columns, wanted)


def _csv_rows(name: str, text: str, wanted: Wanted) -> Iterator[Row | Reject]:
    """Read line by line: a quotation mark that is never closed costs its own line, and not all that come after it."""
    csv.field_size_limit(sys.maxsize)  # the default refuses a document above 128 KiB
    lines = [f"{line}\n" for line in text.split("\n")]
    tabs = ending(name) == ".tsv"
    told = _SEPARATOR_LINE.match(lines[0])  # as Excel writes it
    first = 1 if told else 0
    delimiter = told[1] if told else "\t" if tabs else max(",;\t", key=lines[0].count)
    try:
        names, at = _record(lines, first, delimiter, len(lines))
    except csv.Error as error:
        raise DocumentError(f"its first line is not a CSV row ({error.args[0]}): check its quotation marks") from None
    columns = _header(names, wanted)
    in_vain = 0  # lines that were read for quotation marks that nothing closes
    while at < len(lines):
        place = f"line {at + 1}"
        most = len(lines) if in_vain < _PATIENCE * len(lines) else _FEW_LINES
        end = at + 1
        try:
            cells, end = _record(lines, at, delimiter, most)
            if end > at + 1 and len(cells) != len(names):
                raise csv.Error("a quotation mark is not closed")  # noqa: TRY301
        except csv.Error as error:
            in_vain += error.args[1] if len(error.args) > 1 else end - at
            if not tabs:
                yield Reject(f"{name}, {place}", f"not a CSV row ({error.args[0]}): check its quotation marks")
                at += 1
                continue
            cells, end = lines[at].rstrip("\n").split("\t"), at + 1  # a tab needs no quotation marks
        at = end
        if not cells:
            continue
        if any(cell.strip() for cell in cells[len(names) :]):  # empty extra cells are stray delimiters and lose nothing
            reason = f"more cells than columns: put a text that holds {delimiter!r} between quotation marks"
            yield Reject(f"{name}, {place}", reason)
            continue
        yield _row(place, dict(zip_longest(names, cells[: len(names)])), columns, wanted)


def _record(lines: list[str], at: int, delimiter: str, most: int) -> tuple[list[str], int]:
    """Return the cells of the record that begins on a line, of at most `most` lines, and the line after it.

    Raises:
        csv.Error: it is none; its second argument says how many lines were read.
    """
    following = map(lines.__getitem__, range(at, min(len(lines), at + most)))
    reader = csv.reader(following, delimiter=delimiter, strict=True)
    try:
        cells = next(reader, [])
    except csv.Error as error:
        raise csv.Error(str(error), reader.line_num) from None
    return cells, at + max(1, reader.line_num)


def _parquet_rows(name: str, data: bytes, wanted: Wanted) -> Iterator[Row | Reject]:
    try:
        table = pq.ParquetFile(pa.BufferReader(data))
        columns = _header(table.schema_arrow.names, wanted)
        further = [each.name for each in table.schema_arrow if wanted.others and _is_legible(each.type)]
        number = 0
        for batch in table.iter_batches(columns=list(dict.fromkeys([*columns.values(), *further]))):
            cells = {column: _cells(batch.column(column)) for column in batch.schema.names}
            for row in range(batch.num_rows):
                number += 1
                values = {column: cells[column][row] for column in cells}
                broken = [column for column, value in values.items() if isinstance(value, Exception)]
                if broken:
                    yield Reject(f"{name}, row {number}", f"its {broken[0]} can't be read ({values[broken[0]]})")
                else:
                    yield _row(f"row {number}", values, columns, wanted)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DocumentError(f"not a Parquet file that can be read ({str(error).splitlines()[0]})") from None


def _is_legible(kind: pa.DataType) -> bool:
    """Whether a person can read a column's values: not those of vectors and of binary data."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return not pa.types.is_floating(kind.value_type) and _is_legible(kind.value_type)
    return not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


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


def _header(names: Collection[str], wanted: Wanted) -> dict[str, str]:
    """Return the wanted columns of a table.

    Raises:
        DocumentError: none of the required columns is there.
    """
    columns = _columns(names, wanted.names)
    if wanted.lacks(columns):
        found = ", ".join(names) or "none"
        raise DocumentError(f"no column named {' or '.join(wanted.required)}: its columns are {found}")
    return columns


def _columns(names: Collection[str], wanted: Collection[str]) -> dict[str, str]:
    """Map each wanted column that exists to its name as the file spells it."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_BLANKS.sub("_", name.strip().lower()), []).append(name)
    return {column: _exact(column, found[column]) for column in wanted if column in found}


def _exact(column: str, alike: list[str]) -> str:
    exact = alike if len(alike) == 1 else [name for name in alike if name == column]
    if len(exact) != 1:
        raise DocumentError(f"several columns are called {column} ({', '.join(alike)}): rename all but one")
    return exact[0]


def _row(place: str, values: Mapping[str, object], columns: Mapping[str, str], wanted: Wanted) -> Row:
    """Return a row with its columns under their lower-case names."""
    kept = {column: values[name] for column, name in columns.items()}
    if not wanted.others:
        return Row(place, kept)
    own = set(columns.values())
    return Row(place, kept, {str(name).strip().lower(): each for name, each in values.items() if name not in own})
