"""Fusion, reranking, the choice of passages, and retrieval as a whole."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.errors import IndexUnusableError
from rag.retrieval.fusion import Ranked, fuse, fuse_searches
from rag.retrieval.lexical_index import LexicalIndex
from rag.retrieval.passages import StoredChunk, choose_passages
from rag.retrieval.retriever import Retriever, rerank
from rag.retrieval.token_vectors import encode, save_token_vectors
from rag.retrieval.vector_index import VectorIndex
from rag.settings import RetrievalSettings

RANKING = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8).map(
    lambda ids: [(each, 1.0 - place / 10) for place, each in enumerate(ids)]
)
WEIGHT = st.floats(0.1, 10)


def _chunk(chunk_id, text=None, document="doc"):
    return StoredChunk(chunk_id, document, "Title", "uri", "", text or f"text of {chunk_id}", f"hash-{chunk_id}")


def _ranked(ids):
    return [Ranked(each, place, 1.0 / place, place, 0.5, None, None) for place, each in enumerate(ids, start=1)]


@given(RANKING, RANKING, WEIGHT, WEIGHT)
def test_fusion_keeps_every_candidate_once_with_its_ranks(dense, lexical, dense_weight, lexical_weight):
    fused = fuse(dense, lexical, dense_weight, lexical_weight)

    assert {each.chunk_id for each in fused} == {each for each, _ in dense} | {each for each, _ in lexical}
    assert [each.rank for each in fused] == list(range(1, len(fused) + 1))
    assert all(first.score >= second.score for first, second in pairwise(fused))
    for each in fused:
        assert (each.dense_rank is None) == (each.dense_score is None)
        if each.dense_rank is not None:
            assert dense[each.dense_rank - 1] == (each.chunk_id, each.dense_score)
        if each.lexical_rank is not None:
            assert lexical[each.lexical_rank - 1] == (each.chunk_id, each.lexical_score)


@given(RANKING)
def test_one_ranking_alone_keeps_its_order(ranking):
    order = [each for each, _ in ranking]

    assert [each.chunk_id for each in fuse(ranking, [])] == order
    assert [each.chunk_id for each in fuse([], ranking)] == order
    assert [each.chunk_id for each in fuse(ranking, ranking)] == order


@given(RANKING, RANKING)
def test_a_candidate_ranked_higher_by_both_stays_higher(dense, lexical):
    fused = {each.chunk_id: each for each in fuse(dense, lexical)}

    for one in fused.values():
        for other in fused.values():
            better_dense = (one.dense_rank or 99) < (other.dense_rank or 99)
            better_lexical = (one.lexical_rank or 99) < (other.lexical_rank or 99)
            if better_dense and better_lexical:
                assert one.rank < other.rank


@given(RANKING, RANKING)
def test_only_ranks_matter_and_scores_do_not(dense, lexical):
    scaled = [(each, score * 1000 - 7) for each, score in lexical]

    assert [each.chunk_id for each in fuse(dense, scaled)] == [each.chunk_id for each in fuse(dense, lexical)]


def test_the_formula_is_that_of_reciprocal_rank_fusion():
    (first, second) = fuse([("a", 0.9), ("b", 0.8)], [("b", 7.0)], dense_weight=2.0, lexical_weight=0.5)

    assert (first.chunk_id, first.score) == ("b", pytest.approx(2 / 7 + 0.5 / 6))
    assert (second.chunk_id, second.score) == ("a", pytest.approx(2 / 6))


def test_ties_go_to_the_better_dense_rank():
    assert [each.chunk_id for each in fuse([("z", 0.9)], [("a", 7.0)])] == ["z", "a"]


@given(
    st.lists(st.sampled_from("abcdefgh"), unique=True),
    st.sets(st.sampled_from("abcdefgh")),
    st.sets(st.sampled_from("abcdefgh")),
    st.integers(1, 5),
)
def test_passages_are_the_best_that_exist_and_are_not_withdrawn(order, missing, withdrawn, count):
    chunks = {each: _chunk(each, document=f"doc-{each}") for each in "abcdefgh" if each not in missing}

    passages = choose_passages(_ranked(order), chunks.get, count, {f"doc-{each}" for each in withdrawn})

    wanted = [each for each in order if each not in missing | withdrawn][:count]
    assert [passage.chunk.chunk_id for passage in passages] == wanted
    assert [passage.number for passage in passages] == list(range(1, len(wanted) + 1))


def test_repeated_texts_are_chosen_once():
    chunks = {"a": _chunk("a", "same"), "b": _chunk("b", "same"), "c": _chunk("c", "other")}

    passages = choose_passages(_ranked("abc"), chunks.get, 2)

    assert [passage.chunk.chunk_id for passage in passages] == ["a", "c"]


TEXTS = {"cat": "Cats purr.", "dog": "Dogs bark at E1234.", "bird": "Birds sing songs."}


def _retriever(**changed):
    ids = list(TEXTS)
    dense = VectorIndex.build(np.eye(3, dtype=np.float32), ids)
    return Retriever(dense, LexicalIndex.build(list(TEXTS.values()), ids), RetrievalSettings(passages=2, **changed))


def _lookup(chunk_id):
    return _chunk(chunk_id, TEXTS[chunk_id], document=f"doc-{chunk_id}")


def test_both_indexes_contribute():
    bird = np.array([0.0, 0.1, 0.9], dtype=np.float32)

    found = _retriever(candidates=1).retrieve("what is E1234", bird, _lookup)

    assert {passage.chunk.chunk_id for passage in found} == {"bird", "dog"}


def test_a_question_and_its_rewriting_are_searched_for_together():
    cat, bird = np.eye(3, dtype=np.float32)[[0, 2]]
    retriever = _retriever(lexical_weight=0, candidates=1)

    alone = retriever.retrieve("cat", cat, _lookup)
    both = retriever.retrieve("cat", cat, _lookup, rewritten=("songs", bird))

    assert [passage.chunk.chunk_id for passage in alone] == ["cat"]
    assert [passage.chunk.chunk_id for passage in both] == ["bird", "cat"]  # ranks tie, so the ids decide


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8), min_size=1, max_size=3))
def test_fused_searches_hold_each_candidate_once_and_keep_what_all_agree_on(orders):
    found = fuse_searches([_ranked(order) for order in orders])

    assert sorted(each.chunk_id for each in found) == sorted(set().union(*orders))
    assert [each.rank for each in found] == list(range(1, len(found) + 1))
    if all(order == orders[0] for order in orders):
        assert [each.chunk_id for each in found] == list(orders[0])


def test_a_weight_of_zero_switches_an_index_off():
    bird = np.array([0.0, 0.1, 0.9], dtype=np.float32)

    dense = _retriever(lexical_weight=0).rank(["what is E1234"], bird[None, :], _lookup)[0]
    lexical = _retriever(dense_weight=0).rank(["what is E1234"], bird[None, :], _lookup)[0]

    assert [each.chunk_id for each in dense] == ["bird", "dog", "cat"]
    assert [each.chunk_id for each in lexical] == ["dog"]


def test_a_withdrawn_document_makes_room_for_the_next():
    cat = np.array([0.9, 0.2, 0.1], dtype=np.float32)

    found = _retriever(lexical_weight=0).retrieve("?", cat, _lookup, withdrawn={"doc-cat"})

    assert {passage.chunk.chunk_id for passage in found} == {"dog", "bird"}


def test_questions_ranked_together_are_ranked_as_if_alone():
    questions = ["cat", "bark", "nothing"]
    vectors = np.eye(3, dtype=np.float32)
    retriever = _retriever()

    together = retriever.rank(questions, vectors, _lookup)

    assert together == [retriever.rank([q], v[None, :], _lookup)[0] for q, v in zip(questions, vectors, strict=True)]


class LongestFirst:
    """A fake cross-encoder that prefers longer texts."""

    def scores(self, _question, texts):
        return np.array([len(text) / 1000 for text in texts])


@given(st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8), st.integers(1, 9))
def test_a_reranker_orders_the_first_few_and_leaves_the_rest(order, depth):
    chunks = {each: _chunk(each, each * (ord(each) - 90)) for each in order if each != "c"}  # c's chunk is gone

    found = rerank("?", _ranked(order), chunks.get, LongestFirst(), depth)

    read = [each for each in order[:depth] if each != "c"]
    rest = [each for each in order if each not in read]
    assert [each.chunk_id for each in found] == sorted(read, reverse=True) + rest
    assert [each.rank for each in found] == list(range(1, len(order) + 1))
    assert {each.chunk_id: each.dense_rank for each in found} == {
        each: place for place, each in enumerate(order, start=1)
    }


def test_a_retriever_returns_what_its_reranker_prefers():
    ids = list(TEXTS)
    dense = VectorIndex.build(np.eye(3, dtype=np.float32), ids)
    retriever = Retriever(
        dense, LexicalIndex.build(list(TEXTS.values()), ids), RetrievalSettings(passages=1), LongestFirst()
    )

    found = retriever.retrieve("cat", np.array([1.0, 0.1, 0.1], dtype=np.float32), _lookup)

    assert [passage.chunk.chunk_id for passage in found] == ["dog"]


STATES = {"miaow": [1.0, 1.0, -1.0, -1.0], "woof": [-1.0, 1.0, 1.0, -1.0], "chirp": [1.0, -1.0, 1.0, -1.0]}


def _token_states(text):
    words = text.split()
    return np.zeros(len(words), np.int32), np.array([STATES[word] for word in words], dtype=np.float32)


def _saved(folder, tokens):
    ids = sorted(TEXTS)
    VectorIndex.build(np.eye(3, dtype=np.float32), ids).save(folder / "passages")
    LexicalIndex.build([TEXTS[each] for each in ids], ids).save(folder / "lexical")
    if tokens:
        said = {"cat": "miaow", "dog": "woof", "bird": "chirp"}
        codes = ((each, encode(_token_states(said[each])[1])) for each in ids)
        save_token_vectors(folder / "tokens", ids, ids, {each: np.array([0], np.int32) for each in ids}, codes)


def _first(retriever, question):
    return retriever.rank([question], np.full((1, 3), [0.9, 0.5, 0.1], np.float32), _lookup)[0][0].chunk_id


def test_late_interaction_ranks_again_what_both_indexes_found(tmp_path):
    _saved(tmp_path, tokens=True)

    late = Retriever.load(tmp_path, RetrievalSettings(), None, _token_states)
    switched_off = Retriever.load(tmp_path, RetrievalSettings(late_candidates=0), None, _token_states)

    assert {_first(late, each) for each in ("woof", "miaow woof woof")} == {"dog"}
    assert _first(late, "miaow") == "cat"
    assert _first(switched_off, "woof") == "bird"


def test_a_release_without_token_vectors_ranks_as_it_was_fused(tmp_path):
    _saved(tmp_path, tokens=False)

    assert _first(Retriever.load(tmp_path, RetrievalSettings(), None, _token_states), "woof") == "bird"


def test_a_collection_without_chunks_finds_nothing(tmp_path):
    VectorIndex.build(np.zeros((0, 3), dtype=np.float32), []).save(tmp_path / "passages")
    LexicalIndex.build([], []).save(tmp_path / "lexical")

    retriever = Retriever.load(tmp_path, RetrievalSettings())

    assert retriever.retrieve("anything", np.ones(3, dtype=np.float32), _lookup) == []


def test_a_folder_without_indexes_is_refused(tmp_path):
    with pytest.raises(IndexUnusableError):
        Retriever.load(tmp_path, RetrievalSettings())
