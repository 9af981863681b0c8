"""The sentence encoder, without torch: ONNX Runtime and `tokenizers`.

It gives the same vectors as sentence-transformers, in a third of the time, and starts in half a second
(docs/measurements.md). The batch run embeds with sentence-transformers (`batch/stages/index.py`), which can use a GPU;
the audit checks that both agree.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.errors import ModelError
from rag.retrieval.onnx_session import ModelOutput, OnnxSession
from rag.retrieval.token_vectors import TokenCodes, encode
from rag.retrieval.vectors import Vectors

ENCODER = "encoder.json"
_REMEMBERED = 64  # questions
_TOGETHER = 3_000  # characters, padding included, in a batch: what fits the processor's caches is quickest
_UNKNOWN = ("[UNK]", "<unk>", "[unk]")


@dataclass(frozen=True)
class EncoderSpec:
    """The contents of `encoder.json`: how many tokens the encoder reads, how it pools them, its prefixes.

    Encoders like E5 were trained with "query: " before questions and "passage: " before passages.
    """

    max_tokens: int
    dimensions: int
    pooling: str
    normalise: bool
    query_prefix: str = ""
    passage_prefix: str = ""


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
        # late interaction reads the tokens of a question that was embedded just before
        self._one = functools.lru_cache(_REMEMBERED)(lambda text: session.run([text]))

    @classmethod
    def load(cls, folder: Path, threads: int = 0, spec: EncoderSpec | None = None) -> OnnxEncoder:
        """Load `model.onnx`, `tokenizer.json` and `encoder.json`; `threads` 0 means one per core.

        `spec` is used instead of `encoder.json` where it is given.

        Raises:
            ModelError: a file is missing or torn.
        """
        spec = spec or read_spec(folder)
        return cls(OnnxSession.load(folder, "encoder", spec.max_tokens, threads), spec)

    def embed(self, texts: Sequence[str], batch_size: int = 32) -> Vectors:
        """Return the vectors of n questions, shape (n, dimensions); texts are truncated to `spec.max_tokens`."""
        return self._counted(texts, self.spec.query_prefix, batch_size)[0]

    def embed_passages(self, texts: Sequence[str], batch_size: int = 32) -> Vectors:
        """Return the vectors of n passages, shape (n, dimensions)."""
        return self._counted(texts, self.spec.passage_prefix, batch_size)[0]

    def embed_counted(self, texts: Sequence[str], batch_size: int = 32) -> tuple[Vectors, int]:
        """Return the vectors of n questions, and how many tokens the encoder read."""
        return self._counted(texts, self.spec.query_prefix, batch_size)

    def _counted(self, texts: Sequence[str], prefix: str, batch_size: int) -> tuple[Vectors, int]:
        vectors, tokens = np.zeros((len(texts), self.spec.dimensions), dtype=np.float32), 0
        for rows, output in self._batches(texts, prefix, batch_size):
            vectors[rows] = _pool(output.values, output.mask, self.spec)
            tokens += int(output.mask.sum())
        return vectors, tokens

    def embed_with_tokens(self, texts: Sequence[str], batch_size: int = 32) -> tuple[Vectors, list[TokenCodes]]:
        """Return the vectors of n passages, and the codes of their tokens from the same pass through the model."""
        vectors = np.zeros((len(texts), self.spec.dimensions), dtype=np.float32)
        tokens: dict[int, TokenCodes] = {}
        for rows, output in self._batches(texts, self.spec.passage_prefix, batch_size):
            vectors[rows] = _pool(output.values, output.mask, self.spec)
            for row, states, ids, mask in zip(rows, output.values, output.ids, output.mask, strict=True):
                tokens[row] = TokenCodes(ids[mask > 0].astype(np.int32), encode(states[mask > 0]))
        return vectors, [tokens[row] for row in range(len(texts))]

    def embed_with_states(
        self, texts: Sequence[str], batch_size: int = 32
    ) -> tuple[Vectors, list[tuple[NDArray[np.int32], Vectors]]]:
        """Return the vectors of n questions, and what `token_states` returns of each, from one pass."""
        vectors = np.zeros((len(texts), self.spec.dimensions), dtype=np.float32)
        states: dict[int, tuple[NDArray[np.int32], Vectors]] = {}
        for rows, output in self._batches(texts, self.spec.query_prefix, batch_size):
            vectors[rows] = _pool(output.values, output.mask, self.spec)
            for row, values, ids, mask in zip(rows, output.values, output.ids, output.mask, strict=True):
                states[row] = self._own(ids[mask > 0], values[mask > 0])
        return vectors, [states[row] for row in range(len(texts))]

    def token_states(self, text: str) -> tuple[NDArray[np.int32], Vectors]:
        """Return the numbers of a question's tokens, shape (tokens,), and their vectors, shape (tokens, dimensions).

        Those of the prefix are left out: no passage has them, so they would count most in late interaction.
        """
        output = self._one(self.spec.query_prefix + text)
        return self._own(output.ids[0], output.values[0])

    def _own(self, ids: NDArray[np.int64], values: Vectors) -> tuple[NDArray[np.int32], Vectors]:
        own = self._prefix_length(ids.tolist())
        return ids[own:].astype(np.int32), values[own:]

    def _prefix_length(self, ids: Sequence[int]) -> int:
        """Return how many of a question's tokens are the prefix's, with what stands before it."""
        prefix = self.spec.query_prefix.rstrip()  # the blank after it is part of the first word
        alike = zip(self._session.tokens(prefix) if prefix else (), ids[:-1], strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], alike))

    def _batches(self, texts: Sequence[str], prefix: str, size: int) -> Iterator[tuple[list[int], ModelOutput]]:
        for rows in _alike([len(prefix) + len(text) for text in texts], size):
            read = [prefix + texts[i] for i in rows]
            yield rows, self._one(read[0]) if len(read) == 1 else self._session.run(read)


def _alike(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Yield batches of texts of about the same length, by their numbers: at most `size` and `_TOGETHER` characters."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) == size or lengths[row] * (len(batch) + 1) > _TOGETHER):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


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

    def tokens_and_unknown(self, text: str) -> tuple[int, int]:
        """Return how many tokens a text has, and how many of them stand for what the encoder does not know."""
        unknown = {self._tokenizer.token_to_id(name) for name in _UNKNOWN}
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        return len(ids), sum(number in unknown for number in ids)

    def vocabulary(self) -> list[str]:
        """Return the encoder's tokens as the text that they stand for."""
        texts: list[str] = self._tokenizer.decode_batch(
            [[number] for number in range(self._tokenizer.get_vocab_size())]
        )
        return texts
