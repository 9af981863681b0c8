"""How well a release retrieves: golden questions searched for as the service does, and where the right passages stand.

Beside it stands what the run stored for the same questions, with the help of the language model.

A question counts at k if any of its right passages is among the first k, as in docs/retrieval.md; one whose passages
are not known (`warehouse.audit.golden_places`) is left out and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import msgspec

from rag.evaluation import summarise
from rag.retrieval.embedding import OnnxEncoder
from rag.retrieval.passages import StoredChunk, choose_passages
from rag.retrieval.reranking import Reranker
from rag.retrieval.retriever import Retriever
from rag.settings import RetrievalSettings
from warehouse.audit.golden import Golden
from warehouse.audit.golden_places import locate
from warehouse.releases.release import Release
from warehouse.releases.serving_index import ServingIndex
from warehouse.sql import sql_text

DEPTHS = (1, 3, 5, 10)


@dataclass(frozen=True)
class Searched:
    """A golden question, its right passages, where the first of them came, and whether the prompt shows one."""

    golden: Golden
    right: frozenset[str]
    rank: int | None
    in_prompt: bool


@dataclass(frozen=True)
class Models:
    """The release's own encoder and reranker."""

    encoder: OnnxEncoder
    reranker: Reranker | None

    @classmethod
    def load(cls, release: Release) -> Models:
        """Load the models that a release carries.

        Raises:
            ModelError: one is missing or torn.
        """
        reranker = release.path / "reranker"
        return cls(OnnxEncoder.load(release.path / "encoder"), Reranker.load(reranker) if reranker.exists() else None)


def chunk_ids(database: Path, collection: str) -> list[str]:
    """Return the ids of a collection's chunks."""
    with duckdb.connect(str(database), read_only=True) as tables:
        rows = tables.execute("SELECT chunk_id FROM chunks WHERE collection = ? ORDER BY chunk_id", [collection])
        return [str(chunk_id) for (chunk_id,) in rows.fetchall()]


def locate_in_release(release: Release, golden: Sequence[Golden]) -> list[tuple[Golden, frozenset[str]]]:
    """Return golden questions with the chunks of a release that answer them, none where they are unknown."""
    found: list[tuple[Golden, frozenset[str]]] = []
    with ServingIndex(release.serving_index) as index:
        for collection in dict.fromkeys(each.collection for each in golden):
            asked = [each for each in golden if each.collection == collection]
            chunks = [_stored(index, chunk_id) for chunk_id in chunk_ids(release.database, collection)]
            found += zip(asked, locate(asked, [each for each in chunks if each is not None]), strict=True)
    return found


def _stored(index: ServingIndex, chunk_id: str) -> StoredChunk | None:
    found = index.chunk(chunk_id)
    return None if found is None else msgspec.json.decode(found, type=StoredChunk)


def search(
    release: Release, located: Sequence[tuple[Golden, frozenset[str]]], settings: RetrievalSettings, models: Models
) -> list[Searched]:
    """Search a release for each golden question whose passages are known.

    Raises:
        IndexUnusableError: an index is missing or torn.
    """
    with ServingIndex(release.serving_index) as index:
        return list(_search(release, index, [each for each in located if each[1]], settings, models))


def _search(
    release: Release,
    index: ServingIndex,
    located: Sequence[tuple[Golden, frozenset[str]]],
    settings: RetrievalSettings,
    models: Models,
) -> Iterator[Searched]:
    def lookup(chunk_id: str) -> StoredChunk | None:
        return _stored(index, chunk_id)

    for collection in dict.fromkeys(golden.collection for golden, _ in located):
        folder = release.path / "collections" / collection
        reranker = models.reranker if settings.reranker else None
        retriever = Retriever.load(folder, settings, reranker, models.encoder.token_states)
        for golden, right in located:
            if golden.collection != collection:
                continue
            vectors = models.encoder.embed([golden.question])
            (ranked,) = retriever.rank([golden.question], vectors, lookup, [golden.filters])
            passages = choose_passages(ranked, lookup, settings.passages, (), settings.passage_tokens)
            shown = {chunk.chunk_id for passage in passages for chunk in passage.shown}
            rank = next((each.rank for each in ranked if each.chunk_id in right), None)
            yield Searched(golden, right, rank, not right.isdisjoint(shown))


def wording_owners(tables: duckdb.DuckDBPyConnection) -> Mapping[str, str]:
    """Return whose wordings keys are; none in a release of before."""
    there = tables.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'wordings'").fetchone()
    if there != (1,):
        return {}
    return dict(tables.execute("SELECT wording_key, query_key FROM wordings").fetchall())


def read_stored(release: Release, located: Sequence[tuple[Golden, frozenset[str]]]) -> list[Searched]:
    """Return where the right passages of golden questions stand in what the run stored for them, with all its help.

    Questions that the release does not anticipate are left out.
    """
    with duckdb.connect(str(release.database), read_only=True) as tables:
        owners = wording_owners(tables)
        known = [(owners.get(each.query_key, each.query_key), each, right) for each, right in located if right]
        keys = list({key for key, _, _ in known})
        rows = tables.execute(sql_text("stored_passages.sql"), {"keys": keys}).fetchall()
    found: dict[str, list[tuple[str, int | None, bool]]] = {}
    for query_key, *passage in rows:
        chunk_id, rank, in_prompt = passage
        found.setdefault(query_key, []).append((chunk_id, rank, in_prompt))
    return [_stored_place(golden, right, found[key]) for key, golden, right in known if key in found]


def _stored_place(golden: Golden, right: frozenset[str], rows: Sequence[tuple[str, int | None, bool]]) -> Searched:
    ranks = [rank for chunk_id, rank, _ in rows if chunk_id in right and rank is not None]
    return Searched(
        golden, right, min(ranks, default=None), any(shown for chunk_id, _, shown in rows if chunk_id in right)
    )


def by_collection(searched: Sequence[Searched]) -> dict[str, dict[str, float]]:
    """Return for each collection how many questions were searched for, and their measures."""
    found: dict[str, list[Searched]] = {}
    for each in searched:
        found.setdefault(each.golden.collection, []).append(each)
    return {name: {"questions": float(len(rows)), **retrieval_measures(rows)} for name, rows in found.items()}


def retrieval_measures(searched: Sequence[Searched]) -> dict[str, float]:
    """Return recall at each depth, MRR, and the share of questions that have a right passage in the prompt."""
    rows = [
        {f"recall@{k}": float(each.rank is not None and each.rank <= k) for k in DEPTHS}
        | {"mrr": 1 / each.rank if each.rank else 0.0, "in_prompt": float(each.in_prompt)}
        for each in searched
    ]
    return dict(summarise(rows).means)
