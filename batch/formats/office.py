"""PDF, Office files and e-books, by the extra `office`: pypdf, mammoth, python-pptx and openpyxl.

They take 25 MB, where docling, which reads layouts and pictures too, needs models of its own. E-books are HTML, packed.
"""

from __future__ import annotations

import importlib.util
import posixpath
import re
from collections.abc import Callable
from dataclasses import replace

from batch.formats.html import read_html
from batch.formats.outline import Hidden, Outline, Section
from batch.formats.packed import open_packed, safe_xml
from batch.formats.pdf import read_pdf
from batch.formats.slides import read_pptx
from batch.formats.word import read_docx
from batch.formats.workbooks import read_xlsx
from rag.errors import DocumentError
from rag.text.decoding import tidy

_PACKAGES = {".pdf": "pypdf", ".docx": "mammoth", ".pptx": "pptx", ".xlsx": "openpyxl", ".epub": "zipfile"}

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


def _epub(data: bytes) -> Outline:
    book = open_packed(data)
    container = book.read("META-INF/container.xml").decode("utf-8", "replace")
    root = re.search(r"full-path=[\"']([^\"']+)", container)
    if root is None:
        raise DocumentError("not an e-book: its container names no package; save it anew")
    package = safe_xml(book.read(root.group(1)))
    names = {item.get("id"): item.get("href") for item in package.iter() if item.tag.endswith("}item")}
    order = [names.get(each.get("idref")) for each in package.iter() if each.tag.endswith("}itemref")]
    title = next((each.text or "" for each in package.iter() if each.tag.endswith("}title")), "")
    folder = posixpath.dirname(root.group(1))
    sections: list[Section] = []
    hidden = Hidden()
    for name in filter(None, order):
        page = read_html(tidy(book.read(posixpath.normpath(posixpath.join(folder, name))).decode("utf-8", "replace")))
        hidden += page.hidden
        sections += [
            replace(each, heading=" › ".join(dict.fromkeys(filter(None, (page.title, each.heading)))))  # noqa: RUF001
            for each in page.sections
        ]
    return Outline(" ".join(title.split()), sections, hidden=hidden)


_READERS: dict[str, Callable[[bytes], Outline]] = {
    ".pdf": read_pdf, ".docx": read_docx, ".pptx": read_pptx, ".xlsx": read_xlsx, ".epub": _epub,
}  # fmt: skip
