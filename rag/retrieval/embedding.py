"""The sentence encoder, without torch: ONNX Runtime and `tokenizers`.

It gives the same vectors as sentence-transformers, in a third of the time, and starts in half a second
(docs/measurements.md). The batch run embeds with sentence-transformers (`batch/stages/index.py`), which can use a GPU;
the audit checks that both agree.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.errors import ModelError
from rag.retrieval.onnx_session import ModelOutput, OnnxSession
from rag.retrieval.token_vectors import TokenCodes, encode
from rag.retrieval.vectors import Vectors

ENCODER = "encoder.json"


@dataclass(frozen=True)
class EncoderSpec:
    """The contents of `encoder.json`: how many tokens the encoder reads and how it pools them."""

    max_tokens: int
    dimensions: int
    pooling: str
    normalise: bool


def read_spec(folder: Path) -> EncoderSpec:
    """Read `encoder.json`.

    Raises:
        ModelError: the file is missing or torn, or names an unsupported pooling.
    """
    try:
        spec = EncoderSpec(**json.loads((folder / ENCODER).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{folder}: not an encoder ({error}); pull it again with `beforehand models pull`") from error
    if spec.pooling not in ("mean", "cls"):
        raise ModelError(f"{folder / ENCODER}: pooling {spec.pooling!r} is not served; mean and cls are")
    return spec


class OnnxEncoder:
    """A sentence encoder: texts in, float32 vectors out, of length 1 if the encoder normalises."""

    def __init__(self, session: OnnxSession, spec: EncoderSpec) -> None:
        self._session = session
        self.spec = spec

    @classmethod
    def load(cls, folder: Path, threads: int = 0) -> OnnxEncoder:
        """Load `model.onnx`, `tokenizer.json` and `encoder.json`; `threads` 0 means one per core.

        Raises:
            ModelError: a file is missing or torn.
        """
        spec = read_spec(folder)
        return cls(OnnxSession.load(folder, "encoder", spec.max_tokens, threads), spec)

    def embed(self, texts: Sequence[str], batch_size: int = 32) -> Vectors:
        """Return the vectors of n texts, shape (n, dimensions); texts are truncated to `spec.max_tokens`."""
        vectors = np.zeros((len(texts), self.spec.dimensions), dtype=np.float32)
        for rows, output in self._batches(texts, batch_size):
            vectors[rows] = _pool(output.values, output.mask, self.spec)
        return vectors

    def embed_counted(self, texts: Sequence[str], batch_size: int = 32) -> tuple[Vectors, int]:
        """Return the vectors of n texts, and how many tokens the encoder read."""
        vectors, tokens = np.zeros((len(texts), self.spec.dimensions), dtype=np.float32), 0
        for rows, output in self._batches(texts, batch_size):
            vectors[rows] = _pool(output.values, output.mask, self.spec)
            tokens += int(output.mask.sum())
        return vectors, tokens

    def embed_with_tokens(self, texts: Sequence[str], batch_size: int = 32) -> tuple[Vectors, list[TokenCodes]]:
        """Return the vectors of n texts, and the codes of their tokens from the same pass through the model."""
        vectors = np.zeros((len(texts), self.spec.dimensions), dtype=np.float32)
        tokens: dict[int, TokenCodes] = {}
        for rows, output in self._batches(texts, batch_size):
            vectors[rows] = _pool(output.values, output.mask, self.spec)
            for row, states, ids, mask in zip(rows, output.values, output.ids, output.mask, strict=True):
                tokens[row] = TokenCodes(ids[mask > 0].astype(np.int32), encode(states[mask > 0]))
        return vectors, [tokens[row] for row in range(len(texts))]

    def token_states(self, text: str) -> tuple[NDArray[np.int32], Vectors]:
        """Return the numbers of a text's tokens, shape (tokens,), and their vectors, shape (tokens, dimensions)."""
        output = self._session.run([text])
        return output.ids[0].astype(np.int32), output.values[0]

    def _batches(self, texts: Sequence[str], size: int) -> Iterator[tuple[list[int], ModelOutput]]:
        by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # less padding
        for start in range(0, len(texts), size):
            rows = by_length[start : start + size]
            yield rows, self._session.run([texts[i] for i in rows])


def _pool(hidden: Vectors, mask: NDArray[np.int64], spec: EncoderSpec) -> Vectors:
    if spec.pooling == "cls":
        pooled = hidden[:, 0]
    else:
        weights = mask[:, :, None].astype(np.float32)
        pooled = (hidden * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-9)
    if spec.normalise:
        pooled = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
    return pooled.astype(np.float32)


class TokenCounter:
    """Counts the encoder's tokens in a text, special tokens included."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:
            raise ModelError(
                f"{folder / 'tokenizer.json'}: can't be loaded ({error}); pull it again with `beforehand models pull`"
            ) from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def __call__(self, text: str) -> int:
        """Return the number of tokens in a text."""
        return len(self._tokenizer.encode(text).ids)

    def vocabulary(self) -> list[str]:
        """Return the encoder's tokens as the text that they stand for."""
        texts: list[str] = self._tokenizer.decode_batch(
            [[number] for number in range(self._tokenizer.get_vocab_size())]
        )
        return texts
