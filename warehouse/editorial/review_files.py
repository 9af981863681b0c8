"""The files in which people review: CSV, JSON lines or Parquet, chosen by the ending.

CSV is for spreadsheets. A cell that begins like a formula gets an apostrophe before it, since visitors typed
some of the texts; it is taken away again when the file comes back. Semicolons and a byte order mark, which
spreadsheets write, are understood.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from warehouse.analysis.query_output import as_json
from warehouse.durable import replace_file, storage_errors
from warehouse.errors import ReviewError

Row = dict[str, Any]
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
ENDINGS = (".csv", ".jsonl", ".parquet")


def write_rows(path: Path, names: Sequence[str], rows: Sequence[Row]) -> None:
    """Write rows with the given columns.

    Raises:
        ReviewError: the ending is not one of `ENDINGS`.
        StorageError: the file can't be written.
    """
    ending = _ending(path)
    if ending == ".csv":
        content = _as_csv(names, rows)
    elif ending == ".jsonl":
        content = "".join(as_json(row) + "\n" for row in rows).encode()
    else:
        buffer = io.BytesIO()
        columns = {name: [row[name] for row in rows] for name in names}
        pa.parquet.write_table(pa.table(columns), buffer)
        content = buffer.getvalue()
    with storage_errors(path.parent, f"write {path.name}"):
        replace_file(path, content)


def _ending(path: Path) -> str:
    if path.suffix.lower() not in ENDINGS:
        raise ReviewError(f"{path}: the ending must be one of {', '.join(ENDINGS)}.")
    return path.suffix.lower()


def _as_csv(names: Sequence[str], rows: Sequence[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_guard("" if row[name] is None else str(row[name])) for name in names])
    return text.getvalue().encode("utf-8-sig")


def _guard(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _unguard(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def read_rows(path: Path, required: Sequence[str]) -> list[Row]:
    """Read rows back; all values of a CSV are text.

    Raises:
        ReviewError: the file can't be read, or lacks a required column.
    """
    ending = _ending(path)
    try:
        if ending == ".csv":
            rows = _from_csv(path.read_text(encoding="utf-8-sig"))
        elif ending == ".jsonl":
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        else:
            rows = pa.parquet.read_table(path).to_pylist()
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        raise ReviewError(f"{path}: can't be read ({error}).") from error
    for number, row in enumerate(rows, start=1):
        missing = [name for name in required if not isinstance(row, dict) or name not in row]
        if missing:
            raise ReviewError(f"{path}, row {number}: the column {missing[0]!r} is missing.")
    return rows


def _from_csv(text: str) -> list[Row]:
    header = text.split("\n", 1)[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    return [{name: _unguard(cell or "") for name, cell in row.items() if name is not None} for row in rows]
