"""The passages that an answer of a release rests on, as a reviewer sees them and a decision records them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import duckdb

from rag.filters import Filters, filters_from
from warehouse.editorial.sources import Source
from warehouse.sql import sql_text


@dataclass(frozen=True)
class Evidence:
    """A passage of an answer; a curated answer may cite a whole document, which has no text here."""

    number: int
    kind: str
    document_id: str
    chunk_id: str
    title: str
    uri: str
    heading: str
    text: str
    content_hash: str
    url: str = ""

    def as_source(self) -> Source:
        """Return the passage as a decision records it."""
        return Source(
            self.number,
            self.kind,
            self.document_id,
            self.chunk_id,
            self.title,
            self.uri,
            self.heading,
            self.content_hash,
        )


def evidence_of(connection: duckdb.DuckDBPyConnection, query_keys: Iterable[str]) -> Mapping[str, tuple[Evidence, ...]]:
    """Return the passages of answers by query key, in the order of their numbers."""
    found: dict[str, tuple[Evidence, ...]] = {}
    for key, *fields in connection.execute(sql_text("queue_evidence.sql"), [list(query_keys)]).fetchall():
        found[key] = (*found.get(key, ()), Evidence(*fields))
    return found


def filters_of(connection: duckdb.DuckDBPyConnection, query_keys: Iterable[str]) -> Mapping[str, Filters]:
    """Return the filters of questions by query key, of those that have some."""
    rows = connection.execute(sql_text("question_filters.sql"), [list(query_keys)]).fetchall()
    return {key: filters_from(json.loads(filters)) for key, filters in rows}
