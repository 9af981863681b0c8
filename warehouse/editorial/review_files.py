"""The files in which people review: CSV, JSON lines or Parquet, chosen by the ending.

CSV is for spreadsheets. Since visitors typed some of the texts, a cell that begins like a formula is written with an
apostrophe before it, which is removed when the file is read back.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from rag.errors import DocumentError
from rag.text import table_files
from rag.text.table_files import Reject, Row
from warehouse.analysis.cells import as_json
from warehouse.durable import replace_file, storage_errors
from warehouse.errors import ReviewError

ENDINGS = (".csv", ".jsonl", ".parquet")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

ReviewRow = dict[str, str]
"""The cells of a reviewed row as text, by column."""


def write_rows(path: Path, names: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """Write the given columns of the rows.

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


def _as_csv(names: Sequence[str], rows: Sequence[Mapping[str, object]]) -> bytes:
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


def read_rows(path: Path, columns: Sequence[str]) -> list[ReviewRow]:
    """Read the given columns of a reviewed file; a row lacks the columns that the file lacks.

    Raises:
        ReviewError: the file or a row of it can't be read.
    """
    ending = _ending(path)
    try:
        rows = list(table_files.read_rows(path.name, path.read_bytes(), (), columns, keep_empty=True))
    except (OSError, DocumentError) as error:
        raise ReviewError(f"{path}: can't be read ({error}).") from error
    for number, row in enumerate(rows, start=1):
        if isinstance(row, Reject):
            raise ReviewError(f"{path}, row {number}: can't be read ({row.reason}).")
    undo = _unguard if ending == ".csv" else str
    return [
        {name: undo("" if value is None else str(value)).strip() for name, value in row.values.items()}
        for row in rows
        if isinstance(row, Row)
    ]
