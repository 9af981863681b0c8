"""The BM25 scores that are built from a stream of words are those of bm25s."""

from __future__ import annotations

import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.retrieval import term_scores as module
from rag.retrieval.term_scores import term_scores

WORDS = st.lists(st.sampled_from("open close nine five library shop door key tea cup".split()), min_size=1, max_size=9)


def by_bm25s(texts):
    vocabulary = sorted({word for text in texts for word in text})
    numbers = {word: number for number, word in enumerate(vocabulary)}
    bm25 = bm25s.BM25()
    bm25.index(([[numbers[word] for word in text] for text in texts], numbers), show_progress=False)
    return vocabulary, bm25.scores


@given(st.lists(WORDS, min_size=1, max_size=12), st.integers(1, 5))
def test_scores_are_those_of_bm25s_to_the_last_bit(texts, block):
    vocabulary, wanted = by_bm25s(texts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        found = term_scores(iter(texts))

    assert (found.vocabulary, found.texts) == (vocabulary, len(texts))
    for name in ("data", "indices", "indptr"):
        assert np.array_equal(getattr(found, name), wanted[name])
