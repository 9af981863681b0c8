"""Whether the current release has a document; a server, which needs no DuckDB, never asks."""

from __future__ import annotations

import difflib
from pathlib import Path

from rag.errors import ConfigurationError
from warehouse.releases.changes import documents_of, previous_database


def refuse_unknown_document(data: Path, collection: str, document_id: str) -> None:
    """Refuse a document that the current release lacks: a misspelt withdrawal protects nobody.

    Raises:
        ConfigurationError: the release has no such document; the message suggests similar ones.
    """
    database = previous_database(data)
    known = documents_of(database).get(collection, set()) if database else {document_id}
    if document_id not in known:
        close = difflib.get_close_matches(document_id, known, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "`SELECT document_id FROM documents` lists them"
        raise ConfigurationError(f"{document_id}: the current release has no such document in {collection}; {hint}")
