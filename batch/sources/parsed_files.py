"""Parsed documents in files, while it is decided which of them are kept.

A runner holds in memory what it groups; so it groups places, and texts wait here, a few megabytes in a file.
"""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from batch.reading.document import Document
from batch.stores.parquet import read_bytes, write_bytes

_LARGEST = 4_000_000  # characters in a file, unless one document is larger


@dataclass(frozen=True)
class ParsedDocument:
    """What decides whether a document is kept; it is document `number` of a `file` of this module.

    It was read from the source `name` at `path`.
    """

    collection: str
    document_id: str
    path: str
    name: str
    uri: str
    content_hash: str
    file: str
    number: int

    @property
    def key(self) -> tuple[str, str]:
        """The collection and the id that it claims."""
        return self.collection, self.document_id

    @property
    def is_row(self) -> bool:
        """Whether it is one of many in its file."""
        return self.uri != self.name


class ParsedFiles:
    """Writes documents into files of a folder; what is yielded is theirs once the file is written."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._documents: list[tuple[str, str, Document]] = []
        self._characters = 0

    def add(self, path: str, name: str, document: Document) -> Iterator[ParsedDocument]:
        """Take a document that was read from a source; yields those of a file that is full with it."""
        self._documents.append((path, name, document))
        self._characters += sum(len(each.text) for each in document.sections)
        if self._characters >= _LARGEST:
            yield from self.written()

    def written(self) -> Iterator[ParsedDocument]:
        """Write what is left, and yield it."""
        taken, self._documents, self._characters = self._documents, [], 0
        if not taken:
            return
        file = f"{self._folder}/{uuid.uuid4().hex}.parsed"
        write_bytes(file, pickle.dumps([document for _, _, document in taken], protocol=5))
        for number, (path, name, document) in enumerate(taken):
            yield ParsedDocument(
                document.collection,
                document.document_id,
                path,
                name,
                document.uri,
                document.content_hash,
                file,
                number,
            )


def read_parsed(file: str) -> list[Document]:
    """Read a file's documents."""
    documents: list[Document] = pickle.loads(read_bytes(file))
    return documents
