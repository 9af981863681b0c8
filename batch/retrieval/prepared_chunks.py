"""The chunks of a run, as the stages after `prepare` read them: by id, with their documents' titles.

Chunks are read in blocks, and what grows with their number is mapped from a file (`batch.retrieval.chunk_file`).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batch.reading.chunking import Chunk, embedded_text
from batch.retrieval.chunk_file import ChunkFile, Entry
from batch.stores.parquet import file_batches, list_files, read_bytes, read_table, table_rows
from rag.identity import stable_hash
from rag.retrieval.passages import StoredChunk
from rag.text.languages import language_code
from warehouse.tables import CHUNKS, DOCUMENTS, ChunkRow

_BLOCK = 4_096  # chunks
_UNLIKELY = "\x1f"  # between a collection and an id


@functools.lru_cache(maxsize=2)
def _names(prepared: str) -> pa.Table:
    """Return what each document is called and where it came from; read once per process and run."""
    table = read_table(f"{prepared}/documents", DOCUMENTS, ["collection", "document_id", "title", "uri"])
    return table.append_column("key", _document_keys(table)).select(["key", "title", "uri"]).combine_chunks()


def _document_keys(table: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(table["collection"], table["document_id"], _UNLIKELY)


def _named(prepared: str, chunks: pa.Table) -> pa.Table:
    """Return chunks with the titles and addresses of their documents as further columns."""
    names = _names(prepared)
    rows = pc.index_in(_document_keys(chunks), names["key"])
    return chunks.append_column("title", names["title"].take(rows)).append_column("uri", names["uri"].take(rows))


def chunk_blocks(prepared: str, path: str, most: int = _BLOCK) -> Iterator[Iterator[tuple[ChunkRow, str]]]:
    """Yield the chunks of a file with the titles of their documents, in blocks of at most so many.

    A block that nobody goes through takes no time.
    """
    for table in file_batches(path, CHUNKS, most):
        yield _titled(prepared, table)


def _titled(prepared: str, table: pa.Table) -> Iterator[tuple[ChunkRow, str]]:
    titles = _named(prepared, table)["title"].to_pylist()
    yield from zip(table_rows(table, ChunkRow), titles, strict=True)


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


def collection_chunks(prepared: str, collection: str) -> Iterator[ChunkRow]:
    """Yield a collection's chunks, in the order of the table's files."""
    for path in list_files(f"{prepared}/chunks/*.parquet"):
        for table in file_batches(path, CHUNKS, _BLOCK):
            yield from table_rows(table.filter(pc.equal(table["collection"], collection)), ChunkRow)


def chunk_places(prepared: str, collection: str) -> pa.Table:
    """Return ids and content hashes of a collection's chunks, in the order of the documents' texts."""
    columns = ["collection", "chunk_id", "document_id", "position", "content_hash"]
    table = read_table(f"{prepared}/chunks", CHUNKS, columns)
    table = table.filter(pc.equal(table["collection"], collection)).drop_columns("collection")
    return table.sort_by([("document_id", "ascending"), ("position", "ascending")]).combine_chunks()


@functools.lru_cache(maxsize=8)
def load_chunks(prepared: str, collection: str) -> ChunkFile:
    """Map a collection's chunks by id, with their documents' titles and neighbours; once per process and run."""
    places = chunk_places(prepared, collection)
    return ChunkFile.write(_entries(prepared, collection, places))


def _entries(prepared: str, collection: str, places: pa.Table) -> Iterator[Entry]:
    ids, documents = places["chunk_id"], places["document_id"]
    for path in list_files(f"{prepared}/chunks/*.parquet"):
        for block in file_batches(path, CHUNKS, _BLOCK):
            table = _named(prepared, block.filter(pc.equal(block["collection"], collection)))
            at = pc.index_in(table["chunk_id"], ids)
            before = _beside(ids, documents, at, -1)
            after = _beside(ids, documents, at, 1)
            for place, row, previous, following in zip(at.to_pylist(), table.to_pylist(), before, after, strict=True):
                yield (
                    place,
                    StoredChunk(
                        chunk_id=row["chunk_id"],
                        document_id=row["document_id"],
                        title=row["title"],
                        uri=row["uri"],
                        heading=row["heading"],
                        text=row["text"],
                        content_hash=row["content_hash"],
                        previous=previous,
                        following=following,
                        tokens=row["tokens"],
                        position=row["position"],
                    ),
                )


def _beside(ids: pa.ChunkedArray, documents: pa.ChunkedArray, at: pa.ChunkedArray, step: int) -> list[str]:
    """Return the ids of the chunks so many places farther, "" where that is another document."""
    if not len(at):
        return []
    there = pc.max_element_wise(pc.min_element_wise(pc.add(at, step), len(ids) - 1), 0)
    same = pc.and_(
        pc.equal(documents.take(there), documents.take(at)),
        pc.equal(pc.subtract(there, at), pa.scalar(step, pa.int32())),
    )
    found: list[str] = pc.if_else(same, ids.take(there), "").to_pylist()
    return found
