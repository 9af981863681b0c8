"""Word files, by mammoth: they become HTML and are read as such, without the runs of text that Word doesn't show."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from xml.etree import ElementTree

from batch.formats.hidden_text import hidden_passage
from batch.formats.html import read_html
from batch.formats.outline import Hidden, Outline
from batch.formats.packed import NO, open_packed, safe_xml

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_TEXTS = ("word/document.xml", "word/footnotes.xml", "word/endnotes.xml")
_SMALLEST = 3  # half points; nobody reads smaller letters


def read_docx(data: bytes) -> Outline:
    """Return the outline of a Word file.

    Raises:
        DocumentError: it is no such file, or too large when it is unpacked.
    """
    import mammoth

    shown, hidden = _shown(data)
    html = mammoth.convert_to_html(io.BytesIO(shown), convert_image=mammoth.images.img_element(lambda _: {"src": ""}))
    page = read_html(f"<main>{html.value}</main>")
    return replace(page, hidden=page.hidden + hidden)


def _shown(data: bytes) -> tuple[bytes, Hidden]:
    """Return a file without its hidden runs, the headers of its tables marked, and what was hidden."""
    with open_packed(data) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    styles = _hiding_styles(parts.get("word/styles.xml"))
    found = Hidden()
    for name in filter(parts.__contains__, _TEXTS):
        tree = safe_xml(parts[name])
        _name_headers(tree)
        found += _take_hidden(tree, styles)
        parts[name] = ElementTree.tostring(tree, encoding="utf-8", xml_declaration=True)
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as book:
        for name, part in parts.items():
            book.writestr(name, part)
    return sink.getvalue(), found


def _name_headers(tree: ElementTree.Element) -> None:
    """Mark the first row of a table as its header where Word shows it as one."""
    for table in tree.iter(f"{_W}tbl"):
        look, row = table.find(f"{_W}tblPr/{_W}tblLook"), table.find(f"{_W}tr")
        if look is None or row is None or not _shows_header(look):
            continue
        properties = row.find(f"{_W}trPr")
        if properties is None:
            properties = ElementTree.Element(f"{_W}trPr")
            row.insert(0, properties)
        if properties.find(f"{_W}tblHeader") is None:
            ElementTree.SubElement(properties, f"{_W}tblHeader")


def _shows_header(look: ElementTree.Element) -> bool:
    said = look.get(f"{_W}firstRow")
    if said is not None:
        return said not in NO
    return bool(int(look.get(f"{_W}val", "0"), 16) & 0x20)


def _hiding_styles(part: bytes | None) -> frozenset[str]:
    if part is None:
        return frozenset()
    styles = safe_xml(part).iter(f"{_W}style")
    return frozenset(style.get(f"{_W}styleId", "") for style in styles if _is_hidden(style.find(f"{_W}rPr")))


def _is_hidden(properties: ElementTree.Element | None) -> bool:
    """Whether the properties of a run or a style hide its text."""
    if properties is None:
        return False
    vanish, size = properties.find(f"{_W}vanish"), properties.find(f"{_W}sz")
    if vanish is not None and vanish.get(f"{_W}val", "1") not in NO:
        return True
    value = "" if size is None else size.get(f"{_W}val", "")
    return value.isdecimal() and int(value) <= _SMALLEST


def _take_hidden(tree: ElementTree.Element, styles: frozenset[str]) -> Hidden:
    """Empty the runs that are hidden, and return what they said."""
    said: list[str] = []
    for paragraph in tree.iter(f"{_W}p"):
        whole = _style(paragraph.find(f"{_W}pPr"), "pStyle") in styles
        for run in paragraph.iter(f"{_W}r"):
            properties = run.find(f"{_W}rPr")
            if whole or _is_hidden(properties) or _style(properties, "rStyle") in styles:
                said += [text.text or "" for text in run.iter(f"{_W}t")]
                run.clear()
    return hidden_passage(" ".join(said))


def _style(properties: ElementTree.Element | None, name: str) -> str | None:
    style = None if properties is None else properties.find(f"{_W}{name}")
    return None if style is None else style.get(f"{_W}val")
