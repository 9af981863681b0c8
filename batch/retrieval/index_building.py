"""Builds the indexes of a collection, as a release carries them.

`passages.faiss`, `passages.ids`, `lexical/` and, for late interaction, `tokens/`; with questions that lead to chunks
also `keys.faiss` and `keys.ids`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from batch.plan import RunPlan
from batch.reading.chunking import embedded_text
from batch.retrieval.chunk_marks import chunk_marks
from batch.retrieval.prepared_chunks import chunk_places, chunk_text_hash, load_chunks, own_languages
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
    places = chunk_places(plan.folder("prepare"), collection).sort_by("chunk_id")
    ids: list[str] = places["chunk_id"].to_pylist()
    hashes = [chunk_text_hash(each) for each in places["content_hash"].to_pylist()]
    vectors = find_vectors(plan.embedding_store, hashes, plan.encoder_spec.dimensions)
    with local_output(target) as folder:
        VectorIndex.build(vectors, ids, compressed_from=COMPRESSED_FROM).save(Path(folder) / "passages")
        del vectors
        language = plan.language(collection)
        own = own_languages(plan.folder("prepare"), collection)
        languages = [own.get(each, language) for each in places["document_id"].to_pylist()]
        texts = _texts(plan, collection, ids, questions)
        LexicalIndex.build(texts, ids, language, languages).save(Path(folder) / "lexical")
        if questions:
            row_of = {chunk_id: row for row, chunk_id in enumerate(ids)}
            keys = question_vectors(plan, questions)
            KeyIndex.build(keys, [row_of[each["chunk_id"]] for each in questions], ids).save(Path(folder))
        if fields := plan.collections[collection].filters:
            marks = chunk_marks(plan, collection)
            RowGroups.build(fields, [marks[each] for each in ids]).save(Path(folder) / "passages")
        if plan.retrieval.late_candidates:
            tokens = find_token_ids(plan.token_store, hashes)
            codes = read_codes(plan.token_store, hashes, plan.encoder_spec.dimensions)
            save_token_vectors(Path(folder) / "tokens", ids, hashes, tokens, codes)


def _texts(plan: RunPlan, collection: str, ids: Sequence[str], questions: Sequence[ChunkQuestionRow]) -> Iterator[str]:
    """Yield the texts of chunks as they are embedded, each with the questions that lead to it."""
    further: dict[str, list[str]] = {}
    for each in questions:
        further.setdefault(each["chunk_id"], []).append(each["question"])
    chunks = load_chunks(plan.folder("prepare"), collection)
    for chunk_id in ids:
        chunk = chunks[chunk_id]
        yield "\n".join((embedded_text(chunk.title, chunk), *further.get(chunk_id, ())))


def index_kinds(folder: Path) -> dict[str, dict[str, object]]:
    """Return for each collection below a folder what kinds its indexes are, with their recall beside exact searches."""
    found: dict[str, dict[str, object]] = {}
    for path in sorted(folder.glob("*/*.kind.json")):
        name = path.name.removesuffix(".kind.json")
        kind = read_kind(path.with_name(name))
        found.setdefault(path.parent.name, {})[name] = None if kind is None else asdict(kind)
    return found
