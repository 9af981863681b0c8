"""Search gives the same as comparing with every vector; torn or degenerate data is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rag.retrieval.vector_index
from rag.errors import IndexUnusableError
from rag.retrieval import index_kinds
from rag.retrieval.index_kinds import read_kind
from rag.retrieval.vector_index import VectorIndex
from rag.retrieval.vectors import degenerate_rows


def _vectors(count, width=8, seed=0):
    vectors = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _ids(count):
    return [f"id{i}" for i in range(count)]


@given(st.integers(1, 60), st.integers(1, 12), st.integers(1, 80), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_search_equals_comparing_with_every_vector(count, asked, k, seed):
    vectors, questions = _vectors(count, seed=seed), _vectors(asked, seed=seed + 1)

    found = VectorIndex.build(vectors, _ids(count)).search(questions, k)

    products = questions @ vectors.T
    for line, expected in zip(found, products, strict=True):
        order = np.argsort(-expected)[:k]
        assert [each for each, _ in line] == [f"id{i}" for i in order]
        assert [score for _, score in line] == pytest.approx(expected[order], abs=1e-5)


def test_a_saved_index_gives_the_same_results(tmp_path):
    built = VectorIndex.build(_vectors(50), _ids(50))
    built.save(tmp_path / "deep" / "passages")

    loaded = VectorIndex.load(tmp_path / "deep" / "passages")

    assert loaded.search(_vectors(5, seed=9), 7) == built.search(_vectors(5, seed=9), 7)
    assert len(loaded) == 50


def test_a_loaded_index_is_mapped_not_copied(tmp_path):
    VectorIndex.build(_vectors(20_000, width=64), _ids(20_000)).save(tmp_path / "passages")

    loaded = VectorIndex.load(tmp_path / "passages")

    assert str(tmp_path / "passages.faiss") in Path("/proc/self/maps").read_text()
    assert len(loaded.search(_vectors(1, width=64), 1)[0]) == 1


def test_a_large_index_finds_nearly_the_same_as_an_exact_one(tmp_path, monkeypatch):
    monkeypatch.setattr(rag.retrieval.vector_index, "_EXACT_LIMIT", 1000)
    vectors = _vectors(8000)
    VectorIndex.build(vectors, _ids(8000)).save(tmp_path / "passages")
    questions = vectors[:50]

    found = VectorIndex.load(tmp_path / "passages").search(questions, 10)

    exact = np.argsort(-(questions @ vectors.T), axis=1)[:, :10]
    hits = sum(
        len({each for each, _ in line} & {f"id{i}" for i in row}) for line, row in zip(found, exact, strict=True)
    )
    assert [line[0][0] for line in found] == _ids(50)
    assert hits > 450


@pytest.mark.parametrize(("compressed_from", "kind"), [(None, "cells"), (1000, "cells of 8 bits")])
def test_a_large_index_says_what_kind_it_is_and_its_recall(tmp_path, compressed_from, kind):
    vectors = _vectors(3000, width=16)
    VectorIndex.build(vectors, _ids(3000), 1000, compressed_from).save(tmp_path / "passages")

    found = read_kind(tmp_path / "passages")

    assert (found.kind, found.vectors, found.asked) == (kind, 3000, 200)
    assert 0.95 <= found.recall <= 1
    assert VectorIndex.load(tmp_path / "passages").search(vectors[:5], 1)[4][0][0] == "id4"


def test_probes_follow_from_the_recall_that_was_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(index_kinds, "_PROBES", 1)
    VectorIndex.build(_vectors(3000, width=16), _ids(3000), 1000).save(tmp_path / "passages")

    found = read_kind(tmp_path / "passages")

    assert found.probes > 1
    assert found.recall >= 0.95


def test_a_release_of_before_does_not_say_its_kind(tmp_path):
    assert read_kind(tmp_path / "passages") is None


def test_an_empty_index_finds_nothing(tmp_path):
    VectorIndex.build(np.zeros((0, 8), dtype=np.float32), []).save(tmp_path / "passages")

    loaded = VectorIndex.load(tmp_path / "passages")

    assert loaded.search(_vectors(2), 3) == [[], []]
    assert loaded.search(np.zeros((0, 8), dtype=np.float32), 3) == []


def test_vectors_of_double_precision_are_accepted():
    index = VectorIndex.build(np.eye(3), ["a", "b", "c"])

    assert index.search(np.eye(3)[:1], 1) == [[("a", 1.0)]]


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf, -np.inf, 1e-9])
def test_a_degenerate_vector_is_refused_and_named(bad):
    vectors = _vectors(4)
    vectors[2] = bad

    with pytest.raises(IndexUnusableError, match="1 degenerate vectors, the first for id2"):
        VectorIndex.build(vectors, _ids(4))


@given(st.sets(st.integers(0, 19)), st.sampled_from([0.0, np.nan, np.inf]))
def test_degenerate_rows_are_found_at_any_position(rows, value):
    vectors = _vectors(20)
    vectors[sorted(rows)] = value

    assert degenerate_rows(vectors) == sorted(rows)


def test_a_degenerate_query_finds_nothing():
    index = VectorIndex.build(_vectors(4), _ids(4))

    assert index.search(np.full((1, 8), np.nan, dtype=np.float32), 3) == [[]]


def test_a_mismatch_of_vectors_and_ids_is_refused():
    with pytest.raises(IndexUnusableError, match="3 vectors for 2 ids"):
        VectorIndex.build(_vectors(3), ["a", "b"])


def test_vectors_of_another_encoder_are_refused():
    index = VectorIndex.build(_vectors(4, width=8), _ids(4))

    with pytest.raises(IndexUnusableError, match="5 dimensions can't be searched among vectors of 8"):
        index.search(_vectors(1, width=5), 3)


def test_a_missing_index_is_refused(tmp_path):
    with pytest.raises(IndexUnusableError, match=r"passages.faiss: .*build the release again"):
        VectorIndex.load(tmp_path / "passages")


def test_an_index_truncated_anywhere_is_refused(tmp_path):
    """At some of these lengths FAISS itself would crash the process."""
    VectorIndex.build(_vectors(6), _ids(6)).save(tmp_path / "passages")
    path = tmp_path / "passages.faiss"
    whole = path.read_bytes()

    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(IndexUnusableError, match="build the release again"):
            VectorIndex.load(tmp_path / "passages")


def test_ids_truncated_anywhere_are_refused(tmp_path):
    VectorIndex.build(_vectors(6), _ids(6)).save(tmp_path / "passages")
    path = tmp_path / "passages.ids"
    whole = path.read_bytes()

    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(IndexUnusableError, match="build the release again"):
            VectorIndex.load(tmp_path / "passages")


@pytest.mark.parametrize("content", [b"not an index, but long enough to be one, by its size", b"\xff" * 100])
def test_another_file_in_place_of_the_index_is_refused(tmp_path, content):
    VectorIndex.build(_vectors(2), _ids(2)).save(tmp_path / "passages")
    (tmp_path / "passages.faiss").write_bytes(content)

    with pytest.raises(IndexUnusableError, match="torn or not a FAISS index"):
        VectorIndex.load(tmp_path / "passages")


def test_ids_that_are_not_text_are_refused(tmp_path):
    VectorIndex.build(_vectors(2), _ids(2)).save(tmp_path / "passages")
    (tmp_path / "passages.ids").write_bytes(b"\xff\xfe\n\n")

    with pytest.raises(IndexUnusableError):
        VectorIndex.load(tmp_path / "passages")
