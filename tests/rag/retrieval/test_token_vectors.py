"""Two bits a dimension: what is kept of token vectors, and how they are stored."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.errors import IndexUnusableError
from rag.retrieval.token_vectors import TokenCodes, TokenVectors, decode, encode, save_token_vectors

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


def saved(folder, ids, chunks, texts=None):
    texts = texts or ids
    by_text = dict(zip(texts, chunks, strict=True))
    tokens = {text: each.tokens for text, each in by_text.items()}
    save_token_vectors(folder, ids, texts, tokens, ((text, each.codes) for text, each in reversed(by_text.items())))
    return folder


def test_what_is_saved_is_mapped_again(tmp_path):
    a, b = codes(1, [5, 6]), codes(2, [7, 8, 9])

    loaded = TokenVectors.load(saved(tmp_path, ["a", "b"], [a, b]))

    assert "a" in loaded and "c" not in loaded and "" not in loaded
    for found, wanted in zip(loaded.of(["b", "a"]), (b, a), strict=True):
        assert np.array_equal(found, wanted.codes)


def test_chunks_of_equal_text_share_their_codes(tmp_path):
    same = codes(1, [5, 6])

    loaded = TokenVectors.load(saved(tmp_path, ["a", "b"], [same, same], texts=["t", "t"]))

    assert np.array_equal(*loaded.of(["a", "b"]))
    assert len(np.load(tmp_path / "codes.npy")) == 2


def test_a_collection_without_chunks_has_no_tokens(tmp_path):
    assert "a" not in TokenVectors.load(saved(tmp_path, [], []))


def test_tokens_that_stand_in_most_chunks_are_left_out(tmp_path):
    common, rare = 1012, 7000
    chunks = [codes(row, [common, rare + row, common]) for row in range(40)]

    kept = TokenVectors.load(saved(tmp_path, [f"c{row:02}" for row in range(40)], chunks))

    assert np.array_equal(kept.of(["c03"])[0], chunks[3].codes[1:2])


def test_a_chunk_of_common_tokens_alone_keeps_them(tmp_path):
    chunks = [codes(row, [1012]) for row in range(40)]

    kept = TokenVectors.load(saved(tmp_path, [f"c{row:02}" for row in range(40)], chunks))

    assert len(kept.of(["c03"])[0]) == 1


@pytest.mark.parametrize("name", ["ids", "spans.npy", "codes.npy"])
@pytest.mark.parametrize("damage", ["missing", "torn"])
def test_a_torn_file_is_refused(tmp_path, name, damage):
    path = saved(tmp_path, ["a", "b"], [codes(1, [5, 6]), codes(2, [7, 8, 9])]) / name
    path.unlink() if damage == "missing" else path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(IndexUnusableError, match="build the release again"):
        TokenVectors.load(tmp_path)
