"""Index: chunks into vectors, vectors and words into the indexes of each collection.

Writes `<out>/<collection>/passages.faiss`, `passages.ids`, `lexical/` and, for late interaction, `tokens/`, as a
release carries them; where the collection declares filters, also the marks of the chunks (`passages.groups.…`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import apache_beam as beam
import pyarrow.compute as pc

from batch.pipeline import running_pipeline
from batch.plan import Figures, RunPlan
from batch.retrieval.index_building import build_indexes
from batch.retrieval.prepared_chunks import chunk_text, chunk_text_hash, document_names
from batch.stores.embedding_store import embed_missing, known_hashes
from batch.stores.parquet import file_batches, list_files, read_table, table_rows
from batch.stores.token_store import known_token_hashes
from warehouse.tables import CHUNKS, ChunkRow

STAGE = "index"
_BLOCK = 8_192  # chunks


def index(plan: RunPlan) -> Figures:
    """Embed the chunks whose vectors are not known, and build each collection's indexes."""
    prepared = plan.folder("prepare")
    chunks = read_table(f"{prepared}/chunks", CHUNKS, ["content_hash"])
    hashes = {chunk_text_hash(each) for each in pc.unique(chunks["content_hash"]).to_pylist()}
    token_store = plan.token_store if plan.retrieval.late_candidates else None
    known = known_hashes(plan.embedding_store)
    missing = frozenset(hashes - (known & known_token_hashes(token_store) if token_store else known))
    read = partial(_texts, prepared)
    embed_missing(plan, list_files(f"{prepared}/chunks/*.parquet"), read, missing, token_store, True)
    with running_pipeline(plan) as pipeline:
        _ = pipeline | "Collections" >> beam.Create(list(plan.collections)) | "Build" >> beam.Map(_build, plan)
    return {"embedded": len(missing), "embeddings_reused": len(hashes) - len(missing)}


def _texts(prepared: str, path: str) -> Iterator[list[tuple[str, str]]]:
    """Yield the hashes and texts of the chunks of a file, in blocks."""
    names = document_names(prepared)
    for table in file_batches(path, CHUNKS, _BLOCK):
        yield [
            (
                chunk_text_hash(row["content_hash"]),
                chunk_text(row, names[row["collection"], row["document_id"]]["title"]),
            )
            for row in table_rows(table, ChunkRow)
        ]


def _build(collection: str, plan: RunPlan) -> None:
    build_indexes(plan, collection, f"{plan.folder(STAGE)}/{collection}")
