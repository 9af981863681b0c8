"""Whether an encoder reads the language of a corpus, judged by what its tokenizer makes of the words.

An encoder that was trained on a language has whole words of it, or large pieces; of others it has single letters, or
nothing. all-MiniLM-L6-v2 cuts English words into tokens of 3.8 letters and more, German of 2.5, Arabic of 1.0, and
knows no token for six of ten Chinese characters; a multilingual one stays above 2.9 (docs/measurements.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rag.retrieval.embedding import TokenCounter
from rag.text.characters import UNSPACED, combining_marks

_SAMPLE = 100_000  # characters
_MOST_UNKNOWN = 0.05
_LEAST_LETTERS = 2.8
_ENOUGH_LETTERS = 200  # fewer say nothing


@dataclass(frozen=True)
class EncoderFit:
    """How an encoder's tokenizer takes a corpus.

    `unknown` is the share of its tokens that stand for nothing, `letters_a_token` how long the pieces are that words
    with spaces between them are cut into (0 where there are too few).
    """

    unknown: float
    letters_a_token: float


def encoder_fit(texts: Iterable[str], tokenizer: TokenCounter) -> EncoderFit:
    """Measure how an encoder's tokenizer takes a sample of some texts."""
    sample, length = [], 0
    for text in texts:
        sample.append(text[:_SAMPLE])
        length += len(text)
        if length >= _SAMPLE:
            break
    tokens, unknown = tokenizer.tokens_and_unknown("\n".join(sample))
    mark = f"[{combining_marks()}]"
    words = re.findall(rf"(?:(?![{UNSPACED}])(?:[^\W\d_]|{mark}))+", "\n".join(sample))
    letters = sum(map(len, words))
    pieces = tokenizer(" ".join(words)) if letters >= _ENOUGH_LETTERS else 0
    return EncoderFit(unknown / max(tokens, 1), letters / pieces if pieces else 0.0)


def fit_warnings(fit: EncoderFit, encoder: str) -> list[str]:
    """Return a sentence for each way in which an encoder does not fit."""
    advice = "such passages are found badly by their meaning; set [encoder] model to one that was trained on it"
    if fit.unknown > _MOST_UNKNOWN:
        return [f"{fit.unknown:.0%} of the tokens are unknown to the encoder {encoder}: {advice}"]
    if 0 < fit.letters_a_token < _LEAST_LETTERS:
        pieces = f"{fit.letters_a_token:.1f} letters"
        return [
            f"the encoder {encoder} cuts the words into pieces of {pieces}, as of a language it never read: {advice}"
        ]
    return []
