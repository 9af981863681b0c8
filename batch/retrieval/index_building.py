"""Builds the indexes of a collection, as a release carries them.

`passages.faiss`, `passages.ids`, `lexical/` and, for late interaction, `tokens/`; with questions that lead to chunks
also `keys.faiss` and `keys.ids`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from batch.plan import RunPlan
from batch.retrieval.chunk_marks import chunk_marks
from batch.retrieval.prepared_chunks import (
    chunk_text,
    chunk_text_hash,
    collection_chunks,
    document_names,
    own_languages,
)
from batch.retrieval.question_ranking import question_vectors
from batch.rows import ChunkQuestionRow
from batch.stores.embedding_store import find_vectors
from batch.stores.local_folders import local_output
from batch.stores.token_store import find_token_ids, read_codes
from rag.retrieval.index_kinds import read_kind
from rag.retrieval.key_index import KeyIndex
from rag.retrieval.lexical_index import LexicalIndex
from rag.retrieval.row_groups import RowGroups
from rag.retrieval.token_vectors import save_token_vectors
from rag.retrieval.vector_index import COMPRESSED_FROM, VectorIndex


def build_indexes(plan: RunPlan, collection: str, target: str, questions: Sequence[ChunkQuestionRow] = ()) -> None:
    """Write a collection's indexes into a folder; `questions` become further keys of their chunks."""
    prepared = plan.folder("prepare")
    rows = sorted(collection_chunks(prepared, collection), key=lambda row: row["chunk_id"])
    names = document_names(prepared)
    ids = [row["chunk_id"] for row in rows]
    further: dict[str, list[str]] = {}
    for each in questions:
        further.setdefault(each["chunk_id"], []).append(each["question"])
    texts = [
        "\n".join((chunk_text(row, names[collection, row["document_id"]]["title"]), *further.get(row["chunk_id"], ())))
        for row in rows
    ]
    hashes = [chunk_text_hash(row["content_hash"]) for row in rows]
    vectors = find_vectors(plan.embedding_store, hashes, plan.encoder_spec.dimensions)
    with local_output(target) as folder:
        VectorIndex.build(vectors, ids, compressed_from=COMPRESSED_FROM).save(Path(folder) / "passages")
        language = plan.language(collection)
        own = own_languages(prepared, collection)
        languages = [own.get(row["document_id"], language) for row in rows]
        LexicalIndex.build(texts, ids, language, languages).save(Path(folder) / "lexical")
        if questions:
            places = {chunk_id: place for place, chunk_id in enumerate(ids)}
            keys = question_vectors(plan, questions)
            KeyIndex.build(keys, [places[each["chunk_id"]] for each in questions], ids).save(Path(folder))
        if fields := plan.collections[collection].filters:
            marks = chunk_marks(plan, collection)
            RowGroups.build(fields, [marks[each] for each in ids]).save(Path(folder) / "passages")
        if plan.retrieval.late_candidates:
            tokens = find_token_ids(plan.token_store, hashes)
            codes = read_codes(plan.token_store, hashes, plan.encoder_spec.dimensions)
            save_token_vectors(Path(folder) / "tokens", ids, hashes, tokens, codes)


def index_kinds(folder: Path) -> dict[str, dict[str, object]]:
    """Return for each collection below a folder what kinds its indexes are, with their recall beside exact searches."""
    found: dict[str, dict[str, object]] = {}
    for path in sorted(folder.glob("*/*.kind.json")):
        name = path.name.removesuffix(".kind.json")
        kind = read_kind(path.with_name(name))
        found.setdefault(path.parent.name, {})[name] = None if kind is None else asdict(kind)
    return found
