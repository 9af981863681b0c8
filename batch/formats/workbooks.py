"""Workbooks, by openpyxl: each sheet is a section with one table, whose cells say what a person sees in them.

Sheets, rows and columns that the workbook hides are left out, counted and told.
"""

from __future__ import annotations

import datetime
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from batch.formats.hidden_text import hidden_passage
from batch.formats.markdown import read_markdown
from batch.formats.outline import Hidden, Outline
from batch.formats.packed import YES, open_packed, safe_xml
from batch.formats.pipe_tables import pipe_table
from rag.text.decoding import tidy

if TYPE_CHECKING:
    from openpyxl.workbook import Workbook

_MOST_ROWS = 20_000
_UNTITLED = "-"  # stands for the title, so that the first sheet's name is not taken for it
_GIVEN_NAME = re.compile(  # what spreadsheets name a new sheet
    r"^(?:Sheet|Tabelle|Feuil(?:le)?|Hoja|Foglio|Blad|Planilha|Folha|Ark(?:usz)?|Taul|List|Munka|Sayfa|Лист|工作表)"
    r" ?\d*$"
)
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_PLACES = re.compile(r"[#0?](?:[#0?,]*[#0?])?(?:\.([0#?]*))?")
_LITERAL = re.compile(r'\[\$([^\]-]*)[^\]]*\]|"([^"]*)"|([$€£¥₹])')
_NO_PLAIN_NUMBER = re.compile(r"General|E[+-]|/|@")
_UNSAID = re.compile(r"\[(?!\$)[^\]]*\]|[_*].|\\(?=.)")


class _Cell(Protocol):
    value: Any
    number_format: str


@dataclass(frozen=True)
class _HiddenCells:
    """The rows and columns that a sheet hides, counted from 1."""

    rows: frozenset[int] = frozenset()
    columns: frozenset[int] = frozenset()


@dataclass
class _Sheet:
    rows: list[list[str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def read_xlsx(data: bytes) -> Outline:
    """Return the outline of a workbook; its title is for the file's name to give.

    Raises:
        DocumentError: it is too large when it is unpacked.
    """
    import openpyxl

    hides = _hidden_cells(data)
    book: Workbook = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    parts: list[str] = []
    hidden = Hidden()
    for sheet in book.worksheets:
        rows = sheet.iter_rows(max_row=_MOST_ROWS)
        read = _read(rows, hides.get(sheet.title, _HiddenCells()), shown=sheet.sheet_state == "visible")
        hidden += hidden_passage(" ".join(read.said))
        if read.rows:
            width = max(max(at for at, cell in enumerate(row, start=1) if cell) for row in read.rows)
            name = "" if _GIVEN_NAME.match(sheet.title) else f"## {sheet.title}"
            parts += [name, pipe_table([row[:width] for row in read.rows])]
    return replace(read_markdown(tidy("\n\n".join(parts)), _UNTITLED), title="", hidden=hidden)


def _read(rows: Iterator[tuple[_Cell, ...]], hides: _HiddenCells, *, shown: bool) -> _Sheet:
    """Return what a sheet shows, without empty rows, and what it hides."""
    sheet = _Sheet()
    for number, row in enumerate(rows, start=1):
        texts = [_text(cell) for cell in row]
        if not shown or number in hides.rows:
            sheet.said += filter(None, texts)
            continue
        sheet.said += [text for at, text in enumerate(texts, start=1) if text and at in hides.columns]
        seen = [text for at, text in enumerate(texts, start=1) if at not in hides.columns]
        if any(seen):
            sheet.rows.append(seen)
    return sheet


def _hidden_cells(data: bytes) -> dict[str, _HiddenCells]:
    """Return what each sheet hides, by its name. openpyxl tells it only of a workbook that is in memory whole."""
    with open_packed(data) as book:
        names = set(book.namelist())
        if not {"xl/workbook.xml", "xl/_rels/workbook.xml.rels"} <= names:
            return {}
        targets = {each.get("Id"): each.get("Target", "") for each in safe_xml(book.read("xl/_rels/workbook.xml.rels"))}
        found = {}
        for sheet in safe_xml(book.read("xl/workbook.xml")).iter():
            target = targets.get(sheet.get(_RELATION), "")
            path = target.removeprefix("/") if target.startswith("/") else f"xl/{target}"
            if _name(sheet.tag) == "sheet" and path in names:
                found[sheet.get("name", "")] = _hidden_in(book.read(path))
    return found


def _hidden_in(sheet: bytes) -> _HiddenCells:
    if b"hidden=" not in sheet:
        return _HiddenCells()
    rows, columns = set[int](), set[int]()
    for element in safe_xml(sheet).iter():
        if element.get("hidden") not in YES:
            continue
        if _name(element.tag) == "row":
            rows.add(int(element.get("r", "0")))
        elif _name(element.tag) == "col":
            columns |= set(range(int(element.get("min", "1")), min(int(element.get("max", "0")), 16_384) + 1))
    return _HiddenCells(frozenset(rows), frozenset(columns))


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]


def _text(cell: _Cell) -> str:
    """Return what a person sees in a cell, in ISO dates and with a point before the decimals."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return _number(value, cell.number_format or "General")
    if isinstance(value, datetime.datetime):
        return str(value.date() if value.time() == datetime.time() else value)
    return " ".join(str(value).split())


def _number(value: float, form: str) -> str:
    """Return a number with the percent sign, the currency and the decimals of its format, without thousands marks."""
    bare = _UNSAID.sub("", form.split(";", maxsplit=1)[0])
    masked = _LITERAL.sub(lambda found: "~" * len(found.group()), bare)
    places = _PLACES.search(masked)
    if places is None or _NO_PLAIN_NUMBER.search(masked):
        return f"{value:.15g}"
    number = f"{value * 100 if '%' in masked else value:.{len(places.group(1) or '')}f}"
    before, after = (_LITERAL.sub(_said, part) for part in (bare[: places.start()], bare[places.end() :]))
    return f"{before}{number}{after}".strip()


def _said(literal: re.Match[str]) -> str:
    return next(filter(None, literal.groups()), "")
