"""PDF, by pypdf: the text of each page, under its bookmarks. Scanned pages have no text here and are rejected."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

from batch.formats.hidden_text import hidden_passage
from batch.formats.outline import Event, Hidden, Outline, outline
from rag.errors import DocumentError
from rag.text.decoding import tidy

if TYPE_CHECKING:
    from pypdf import PageObject

_SMALLEST = 1.5  # points on the page; nobody reads smaller letters


def read_pdf(data: bytes) -> Outline:
    """Return the outline of a PDF, without letters that are too small to see.

    Raises:
        DocumentError: there is no text on its pages.
    """
    import pypdf

    reader = pypdf.PdfReader(io.BytesIO(data))
    headings = _bookmarks(reader)
    pages = [_shown(page) for page in reader.pages]
    if not any(text.strip() for text, _ in pages):
        raise DocumentError("empty: its pages hold pictures of text only; run a text recognition (OCR) over it first")
    events: list[Event] = []
    for number, (text, _) in enumerate(pages):
        events += [Event(level, name) for level, name in headings.get(number, [])]
        events += [Event(0, line) for line in [*text.split("\n"), ""]]
    title = reader.metadata.title if reader.metadata else None
    found, sections = outline(events, " ".join(tidy(str(title or "")).split()))
    return Outline(found, sections, hidden=sum((hidden for _, hidden in pages), Hidden()))


def _shown(page: PageObject) -> tuple[str, Hidden]:
    """Return what can be read on a page, and what is too small for that."""
    small: list[str] = []

    def look(text: str, cm: list[float], tm: list[float], _: object, size: float) -> None:
        scale = math.sqrt(abs((cm[0] * cm[3] - cm[1] * cm[2]) * (tm[0] * tm[3] - tm[1] * tm[2])))
        if text.strip() and 0 < size * scale < _SMALLEST:
            small.append(text)

    shown = page.extract_text(visitor_text=look)
    for text in small:
        shown = shown.replace(text.strip(), "", 1)
    return tidy(shown), hidden_passage(" ".join(small))


def _bookmarks(reader: object) -> dict[int, list[tuple[int, str]]]:
    """Return the bookmarks of a PDF by page: their levels and names."""
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
    return found
