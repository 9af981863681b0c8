"""Turns what people save from a spreadsheet into a table that `table_files` reads: UTF-8, one header, plain cells.

Excel writes CSV as UTF-8 with a mark, as Windows-1252 or, named "Unicode text", as UTF-16 with tabs; it may put
`sep=;` first. Windows-1252 has no mark, so it is only believed where the text looks Western European: letters of
another alphabet read as it would become broken words, which nobody notices until a user does.
"""

from __future__ import annotations

import csv
import datetime
import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from rag.errors import DocumentError
from rag.text.decoding import decode
from rag.text.table_files import ending

SPREADSHEET_ENDINGS = frozenset({".csv", ".tsv", ".txt", ".xlsx", ".xlsm"})
_WORKBOOK, _OLD_WORKBOOK = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_SEPARATOR_LINE = re.compile(r'\s*"?sep=(?P<separator>[^\s"]|\t)"?[ \t]*\n', re.IGNORECASE)
_SAVE = 'save it as .xlsx, or as "CSV UTF-8"'
# a symbol or a capital within a word, or a word without an ASCII letter: other bytes read as Windows-1252
_BROKEN_WORD = re.compile(
    r"[a-zà-ÿ][\u00a1-\u00b6\u00b8-\u00bf\u00d7\u00f7](?=[a-zà-ÿ])|[A-Za-z][ŽŠŸ](?=[a-z])|[^\W\d_a-zA-Z]{4}"
)


def plain_table(name: str, data: bytes) -> tuple[str, bytes]:
    """Return the name and content of a table as `table_files` reads it; others than spreadsheets stay as they are.

    Raises:
        DocumentError: it can't be read; the message says how to save it.
    """
    if data.startswith(_OLD_WORKBOOK) or ending(name) in {".xls", ".ods", ".numbers"}:
        raise DocumentError(f"a workbook of an old or foreign format: {_SAVE}")
    if ending(name) not in SPREADSHEET_ENDINGS:
        return name, data
    plain_name = str(PurePosixPath(name).with_suffix(".csv"))
    if data.startswith(_WORKBOOK):
        return plain_name, _as_csv(_workbook_rows(data))
    if ending(name) in {".xlsx", ".xlsm"}:
        raise DocumentError(f"not a workbook, in spite of its ending: {_SAVE}")
    text = decode_spreadsheet(data)
    separator = _SEPARATOR_LINE.match(text)
    if separator is None:
        return plain_name, text.encode()
    rows = csv.reader(io.StringIO(text[separator.end() :], newline=""), delimiter=separator["separator"], strict=True)
    try:
        return plain_name, _as_csv(rows)
    except csv.Error as error:
        raise DocumentError(f"not a CSV file ({error}): check its quotation marks") from None


def decode_spreadsheet(data: bytes) -> str:
    """Return the text of a CSV file in an encoding that spreadsheets use.

    Raises:
        DocumentError: it is in another one.
    """
    try:
        data.decode()
    except UnicodeDecodeError:
        if b"\0" not in data and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return decode(_western(data).encode())
    return decode(data)


def _western(data: bytes) -> str:
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    if not text or _BROKEN_WORD.search(text):
        raise DocumentError(f"neither UTF-8 nor a Western European encoding: in the spreadsheet, {_SAVE}")
    return text


def _workbook_rows(data: bytes) -> Iterator[list[str]]:
    """Yield the rows of the first sheet as text; rows without a cell are left out."""
    try:
        import openpyxl  # late, and an extra: few need it
    except ImportError:
        raise DocumentError(
            "reading .xlsx needs openpyxl: pip install 'beforehand[xlsx]', or save the sheet as \"CSV UTF-8\""
        ) from None
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        rows = [[_cell(cell) for cell in row] for row in book.worksheets[0].iter_rows(values_only=True)]
    except (zipfile.BadZipFile, KeyError, ValueError, IndexError, OSError, SyntaxError) as error:
        raise DocumentError(f"not a workbook that can be read ({str(error).splitlines()[0]}): {_SAVE}") from None
    yield from (row for row in rows if any(row))


def _cell(value: object) -> str:
    """Return a cell as the person sees it; a hash that became a number stays visibly one."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    return str(value)


def _as_csv(rows: Iterable[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
