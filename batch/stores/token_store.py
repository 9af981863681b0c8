"""The token store: the coded token vectors of each chunk's text, computed once in the life of the store.

They come from the pass that makes the text's own vector, so `batch.stores.embedding_store` writes both, in files of the
same names. Only chunks have them: a question's are compared as they come from the encoder.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from batch.stores.parquet import read_table, read_tables, write_table
from rag.retrieval.token_vectors import Codes, TokenCodes

# `tokens` are numbers of the encoder's vocabulary as int32, `codes` what `rag.retrieval.token_vectors.encode` returned.
TOKENS = pa.schema(
    [pa.field("text_hash", pa.string()), pa.field("tokens", pa.binary()), pa.field("codes", pa.binary())]
)


def known_token_hashes(store: str) -> set[str]:
    """Return the hashes of the texts whose token vectors are known."""
    return set(read_table(store, TOKENS, ["text_hash"])["text_hash"].to_pylist())


def write_tokens(path: str, hashes: Sequence[str], tokens: Sequence[TokenCodes]) -> None:
    """Write the token vectors of n text hashes as one file of the store."""
    columns = {
        "text_hash": list(hashes),
        "tokens": [each.tokens.astype(np.int32).tobytes() for each in tokens],
        "codes": [each.codes.tobytes() for each in tokens],
    }
    write_table(path, pa.table(columns, schema=TOKENS))


class _MappedTokens(Mapping[str, NDArray[np.int32]]):
    """The tokens of texts by their hashes: `tokens[ends[n - 1]:ends[n]]` are those of text number n."""

    def __init__(self, numbers: Mapping[str, int], ends: NDArray[np.int64], tokens: NDArray[np.int32]) -> None:
        self._numbers = numbers
        self._ends = ends
        self._tokens = tokens

    def __getitem__(self, text_hash: str) -> NDArray[np.int32]:
        number = self._numbers[text_hash]
        return self._tokens[self._ends[number] : self._ends[number + 1]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


def find_token_ids(store: str, hashes: Sequence[str]) -> Mapping[str, NDArray[np.int32]]:
    """Return the tokens of text hashes, without their vectors; raise KeyError if one is unknown.

    They are mapped from a temporary file.
    """
    numbers: dict[str, int] = {}
    sizes = [0]
    with tempfile.TemporaryFile() as file:  # the mapping keeps it
        for text_hash, tokens in _read(store, hashes, "tokens"):
            if text_hash not in numbers:
                numbers[text_hash] = len(numbers)
                sizes.append(len(tokens) // 4)
                file.write(tokens)
        file.flush()
        mapped: NDArray[np.int32] = np.memmap(file, np.int32, mode="r") if sum(sizes) else np.zeros(0, np.int32)
    unknown = set(hashes) - numbers.keys()
    if unknown:
        raise KeyError(f"{len(unknown)} texts have no token vectors in {store}, one is {min(unknown)}")
    return _MappedTokens(numbers, np.cumsum(sizes), mapped)


def read_codes(store: str, hashes: Sequence[str], dimensions: int) -> Iterator[tuple[str, Codes]]:
    """Yield the coded token vectors of text hashes, in the order of the store's files."""
    for text_hash, codes in _read(store, hashes, "codes"):
        yield text_hash, np.frombuffer(codes, np.uint8).reshape(-1, dimensions // 4)


def _read(store: str, hashes: Sequence[str], column: str) -> Iterator[tuple[str, bytes]]:
    wanted = frozenset(hashes)
    for table in read_tables(f"{store}/*.parquet", TOKENS, ["text_hash", column]):
        for text_hash, value in zip(table["text_hash"].to_pylist(), table[column], strict=True):
            if text_hash in wanted:
                yield text_hash, value.as_py()
