"""Slides, by python-pptx: each becomes a section of Markdown under its title, without speakers' notes.

Slides and shapes that are hidden are left out, counted and told.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from batch.formats.hidden_text import hidden_passage
from batch.formats.markdown import read_markdown
from batch.formats.outline import Outline
from batch.formats.packed import NO, YES
from batch.formats.pipe_tables import pipe_table
from rag.text.decoding import tidy

if TYPE_CHECKING:
    from pptx.shapes.base import BaseShape
    from pptx.slide import Slide


@dataclass
class _Read:
    shown: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)


def read_pptx(data: bytes) -> Outline:
    """Return the outline of a presentation."""
    import pptx

    read = _Read()
    for slide in pptx.Presentation(io.BytesIO(data)).slides:
        _read_slide(slide, read)
    page = read_markdown(tidy("\n\n".join(read.shown)))
    return replace(page, hidden=page.hidden + hidden_passage(" ".join(read.hidden)))


def _read_slide(slide: Slide, read: _Read) -> None:
    shown = slide.element.get("show", "1") not in NO
    title = slide.shapes.title
    name = " ".join(title.text_frame.text.split()) if title is not None else ""
    (read.shown if shown else read.hidden).append(f"## {name}" if name and shown else name)
    for shape, seen in _shapes(slide.shapes, seen=shown):
        text = "" if title is not None and shape.shape_id == title.shape_id else _text(shape)
        (read.shown if seen else read.hidden).append(text)


def _shapes(shapes: object, *, seen: bool) -> Iterator[tuple[BaseShape, bool]]:
    """Yield the shapes, those in groups too, and whether each is seen."""
    for shape in shapes:  # type: ignore[attr-defined]
        own = next(shape.element.iter("{*}cNvPr"))  # those of a group's members come after it
        kept = seen and own.get("hidden") not in YES
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes, seen=kept)
        else:
            yield shape, kept


def _text(shape: BaseShape) -> str:
    if getattr(shape, "has_table", False):
        return pipe_table([[cell.text for cell in row.cells] for row in shape.table.rows])
    if not shape.has_text_frame:
        return ""
    paragraphs = shape.text_frame.paragraphs
    return "\n".join(("  " * each.level + "- ") + each.text for each in paragraphs if each.text.strip())
