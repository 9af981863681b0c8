"""The files in which people review: CSV, XLSX, JSON lines or Parquet, chosen by the ending.

CSV and XLSX are for spreadsheets, and what they save is read back (`rag.text.spreadsheets`). Since visitors typed some
of the texts, a cell of CSV that begins like a formula is written with an apostrophe before it; a workbook holds texts
as texts.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from rag.errors import DocumentError
from rag.text import table_files
from rag.text.decoding import tidy
from rag.text.spreadsheets import SPREADSHEET_ENDINGS, plain_table
from rag.text.table_files import Reject
from warehouse.analysis.cells import as_json, guard, unguard
from warehouse.durable import replace_file, storage_errors
from warehouse.errors import ReviewError

WRITTEN = (".csv", ".xlsx", ".jsonl", ".parquet")
READ = (*WRITTEN, ".tsv", ".txt", ".xlsm", ".ndjson", ".xls", ".ods", ".numbers")  # the last three: to say what to do
_LONGEST_CELL = 32_000  # a workbook allows 32,767 characters
_WIDTHS = {
    "question": 40,
    "answer": 60,
    "former_answer": 40,
    "reason": 40,
    "evidence": 80,
    "new_answer": 60,
    "first": 60,
    "second": 60,
    "note": 30,
}

TYPED_COLUMNS = ("decision", "new_answer", "reviewer", "note", "allow_live")
"""The columns that a reviewer fills in."""

PAIR_COLUMNS = ("a", "b", "same", "a_key", "b_key")
"""The columns of labelled pairs that an import reads."""

COLUMNS = (
    "collection", "query_key", "fingerprint", "question", "decisions", *TYPED_COLUMNS, *PAIR_COLUMNS,
    "wording", "verdict", "accept", "pair", "better",
)  # fmt: skip
"""The columns that an import reads."""

KINDS = ("approve", "edit", "reject", "confirm", "reconsider")
_WORDS: Mapping[str, str] = {
    "approved": "approve", "edited": "edit", "rejected": "reject", "reconsidered": "reconsider", "confirmed": "confirm",
}  # fmt: skip

ReviewRow = dict[str, str]
"""The cells of a reviewed row as text, by column."""


def kind_of(row: ReviewRow) -> str:
    """Return the decision that a row names, as people write it: "Approved" is approve."""
    word = row.get("decision", "").lower()
    return _WORDS.get(word, word)


@dataclass(frozen=True)
class UnreadableRow:
    """A row of a reviewed file that can't be read, and why."""

    reason: str


def write_rows(path: Path, names: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """Write the given columns of the rows.

    Raises:
        ReviewError: the ending is not one of `WRITTEN`, or a workbook can't be written here.
        StorageError: the file can't be written.
    """
    ending = _ending(path, WRITTEN)
    if ending == ".csv":
        content = _as_csv(names, rows)
    elif ending == ".xlsx":
        content = _as_workbook(names, rows)
    elif ending == ".jsonl":
        content = "".join(as_json(row) + "\n" for row in rows).encode()
    else:
        buffer = io.BytesIO()
        columns = {name: [row[name] for row in rows] for name in names}
        pa.parquet.write_table(pa.table(columns), buffer)
        content = buffer.getvalue()
    with storage_errors(path.parent, f"write {path.name}"):
        replace_file(path, content)


def _ending(path: Path, endings: Sequence[str]) -> str:
    if path.suffix.lower() not in endings:
        raise ReviewError(f"{path}: the ending must be one of {', '.join(WRITTEN)}.")
    return path.suffix.lower()


def _as_csv(names: Sequence[str], rows: Sequence[Mapping[str, object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([guard("" if row[name] is None else str(row[name])) for name in names])
    return text.getvalue().encode("utf-8-sig")


def _as_workbook(names: Sequence[str], rows: Sequence[Mapping[str, object]]) -> bytes:
    """Return a workbook with one sheet whose cells are all text, so that nothing typed into them becomes a formula."""
    try:
        import openpyxl  # late, and an extra: few need it
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.styles import Alignment, Font
    except ImportError:
        raise ReviewError(
            "writing .xlsx needs openpyxl: pip install 'beforehand[xlsx]', or name a .csv file."
        ) from None
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("review")
    sheet.freeze_panes = "A2"
    for number, name in enumerate(names):
        sheet.column_dimensions[openpyxl.utils.get_column_letter(number + 1)].width = _WIDTHS.get(name, 14)
    for place, row in enumerate([dict(zip(names, names, strict=True)), *rows]):
        cells = []
        for name in names:
            cell = WriteOnlyCell(sheet, _workbook_text(row[name]))
            cell.data_type, cell.number_format = "s", "@"
            cell.alignment = Alignment(wrap_text=name in _WIDTHS, vertical="top")
            cell.font = Font(bold=place == 0)
            cells.append(cell)
        sheet.append(cells)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _workbook_text(value: object) -> str:
    text = "" if value is None else tidy(str(value))
    text = text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}… (cut)"
    return guard(text) if text.startswith("'") else text


def read_rows(path: Path, columns: Sequence[str]) -> list[ReviewRow | UnreadableRow]:
    """Read the given columns of a reviewed file; a row lacks the columns that the file lacks.

    Raises:
        ReviewError: the file can't be read.
    """
    ending = _ending(path, READ)
    try:
        if not (saved := path.read_bytes()).strip():
            raise ReviewError(f"{path}: the file is empty: save the sheet again.")
        name, content = plain_table(path.name, saved)
        rows = list(table_files.read_rows(name, content, (), columns, keep_empty=True))
    except (OSError, DocumentError) as error:
        raise ReviewError(f"{path}: can't be read ({error}).") from error
    undo = unguard if ending in SPREADSHEET_ENDINGS else str
    return [
        UnreadableRow(f"can't be read ({row.reason}).")
        if isinstance(row, Reject)
        else {name: undo("" if value is None else str(value)).strip() for name, value in row.values.items()}
        for row in rows
    ]
