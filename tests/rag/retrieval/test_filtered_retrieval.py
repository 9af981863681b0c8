"""Retrieval among the chunks that fit a question: never another one, and none of them lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.errors import IndexUnusableError
from rag.filters import Filters, Marks, fits
from rag.retrieval import index_kinds, vector_index
from rag.retrieval.key_index import KeyIndex
from rag.retrieval.lexical_index import LexicalIndex
from rag.retrieval.passages import StoredChunk
from rag.retrieval.retriever import Retriever
from rag.retrieval.row_groups import RowGroups
from rag.retrieval.vector_index import VectorIndex
from rag.settings import RetrievalSettings

CHUNKS, DIMENSIONS = 30, 8
FIELDS = ("audience", "version")
IDS = [f"c{number:03}" for number in range(CHUNKS)]
TEXTS = [f"common word{number % 7} name{number}" for number in range(CHUNKS)]
VECTORS = np.random.default_rng(1).normal(size=(CHUNKS, DIMENSIONS)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
DENSE, LEXICAL = VectorIndex.build(VECTORS, IDS), LexicalIndex.build(TEXTS, IDS)
SETTINGS = RetrievalSettings(candidates=5, late_candidates=0, passages=3, passage_tokens=100)

VALUES = st.lists(st.sampled_from("123"), unique=True).map(lambda each: tuple(sorted(each)))
MARKS = st.builds(
    lambda *values: tuple((field, each) for field, each in zip(FIELDS, values, strict=True) if each), VALUES, VALUES
)
DOCUMENTS = st.lists(MARKS, min_size=CHUNKS // 3, max_size=CHUNKS // 3)
FILTERS = st.dictionaries(st.sampled_from(FIELDS), st.sampled_from("1239")).map(
    lambda each: tuple(sorted(each.items()))
)


def chunk(chunk_id: str) -> StoredChunk:
    """Return a chunk; neighbours are of the same document, which has three."""
    number = IDS.index(chunk_id)
    before, after = (IDS[number - 1] if number % 3 else ""), (IDS[number + 1] if number % 3 < 2 else "")
    return StoredChunk(chunk_id, f"d{number // 3}", "T", "u", "", TEXTS[number], chunk_id, before, after, tokens=3)


@settings(max_examples=60)
@given(
    st.lists(MARKS, min_size=CHUNKS // 3, max_size=CHUNKS // 3),
    st.lists(FILTERS, min_size=1, max_size=3),
    st.booleans(),
)
def test_every_passage_fits_its_question_and_the_best_that_fit_are_found(
    documents: list[Marks], asked: list[Filters], with_keys: bool
) -> None:
    marks = [documents[number // 3] for number in range(CHUNKS)]
    keys = KeyIndex.build(VECTORS[::-1], list(range(CHUNKS)), IDS) if with_keys else None
    retriever = Retriever(DENSE, LEXICAL, SETTINGS, keys=keys, groups=RowGroups.build(FIELDS, marks))
    vectors = VECTORS[: len(asked)] * 0.6 + VECTORS[10 : 10 + len(asked)]

    in_batch = retriever.rank(["common word3"] * len(asked), vectors, chunk, asked)

    for vector, filters, ranked in zip(vectors, asked, in_batch, strict=True):
        fitting = [row for row in range(CHUNKS) if fits(marks[row], filters)]
        nearest = sorted(fitting, key=lambda row: -float(VECTORS[row] @ vector))[: SETTINGS.candidates]
        dense = sorted((each for each in ranked if each.dense_rank is not None), key=lambda each: each.dense_rank or 0)
        assert with_keys or [each.chunk_id for each in dense] == [IDS[row] for row in nearest]
        assert {IDS[row] for row in nearest} <= {each.chunk_id for each in dense}
        lexical = [each for each in ranked if each.lexical_rank is not None]
        assert len(lexical) == min(SETTINGS.candidates, len(fitting))
        online = retriever.retrieve("common word3", vector, chunk, filters=filters)
        shown = [each.chunk_id for passage in online for each in passage.shown]
        assert {each.chunk_id for each in ranked} | set(shown) <= {IDS[row] for row in fitting}
        assert bool(shown) is bool(fitting)


def test_filters_that_are_forgotten_show_less_and_not_more() -> None:
    marks: list[Marks] = [(("version", ("1",)),) if number % 2 else () for number in range(CHUNKS)]
    retriever = Retriever(DENSE, LEXICAL, SETTINGS, groups=RowGroups.build(FIELDS, marks))

    (ranked,) = retriever.rank(["common"], VECTORS[:1], chunk)

    assert {IDS.index(each.chunk_id) % 2 for each in ranked} == {0}


def test_few_rows_are_found_in_whatever_cells_of_a_large_index_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_index, "_EXACT_LIMIT", 500)
    monkeypatch.setattr(index_kinds, "_PROBES", 1)
    vectors = np.random.default_rng(2).normal(size=(2000, DIMENSIONS)).astype(np.float32)
    index = VectorIndex.build(vectors, [str(row) for row in range(2000)])
    only = np.zeros(2000, np.bool_)
    only[::50] = True

    (found,) = index.search(vectors[7:8], 10, only)

    nearest = sorted(np.flatnonzero(only), key=lambda row: -float(vectors[row] @ vectors[7]))[:10]
    assert [each for each, _ in found] == [str(row) for row in nearest]
    assert index.search(vectors[:1], 10, np.zeros(2000, np.bool_)) == [[]]


def test_groups_are_read_as_they_were_written_and_those_of_another_index_are_refused(tmp_path: Path) -> None:
    marks: list[Marks] = [(), (("version", ("1", "2")),), ()]
    RowGroups.build(FIELDS, marks).save(tmp_path / "passages")

    groups = RowGroups.load(tmp_path / "passages", 3)

    assert groups is not None
    assert groups.fields == FIELDS
    mask = groups.fitting(())
    assert mask is not None
    assert mask.tolist() == [True, False, True]
    assert groups.fitting((("version", "2"),)) is None
    assert RowGroups.load(tmp_path / "other", 3) is None
    with pytest.raises(IndexUnusableError, match="not that of the index beside it"):
        RowGroups.load(tmp_path / "passages", 4)
    (tmp_path / "passages.groups.npy").unlink()
    with pytest.raises(IndexUnusableError, match="can't be read"):
        RowGroups.load(tmp_path / "passages", 3)
