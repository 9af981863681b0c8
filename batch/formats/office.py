"""PDF, Office files and e-books, by the extra `office`: pypdf, mammoth, python-pptx and openpyxl.

They take 25 MB, where docling, which reads layouts and pictures too, needs models of its own; scanned pages have no
text here and are rejected. Word files and e-books become HTML, tables and slides Markdown, and are read as such.
"""

from __future__ import annotations

import importlib.util
import io
import posixpath
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from xml.etree import ElementTree

from batch.formats.html import read_html
from batch.formats.markdown import read_markdown
from batch.formats.outline import Event, Outline, outline
from rag.errors import DocumentError
from rag.text.decoding import tidy

_PACKAGES = {".pdf": "pypdf", ".docx": "mammoth", ".pptx": "pptx", ".xlsx": "openpyxl", ".epub": "zipfile"}
_LONGEST_UNPACKED = 200_000_000  # bytes of an e-book; more is a bomb
_MOST_ROWS = 20_000

OFFICE_ENDINGS = frozenset(_PACKAGES)
"""The endings that the extra `office` reads."""


def is_readable(ending: str) -> bool:
    """Whether files of this ending can be read here: the package that reads them is installed."""
    return ending in _PACKAGES and importlib.util.find_spec(_PACKAGES[ending]) is not None


def read_office(ending: str, data: bytes) -> Outline:
    """Return the outline of a file of one of the `OFFICE_ENDINGS`.

    Raises:
        DocumentError: it can't be read, or the package that reads it is not installed.
    """
    if not is_readable(ending):
        raise DocumentError(f"a binary file that the extra `office` reads: install it, or convert {ending} to Markdown")
    try:
        return _READERS[ending](data)
    except DocumentError:
        raise
    except Exception as error:  # each package has errors of its own, and broken files raise what nobody foresaw
        said = str(error).partition("\n")[0] or type(error).__name__
        raise DocumentError(f"a binary file that can't be read as {ending} ({said}): save it anew") from error


def _pdf(data: bytes) -> Outline:
    import pypdf

    reader = pypdf.PdfReader(io.BytesIO(data))
    headings = dict(_bookmarks(reader))
    texts = [tidy(page.extract_text() or "") for page in reader.pages]
    if not any(text.strip() for text in texts):
        raise DocumentError("empty: its pages hold pictures of text only; run a text recognition (OCR) over it first")
    events: list[Event] = []
    for number, text in enumerate(texts):
        events += [Event(level, name) for level, name in headings.get(number, [])]
        events += [Event(0, line) for line in [*text.split("\n"), ""]]
    title = reader.metadata.title if reader.metadata else None
    found, sections = outline(events, " ".join(tidy(str(title or "")).split()))
    return Outline(found, sections)


def _bookmarks(reader: object) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """Yield the bookmarks of a PDF by page: their levels and names."""
    found: dict[int, list[tuple[int, str]]] = {}

    def follow(items: list[object], level: int) -> None:
        for item in items:
            if isinstance(item, list):
                follow(item, min(level + 1, 6))
                continue
            number = reader.get_destination_page_number(item)  # type: ignore[attr-defined]
            name = " ".join(tidy(str(getattr(item, "title", ""))).split())
            if isinstance(number, int) and name:
                found.setdefault(number, []).append((level, name))

    follow(list(reader.outline), 1)  # type: ignore[attr-defined]
    yield from found.items()


def _docx(data: bytes) -> Outline:
    import mammoth

    html = mammoth.convert_to_html(io.BytesIO(data), convert_image=mammoth.images.img_element(lambda _: {"src": ""}))
    return read_html(f"<main>{html.value}</main>")


def _pptx(data: bytes) -> Outline:
    import pptx

    parts: list[str] = []
    for slide in pptx.Presentation(io.BytesIO(data)).slides:
        title = slide.shapes.title
        name = " ".join(title.text_frame.text.split()) if title is not None else ""
        parts.append(f"## {name}" if name else "")
        for shape in slide.shapes:
            if title is not None and shape.shape_id == title.shape_id:
                continue
            if getattr(shape, "has_table", False):
                parts.append(_table([[cell.text for cell in row.cells] for row in shape.table.rows]))
            elif shape.has_text_frame:
                lines = [
                    ("  " * each.level + "- ") + each.text for each in shape.text_frame.paragraphs if each.text.strip()
                ]
                parts.append("\n".join(lines))
    return read_markdown(tidy("\n\n".join(parts)))


def _xlsx(data: bytes) -> Outline:
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    parts: list[str] = []
    for sheet in book.worksheets:
        rows = [
            ["" if cell is None else str(cell) for cell in row]
            for row in sheet.iter_rows(values_only=True, max_row=_MOST_ROWS)
        ]
        filled = [row for row in rows if any(cell.strip() for cell in row)]
        if filled:
            width = max(max(at for at, cell in enumerate(row, start=1) if cell.strip()) for row in filled)
            parts += [f"## {sheet.title}", _table([row[:width] for row in filled])]
    return replace(read_markdown(tidy("\n\n".join(parts))), title="")


def _table(rows: list[list[str]]) -> str:
    """Return a table of Markdown, the first row as its header."""
    lines = [f"| {' | '.join(' '.join(cell.replace('|', chr(92) + '|').split()) for cell in row)} |" for row in rows]
    return "\n".join([*lines[:1], f"|{'---|' * len(rows[0])}", *lines[1:]]) if rows else ""


def _epub(data: bytes) -> Outline:
    book = zipfile.ZipFile(io.BytesIO(data))
    if sum(each.file_size for each in book.infolist()) > _LONGEST_UNPACKED:
        raise DocumentError(f"too large when it is unpacked (at most {_LONGEST_UNPACKED:,} bytes): split it")
    container = book.read("META-INF/container.xml").decode("utf-8", "replace")
    root = re.search(r"full-path=[\"']([^\"']+)", container)
    if root is None:
        raise DocumentError("not an e-book: its container names no package; save it anew")
    package = _safe_xml(book.read(root.group(1)))
    names = {item.get("id"): item.get("href") for item in package.iter() if item.tag.endswith("}item")}
    order = [names.get(each.get("idref")) for each in package.iter() if each.tag.endswith("}itemref")]
    title = next((each.text or "" for each in package.iter() if each.tag.endswith("}title")), "")
    folder = posixpath.dirname(root.group(1))
    sections = []
    for name in filter(None, order):
        page = read_html(tidy(book.read(posixpath.normpath(posixpath.join(folder, name))).decode("utf-8", "replace")))
        sections += [
            replace(each, heading=" › ".join(dict.fromkeys(filter(None, (page.title, each.heading)))))  # noqa: RUF001
            for each in page.sections
        ]
    return Outline(" ".join(title.split()), sections)


def _safe_xml(data: bytes) -> ElementTree.Element:
    if b"<!ENTITY" in data:
        raise DocumentError("its package declares entities, which may multiply: save it anew")
    return ElementTree.fromstring(data)


_READERS: dict[str, Callable[[bytes], Outline]] = {
    ".pdf": _pdf, ".docx": _docx, ".pptx": _pptx, ".xlsx": _xlsx, ".epub": _epub,
}  # fmt: skip
