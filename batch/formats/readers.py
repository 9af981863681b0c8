"""Which reader reads what: by a file's ending, or by the text itself where it has none that tells."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from batch.formats.asciidoc import read_asciidoc
from batch.formats.html import read_html
from batch.formats.markdown import read_markdown, read_mdx
from batch.formats.notebooks import read_notebook
from batch.formats.outline import Outline
from batch.formats.plain_text import read_text
from batch.formats.restructuredtext import is_restructuredtext, read_restructuredtext
from rag.text.table_files import ROW_ENDINGS


class Reader(Protocol):
    """Reads a text; `title` is what the page is called where that is known already."""

    def __call__(self, text: str, title: str = "") -> Outline:
        """Return the outline of the text."""


_TAGS = re.compile(
    r"<(?:/?(?:p|div|h[1-6]|ul|ol|li|table|tr|td|th|span|strong|em|b|i|a|section|article|blockquote|pre)(?:\s[^<>]*)?"
    r"|(?:br|img|hr)\b[^<>]*|!doctype\b[^<>]*|(?:html|script|style|iframe)\b[^<>]*)>",
    re.IGNORECASE,
)
_MARKDOWN = re.compile(
    r"^ {0,3}#{1,6}[ \t]+\S|^[ \t]*(?:`{3,}|~{3,})[^`\n]*$|!?\[[^\]\n]*\]\([^)\s]+(?:\s+\"[^\"\n]*\")?\)"
    r"|^[ \t]*\|.*\n[ \t]*\|?[ \t]*:?-+:?[ \t]*\|[-:| \t]*$|\*\*\S[^*\n]*\*\*",
    re.MULTILINE,
)
_MEDIA_TYPES: Mapping[str, Reader] = {
    "text/html": read_html, "text/markdown": read_markdown, "text/x-rst": read_restructuredtext,
    "text/asciidoc": read_asciidoc, "text/plain": read_text,
}  # fmt: skip
_NAMES = {
    "html": "text/html", "htm": "text/html", "md": "text/markdown", "markdown": "text/markdown",
    "commonmark": "text/markdown", "mdx": "text/markdown", "rst": "text/x-rst", "restructuredtext": "text/x-rst",
    "adoc": "text/asciidoc", "asciidoc": "text/asciidoc", "text": "text/plain", "plain": "text/plain",
    "txt": "text/plain", "plaintext": "text/plain",
} | {name: name for name in _MEDIA_TYPES}  # fmt: skip


def read_undeclared(text: str, title: str = "") -> Outline:
    """Return the outline of a `.txt` file: plain text, or reStructuredText where its directives tell."""
    read = read_restructuredtext if is_restructuredtext(text) else read_text
    return read(text, title)


READERS: Mapping[str, tuple[Reader, str]] = {
    ".md": (read_markdown, "text/markdown"),
    ".markdown": (read_markdown, "text/markdown"),
    ".mdx": (read_mdx, "text/markdown"),
    ".qmd": (read_markdown, "text/markdown"),
    ".html": (read_html, "text/html"),
    ".htm": (read_html, "text/html"),
    ".txt": (read_undeclared, "text/plain"),
    ".rst": (read_restructuredtext, "text/x-rst"),
    ".adoc": (read_asciidoc, "text/asciidoc"),
    ".asciidoc": (read_asciidoc, "text/asciidoc"),
    ".ipynb": (read_notebook, "application/x-ipynb+json"),
}
READABLE = frozenset(READERS) | ROW_ENDINGS
"""The endings that are read when a folder is listed; a file that is named itself may have any."""


def reader_of_text(text: str, declared: str = "") -> tuple[Reader, str]:
    """Return the reader and the media type of a row's text: those that the row declares, or what it looks like."""
    media_type = _NAMES.get(declared.strip().lower())
    if media_type is None:
        tags = _TAGS.findall(text[:200_000])
        prose = re.sub(r"```.*?(?:```|\Z)|`[^`\n]*`", "", text, flags=re.DOTALL) if tags and "`" in text else text
        if tags and (len(_TAGS.findall(prose[:200_000])) > 1 or text.lstrip().startswith("<")):
            media_type = "text/html" if not _HEADING.search(prose) else "text/markdown"
        else:
            media_type = "text/markdown" if _MARKDOWN.search(text) else "text/plain"
    return _MEDIA_TYPES[media_type], media_type


_HEADING = re.compile(r"^#{1,6}[ \t]+\S|^[ \t]*```", re.MULTILINE)
