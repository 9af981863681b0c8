"""Documents: from the bytes of a file to titled sections.

Pure: bytes in, documents and rejects out; listing folders and opening URLs is done elsewhere. A file's ending decides
its format. A document's id is its path below the folder that is listed, so it is the same across machines and runs.
A row's id is its own, else from its title, else from its content; never its number, which every insertion above
would change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from batch.formats.encodings import decode_document
from batch.formats.hidden_text import without_invisible
from batch.formats.includes import unread_includes
from batch.formats.office import OFFICE_ENDINGS, read_office
from batch.formats.readers import READERS, read_undeclared
from batch.reading.document import Document, check_size, document_of, file_id, title_from
from batch.reading.document_rows import parse_rows
from rag.errors import DocumentError
from rag.text.decoding import tidy
from rag.text.table_files import ROW_ENDINGS, Reject, ending

_LONGEST_DOCUMENT = 32_000_000  # bytes: far above any book, far below what exhausts a worker


def parse(
    name: str, data: bytes, collection: str, max_bytes: int = _LONGEST_DOCUMENT, encoding: str | None = None
) -> Iterator[Document | Reject]:
    """Read the documents of one file: one from a page, many from a file of rows.

    `name` is the path below the corpus root, with "/" between its parts. `max_bytes` limits one
    document, `encoding` is that of the collection's files where it is not UTF-8. Nothing is raised for
    what a file holds: what can't be read comes out as a `Reject`.
    """
    try:
        if ending(name) in ROW_ENDINGS:
            yield from parse_rows(name, data, collection, max_bytes, encoding)
        else:
            yield _parse_page(name, data, collection, max_bytes, encoding)
    except DocumentError as error:
        yield Reject(name, str(error))


def _parse_page(name: str, data: bytes, collection: str, max_bytes: int, encoding: str | None) -> Document:
    check_size(len(data), max_bytes)
    kind, included = ending(name), ""
    if kind in OFFICE_ENDINGS:
        page, media_type = read_office(kind, data), f"application/{kind.removeprefix('.')}"
    else:
        read, media_type = READERS.get(kind, (read_undeclared, "text/plain"))
        text, invisible = without_invisible(tidy(decode_document(data, encoding, html=kind in {".html", ".htm"})))
        page, included = read(text), unread_includes(kind, text)
        page = replace(page, hidden=page.hidden + invisible)
    return replace(document_of(collection, file_id(name), name, media_type, page, title_from(name)), included=included)
