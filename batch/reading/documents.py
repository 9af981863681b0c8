"""Documents: from the bytes of a file to titled sections.

Pure: bytes in, documents and rejects out; listing folders and opening URLs is done elsewhere. A file's ending decides
its format. A document's id is its path below the folder that is listed, so it is the same across machines and runs.
A row's id is its own, else from its title, else from its content; never its number, which every insertion above
would change.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from batch.reading.asciidoc import read_asciidoc
from batch.reading.hidden_text import Hidden, without_invisible
from batch.reading.html import read_html
from batch.reading.markdown import read_markdown, read_mdx
from batch.reading.outline import Outline, Section
from batch.reading.plain_text import read_text
from batch.reading.restructuredtext import read_restructuredtext
from rag.errors import DocumentError
from rag.identity import stable_hash
from rag.text.decoding import decode, tidy
from rag.text.table_files import ROW_ENDINGS, Reject, Row, ending, read_rows

_READERS = {
    ".md": (read_markdown, "text/markdown"),
    ".markdown": (read_markdown, "text/markdown"),
    ".html": (read_html, "text/html"),
    ".htm": (read_html, "text/html"),
    ".mdx": (read_mdx, "text/markdown"),
    ".qmd": (read_markdown, "text/markdown"),
    ".adoc": (read_asciidoc, "text/asciidoc"),
    ".asciidoc": (read_asciidoc, "text/asciidoc"),
    ".txt": (read_text, "text/plain"),
    ".rst": (read_restructuredtext, "text/x-rst"),
}
_TEXT_COLUMNS = ("text", "content", "body")
_LONGEST_TITLE = 160  # characters; a longer one would fill every chunk
_LONGEST_DOCUMENT = 32_000_000  # bytes: far above any book, far below what exhausts a worker

READABLE = frozenset(_READERS) | ROW_ENDINGS
"""The endings that are read in a listed folder; a file that is named itself may have any ending."""


@dataclass(frozen=True)
class Document:
    """A document as it was read; `uri` says where it came from, `content_hash` covers title and sections."""

    collection: str
    document_id: str
    uri: str
    title: str
    media_type: str
    sections: tuple[Section, ...]
    content_hash: str
    fields: Mapping[str, object] = field(default_factory=dict)
    hidden: Hidden = field(default_factory=Hidden)

    @property
    def text(self) -> str:
        """The whole text with its headings, without the title."""
        return "\n\n".join(f"{s.heading}\n\n{s.text}" if s.heading else s.text for s in self.sections)


def file_id(name: str) -> str:
    """Return the id of the document in a file, by the file's name."""
    return unicodedata.normalize("NFC", name.replace("\\", "/").removeprefix("./"))


def with_file(document: Document, name: str) -> Document:
    """Return a row's document with its file's name in its id, for when another file has a row of the same id."""
    return replace(document, document_id=f"{file_id(name)}#{document.document_id}")


def parse(name: str, data: bytes, collection: str, max_bytes: int = _LONGEST_DOCUMENT) -> Iterator[Document | Reject]:
    """Read the documents of one file: one from a page, many from a file of rows.

    `name` is the path below the folder that is listed, with "/" between its parts. `max_bytes` limits one document.
    Nothing in a file raises: what can't be read is yielded as a `Reject`.
    """
    try:
        if ending(name) in ROW_ENDINGS:
            yield from _parse_rows(name, data, collection, max_bytes)
        else:
            yield _parse_page(name, data, collection, max_bytes)
    except DocumentError as error:
        yield Reject(name, str(error))


def _parse_page(name: str, data: bytes, collection: str, max_bytes: int) -> Document:
    _check_size(len(data), max_bytes)
    read, media_type = _READERS.get(ending(name), (read_text, "text/plain"))
    text, invisible = without_invisible(tidy(decode(data)))
    page = read(text)
    page = replace(page, title=page.title or _title_from(name), hidden=page.hidden + invisible)
    return _document(collection, file_id(name), name, media_type, page)


def _parse_rows(name: str, data: bytes, collection: str, max_bytes: int) -> Iterator[Document | Reject]:
    used: dict[str, str] = {}
    unnamed: Counter[str] = Counter()
    rows = 0
    for row in read_rows(name, data, _TEXT_COLUMNS, ("id", "title", "uri", "url")):
        rows += 1
        if isinstance(row, Reject):
            yield row
            continue
        try:
            document = _document_of_row(name, row, collection, unnamed, max_bytes)
            first = used.setdefault(document.document_id, row.place)
            if first != row.place:
                raise DocumentError(f"the id {document.document_id!r} is already that of {first}")  # noqa: TRY301
            yield document
        except DocumentError as error:
            yield Reject(f"{name}, {row.place}", str(error))
    if not rows:
        raise DocumentError("empty: there are no rows in it")


def _document_of_row(name: str, row: Row, collection: str, unnamed: Counter[str], max_bytes: int) -> Document:
    text = next((row.values[column] for column in _TEXT_COLUMNS if column in row.values), "")
    if not isinstance(text, str):
        raise DocumentError(f"its text is not a string but of type {type(text).__name__}")
    _check_size(len(text.encode("utf-8", "surrogatepass")), max_bytes)
    own_id, title = _short(row, "id"), _short(row, "title")
    page = read_text(tidy(text))
    document_id = own_id or _id_of_row(name, title, text, unnamed)
    uri = _short(row, "uri") or _short(row, "url") or f"{name}#{document_id.partition('#')[2] or document_id}"
    title = title or " ".join(filter(None, (_title_from(name), own_id)))
    return _document(collection, document_id, uri, "text/plain", replace(page, title=title))


def _document(collection: str, document_id: str, uri: str, media_type: str, page: Outline) -> Document:
    if not page.sections:
        raise DocumentError("empty: there is no text in it")
    title = _cut(" ".join(page.title.split()), _LONGEST_TITLE)
    digest = stable_hash(title, [[section.heading, section.text] for section in page.sections])
    return Document(
        collection, document_id, uri, title, media_type, tuple(page.sections), digest, page.fields, page.hidden
    )


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise DocumentError(f"too large ({size:,} bytes, at most {limit:,}): split it into several documents")


def _short(row: Row, column: str) -> str:
    value = row.values.get(column, "")
    return " ".join(tidy(str(value)).split())


def _id_of_row(name: str, title: str, text: str, unnamed: Counter[str]) -> str:
    part = re.sub(r"\W+", "-", title.lower()).strip("-")[:60] or stable_hash(text)[:12]
    unnamed[part] += 1
    suffix = f"-{unnamed[part]}" if unnamed[part] > 1 else ""
    return f"{file_id(name)}#{part}{suffix}"


def _title_from(name: str) -> str:
    stem = PurePosixPath(file_id(name)).stem
    return re.sub(r"[-_\s]+", " ", stem).strip() or stem


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1].rsplit(" ", 1)[0] + "…"
