"""Candidates ranked again by their token vectors."""

import numpy as np
import pytest

from rag.retrieval.fusion import Ranked
from rag.retrieval.late_interaction import LateInteraction, max_similarity
from rag.retrieval.token_vectors import TokenVectors, decode, encode, save_token_vectors

WORDS = {
    word: np.random.default_rng(number).normal(size=64) for number, word in enumerate("how to bake bread oil".split())
}


def read(text):
    return np.array([WORDS[word] for word in text.split()], dtype=np.float32)


def numbers(text):
    return np.array([list(WORDS).index(word) for word in text.split()], dtype=np.int32)


def encoder(text):
    return numbers(text), read(text)


@pytest.fixture
def token_vectors(tmp_path):
    def load(**texts):
        tokens = {name: numbers(text) for name, text in texts.items()}
        codes = ((name, encode(read(text))) for name, text in texts.items())
        save_token_vectors(tmp_path, list(texts), list(texts), tokens, codes)
        return TokenVectors.load(tmp_path)

    return load


def ranked(ids):
    return [Ranked(each, place, 1.0 / place, place, 0.5, None, None) for place, each in enumerate(ids, start=1)]


def test_the_score_is_the_weighted_mean_of_each_tokens_best_match():
    passages = [encode(read("bake oil")), encode(read("bread"))]
    asked = read("bake bread") / np.linalg.norm(read("bake bread"), axis=1, keepdims=True)

    scores = max_similarity(read("bake bread"), passages, np.array([1, 3], np.float32))

    by_hand = [(asked @ (levels.T / lengths)).max(axis=1) @ [0.25, 0.75] for levels, lengths in map(decode, passages)]
    assert scores == pytest.approx(by_hand, abs=1e-5)


def test_the_passage_that_has_the_questions_words_comes_first(token_vectors):
    late = LateInteraction(token_vectors(a="oil oil to", b="bake bread to"), encoder)

    found = late.rank("how to bake bread", ranked("ab"), depth=2)

    assert [each.chunk_id for each in found] == ["b", "a"]
    assert [each.rank for each in found] == [1, 2]
    assert found[0].score > found[1].score
    assert found[0].dense_rank == 2  # where it had stood is kept


def test_beyond_its_depth_the_ranking_stays(token_vectors):
    late = LateInteraction(token_vectors(a="oil", b="oil to", c="bake bread"), encoder)

    found = late.rank("bake bread", ranked("abc"), depth=2)

    assert [each.chunk_id for each in found][2] == "c"
    assert found[2].score == pytest.approx(1 / 3)


def test_a_candidate_without_token_vectors_follows_those_that_have_some(token_vectors):
    late = LateInteraction(token_vectors(b="bake"), encoder)

    assert [each.chunk_id for each in late.rank("bake", ranked("ab"), depth=2)] == ["b", "a"]
    assert late.rank("bake", ranked("xy"), depth=2) == ranked("xy")


def test_a_rare_word_of_the_question_counts_more_than_a_common_one(token_vectors, tmp_path):
    often = {f"z{number}": "how" for number in range(15)}
    vectors = token_vectors(a="how", b="oil", **often)
    (tmp_path / "frequencies.npy").unlink()
    untold = TokenVectors.load(tmp_path)  # as in a release of before

    weighted, alike = (LateInteraction(each, encoder).scores("how oil", ["a", "b"]) for each in (vectors, untold))

    assert weighted["b"] > weighted["a"] + 0.1
    assert alike["b"] == pytest.approx(alike["a"], abs=0.05)
