"""The service's encoder: vectors that don't depend on the batch, and clear errors."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.errors import ModelError
from rag.retrieval.embedding import OnnxEncoder, TokenCounter

TEXTS = ["How do I reset my password?", "a", "", "The cat sat on the mat. " * 8, "Ünïcödé 文字 🙂", "a\x00b\n"]


@pytest.fixture(scope="module")
def encoder(encoder_folder):
    return OnnxEncoder.load(encoder_folder, threads=1)


@pytest.fixture
def copied(encoder_folder, tmp_path):
    """A copy of the encoder's folder; the model file is shared."""
    for name in ("tokenizer.json", "encoder.json"):
        shutil.copy(encoder_folder / name, tmp_path / name)
    (tmp_path / "model.onnx").symlink_to((encoder_folder / "onnx" / "model.onnx").resolve())
    return tmp_path


def test_each_text_becomes_a_vector_of_length_one(encoder):
    vectors = encoder.embed(TEXTS)

    assert (vectors.dtype, vectors.shape) == (np.float32, (len(TEXTS), encoder.spec.dimensions))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_no_texts_give_no_vectors(encoder):
    assert encoder.embed([]).shape == (0, encoder.spec.dimensions)


@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=6), st.integers(1, 4))
@settings(deadline=None, max_examples=10)
def test_the_vector_of_a_text_does_not_depend_on_its_batch(encoder, texts, batch_size):
    alone = {text: encoder.embed([text])[0] for text in set(texts)}

    together = encoder.embed(texts, batch_size)

    for text, vector in zip(texts, together, strict=True):
        assert vector == pytest.approx(alone[text], abs=1e-5)


def test_one_pass_gives_the_vectors_and_the_token_states_of_many_questions(encoder):
    vectors, states = encoder.embed_with_states(TEXTS)

    assert np.allclose(vectors, encoder.embed(TEXTS), atol=1e-5)
    for text, (tokens, each) in zip(TEXTS, states, strict=True):
        alone, expected = encoder.token_states(text)
        assert tokens.tolist() == alone.tolist()
        assert np.allclose(each, expected, atol=1e-4)


def test_texts_of_the_same_meaning_are_closer_than_others(encoder):
    asked, same, other = encoder.embed(
        ["How do I reset my password?", "I forgot my password, how can I change it?", "When does the museum open?"]
    )

    assert asked @ same > 0.6
    assert asked @ other < 0.3


def test_long_texts_are_truncated(encoder):
    start = "word " * 600

    one, other = encoder.embed([start, start + "something else entirely"])

    assert one == pytest.approx(other, abs=1e-6)


def test_an_encoder_loads_from_a_flat_folder(copied, encoder):
    assert OnnxEncoder.load(copied).embed(["a text"]) == pytest.approx(encoder.embed(["a text"]), abs=1e-5)


def test_pooling_follows_the_specification_of_the_folder(copied, encoder):
    described = json.loads((copied / "encoder.json").read_text())
    (copied / "encoder.json").write_text(json.dumps({**described, "pooling": "cls", "normalise": False}))

    first_token = OnnxEncoder.load(copied).embed(["a text"])

    assert abs(np.linalg.norm(first_token) - 1) > 0.1
    assert first_token[0] @ encoder.embed(["a text"])[0] < 0.99 * np.linalg.norm(first_token)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "encoder.json"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"\x08\x01torn"])
def test_a_file_that_is_missing_or_torn_is_refused_with_what_to_do(copied, name, content):
    (copied / name).unlink()
    if content is not None:
        (copied / name).write_bytes(content)

    with pytest.raises(ModelError, match=r"(can't be loaded|not an encoder) .* pull it again"):
        OnnxEncoder.load(copied)


def test_an_unsupported_pooling_is_refused(copied):
    described = json.loads((copied / "encoder.json").read_text())
    (copied / "encoder.json").write_text(json.dumps({**described, "pooling": "max"}))

    with pytest.raises(ModelError, match="pooling 'max' is not served"):
        OnnxEncoder.load(copied)


def test_tokens_are_counted_as_the_encoder_reads_them(encoder_folder):
    count = TokenCounter(encoder_folder)

    assert count("") == 2  # the special tokens
    assert count("hello") == 3
    assert count("hello " * 1000) == 1002  # neither truncated nor padded


def test_a_counter_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"tokenizer.json: can't be loaded"):
        TokenCounter(tmp_path)
