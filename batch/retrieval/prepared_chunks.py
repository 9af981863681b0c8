"""The chunks of a run, as the stages after `prepare` read them: by id, with their documents' titles."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from typing import TypedDict

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batch.reading.chunking import Chunk, embedded_text
from batch.stores.parquet import list_files, read_bytes, read_rows, read_table, table_rows
from rag.identity import stable_hash
from rag.retrieval.passages import StoredChunk
from rag.text.languages import language_code
from warehouse.tables import CHUNKS, ChunkRow


class DocumentName(TypedDict):
    """The columns of the documents table that say what a document is called and where it came from."""

    collection: str
    document_id: str
    title: str
    uri: str


@functools.lru_cache(maxsize=2)
def document_names(prepared: str) -> Mapping[tuple[str, str], DocumentName]:
    """Return the names of each (collection, document id); read once per process and run."""
    return {(row["collection"], row["document_id"]): row for row in read_rows(f"{prepared}/documents", DocumentName)}


def own_languages(prepared: str, collection: str) -> dict[str, str]:
    """Return the languages of the documents whose metadata names one that is known, by document id."""
    found: dict[str, str] = {}
    for path in list_files(f"{prepared}/documents/*.parquet"):
        table = pq.read_table(pa.BufferReader(read_bytes(path)))
        if "metadata" in table.column_names:
            table = table.filter(pc.equal(table["collection"], collection))
            for document, fields in zip(table["document_id"].to_pylist(), table["metadata"].to_pylist(), strict=True):
                named = next(
                    (values[0] for name, values in fields or () if name in ("language", "lang") and values), ""
                )
                with contextlib.suppress(ValueError):  # a field of that name may say something else
                    found[document] = language_code(named)
    return found


def chunk_text(row: ChunkRow, title: str) -> str:
    """Return the text of a chunk as it is embedded."""
    return embedded_text(title, Chunk(**row))


def chunk_text_hash(content_hash: str) -> str:
    """Return a chunk's key in the embedding store: its content hash covers title, heading and text."""
    return stable_hash("chunk", content_hash)


def collection_chunks(prepared: str, collection: str) -> list[ChunkRow]:
    """Return a collection's chunks, in the order of the documents' text."""
    chunks = read_table(f"{prepared}/chunks", CHUNKS)
    return table_rows(chunks.filter(pc.equal(chunks["collection"], collection)), ChunkRow)


@functools.lru_cache(maxsize=8)
def load_chunks(prepared: str, collection: str) -> Mapping[str, StoredChunk]:
    """Read a collection's chunks by id, with their documents' titles and neighbours; once per process and run."""
    names = document_names(prepared)
    rows = sorted(collection_chunks(prepared, collection), key=lambda row: (row["document_id"], row["position"]))
    found: dict[str, StoredChunk] = {}
    for before, row, after in zip([None, *rows], rows, [*rows[1:], None], strict=False):
        name = names[collection, row["document_id"]]
        found[row["chunk_id"]] = StoredChunk(
            chunk_id=row["chunk_id"],
            document_id=row["document_id"],
            title=name["title"],
            uri=name["uri"],
            heading=row["heading"],
            text=row["text"],
            content_hash=row["content_hash"],
            previous=before["chunk_id"] if before and before["document_id"] == row["document_id"] else "",
            following=after["chunk_id"] if after and after["document_id"] == row["document_id"] else "",
            tokens=row["tokens"],
            position=row["position"],
        )
    return found
