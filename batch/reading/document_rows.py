"""Documents from the rows of a table: a row is a document, or a question with its answer.

A row's text is read as what it is: HTML or Markdown where a column `format` says so or the text shows it. Further
columns are the document's fields.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from batch.formats.front_matter import plain_fields
from batch.formats.hidden_text import without_invisible
from batch.formats.readers import reader_of_text
from batch.reading.document import Document, check_size, document_of, file_id, title_from
from rag.errors import DocumentError
from rag.identity import stable_hash
from rag.text.decoding import tidy
from rag.text.table_files import Reject, Row, read_rows

_TEXT_COLUMNS = ("text", "content", "body")
_PAIR = ("question", "answer")
_ADDRESS_COLUMNS = ("uri", "url", "link")
_FORMAT_COLUMNS = ("format", "content_type", "mime_type")


def parse_rows(
    name: str, data: bytes, collection: str, max_bytes: int, encoding: str | None = None
) -> Iterator[Document | Reject]:
    """Yield the documents of a file of rows.

    Raises:
        DocumentError: the file as a whole can't be read, or has no rows.
    """
    used: dict[str, str] = {}
    unnamed: Counter[str] = Counter()
    rows = 0
    optional = ("id", "title", *_ADDRESS_COLUMNS, *_FORMAT_COLUMNS)
    for row in read_rows(name, data, _TEXT_COLUMNS, optional, instead=_PAIR, others=True, encoding=encoding):
        rows += 1
        if isinstance(row, Reject):
            yield row
            continue
        try:
            document = _document(name, row, collection, unnamed, max_bytes)
            first = used.setdefault(document.document_id, row.place)
            if first != row.place:
                raise DocumentError(f"the id {document.document_id!r} is already that of {first}")  # noqa: TRY301
            yield document
        except DocumentError as error:
            yield Reject(f"{name}, {row.place}", str(error))
    if not rows:
        raise DocumentError("empty: there are no rows in it")


def _document(name: str, row: Row, collection: str, unnamed: Counter[str], max_bytes: int) -> Document:
    text = next((row.values[column] for column in (*_TEXT_COLUMNS, "answer") if column in row.values), "")
    if not isinstance(text, str):
        raise DocumentError(f"its text is not a string but of type {type(text).__name__}")
    check_size(len(text.encode("utf-8", "surrogatepass")), max_bytes)
    own_id, title = _short(row, "id"), _short(row, "title", "question")
    shown, invisible = without_invisible(tidy(text))
    read, media_type = reader_of_text(shown, _short(row, *_FORMAT_COLUMNS))
    page = read(shown, title)
    document_id = own_id or _id_of_row(name, title, text, unnamed)
    uri = _short(row, *_ADDRESS_COLUMNS) or f"{name}#{document_id.partition('#')[2] or document_id}"
    fields = {**page.fields, **plain_fields(row.others)}
    page = replace(page, fields=fields, hidden=page.hidden + invisible)
    instead = " ".join(filter(None, (title_from(name), own_id)))
    return document_of(collection, document_id, uri, media_type, page, instead)


def _short(row: Row, *columns: str) -> str:
    """Return the first of the columns that has a value, on one line."""
    texts = (" ".join(tidy(str(row.values[column])).split()) for column in columns if column in row.values)
    return next(filter(None, texts), "")


def _id_of_row(name: str, title: str, text: str, unnamed: Counter[str]) -> str:
    part = re.sub(r"\W+", "-", title.lower()).strip("-")[:60] or stable_hash(text)[:12]
    unnamed[part] += 1
    suffix = f"-{unnamed[part]}" if unnamed[part] > 1 else ""
    return f"{file_id(name)}#{part}{suffix}"
