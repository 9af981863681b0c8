"""Two bits a dimension: what is kept of token vectors, and how they are stored."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.errors import IndexUnusableError
from rag.retrieval.token_vectors import TokenCodes, TokenVectors, decode, encode

DIMENSIONS = 384


def states(seed, count=6, dimensions=DIMENSIONS):
    return np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)


def codes(seed, tokens):
    return TokenCodes(np.array(tokens, np.int32), encode(states(seed, len(tokens))))


@given(st.integers(0, 1000))
def test_a_vector_is_still_known_by_its_code(seed):
    vectors = states(seed)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    decoded, lengths = decode(encode(vectors))

    assert np.allclose(np.linalg.norm(decoded, axis=1), lengths)
    assert (np.einsum("nd,nd->n", unit, decoded) / lengths > 0.9).all()


def test_a_code_takes_a_sixteenth_of_the_vector_and_ignores_its_length():
    vectors = states(0)

    assert encode(vectors).nbytes * 16 == vectors.nbytes
    assert np.array_equal(encode(vectors), encode(vectors * 7))


@given(st.integers(0, 1000), st.sampled_from([4, 8, 384, 768]))
def test_coding_what_was_decoded_keeps_every_sign(seed, dimensions):
    once, _ = decode(encode(states(seed, 3, dimensions)))

    again, _ = decode(encode(once))

    assert np.array_equal(np.sign(again), np.sign(once))


def test_what_is_saved_is_mapped_again(tmp_path):
    built = TokenVectors.build(["a", "b"], [codes(1, [5, 6]), codes(2, [7, 8, 9])])
    built.save(tmp_path)

    loaded = TokenVectors.load(tmp_path)

    assert "a" in loaded and "c" not in loaded and "" not in loaded
    for mine, theirs in zip(built.of(["b", "a"]), loaded.of(["b", "a"]), strict=True):
        assert np.array_equal(mine, theirs)
    assert [len(each) for each in loaded.of(["b", "a"])] == [3, 2]


def test_a_collection_without_chunks_has_no_tokens(tmp_path):
    TokenVectors.build([], []).save(tmp_path)

    assert "a" not in TokenVectors.load(tmp_path)


def test_tokens_that_stand_in_most_chunks_are_left_out():
    common, rare = 1012, 7000
    chunks = [codes(row, [common, rare + row, common]) for row in range(40)]

    kept = TokenVectors.build([f"c{row:02}" for row in range(40)], chunks)

    assert np.array_equal(kept.of(["c03"])[0], chunks[3].codes[1:2])


def test_a_chunk_of_common_tokens_alone_keeps_them():
    chunks = [codes(row, [1012]) for row in range(40)]

    kept = TokenVectors.build([f"c{row:02}" for row in range(40)], chunks)

    assert len(kept.of(["c03"])[0]) == 1


@pytest.mark.parametrize("name", ["ids", "ends.npy", "codes.npy"])
@pytest.mark.parametrize("damage", ["missing", "torn"])
def test_a_torn_file_is_told(tmp_path, name, damage):
    TokenVectors.build(["a", "b"], [codes(1, [5, 6]), codes(2, [7, 8, 9])]).save(tmp_path)
    path = tmp_path / name
    path.unlink() if damage == "missing" else path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(IndexUnusableError, match="build the release again"):
        TokenVectors.load(tmp_path)
