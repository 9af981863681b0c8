"""Index: chunks into vectors, vectors and words into the indexes of each collection.

Writes `<out>/<collection>/passages.faiss`, `passages.ids`, `lexical/` and, for late interaction, `tokens/`, as a
release carries them; where the collection declares filters, also the marks of the chunks (`passages.groups.…`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import apache_beam as beam
import pyarrow.compute as pc

from batch.memory import pieces, refuse_large_index
from batch.pipeline import running_pipeline
from batch.plan import Figures, RunPlan
from batch.retrieval.index_building import build_indexes
from batch.retrieval.prepared_chunks import chunk_blocks, chunk_text, chunk_text_hash
from batch.stores.embedding_store import embed_missing, known_hashes
from batch.stores.parquet import list_files, read_table
from batch.stores.token_store import known_token_hashes
from rag.retrieval.vector_index import COMPRESSED_FROM
from warehouse.tables import CHUNKS

STAGE = "index"


def index(plan: RunPlan) -> Figures:
    """Embed the chunks whose vectors are not known, and build each collection's indexes."""
    prepared = plan.folder("prepare")
    chunks = read_table(f"{prepared}/chunks", CHUNKS, ["collection", "content_hash"])
    for each in pc.value_counts(chunks["collection"]).to_pylist():
        what = f"the index of the collection {each['values']}"
        refuse_large_index(plan.settings, what, each["counts"], plan.encoder_spec.dimensions, COMPRESSED_FROM)
    hashes = {chunk_text_hash(each) for each in pc.unique(chunks["content_hash"]).to_pylist()}
    token_store = plan.token_store if plan.retrieval.late_candidates else None
    known = known_hashes(plan.embedding_store)
    missing = frozenset(hashes - (known & known_token_hashes(token_store) if token_store else known))
    read = partial(_texts, prepared, pieces(plan.settings).chunks)
    embed_missing(plan, list_files(f"{prepared}/chunks/*.parquet"), read, missing, token_store, True)
    with running_pipeline(plan) as pipeline:
        _ = pipeline | "Collections" >> beam.Create(list(plan.collections)) | "Build" >> beam.Map(_build, plan)
    return {"embedded": len(missing), "embeddings_reused": len(hashes) - len(missing)}


def _texts(prepared: str, together: int, path: str) -> Iterator[Iterator[tuple[str, str]]]:
    """Yield the hashes and texts of the chunks of a file, in blocks."""
    for block in chunk_blocks(prepared, path, together):
        yield ((chunk_text_hash(row["content_hash"]), chunk_text(row, title)) for row, title in block)


def _build(collection: str, plan: RunPlan) -> None:
    build_indexes(plan, collection, f"{plan.folder(STAGE)}/{collection}")
