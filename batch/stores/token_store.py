"""The token store: the coded token vectors of each chunk's text, computed once in the life of the store.

They come from the pass that makes the text's own vector, so `batch.stores.embedding_store` writes both, in files of the
same names. Only chunks have them: a question's are compared as they come from the encoder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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


def find_token_ids(store: str, hashes: Sequence[str]) -> dict[str, NDArray[np.int32]]:
    """Return the tokens of text hashes, without their vectors; raise KeyError if one is unknown."""
    found: dict[str, NDArray[np.int32]] = {}
    for text_hash, tokens in _read(store, hashes, "tokens"):
        found[text_hash] = np.frombuffer(tokens, np.int32)
    unknown = set(hashes) - found.keys()
    if unknown:
        raise KeyError(f"{len(unknown)} texts have no token vectors in {store}, one is {min(unknown)}")
    return found


def read_codes(store: str, hashes: Sequence[str], dimensions: int) -> Iterator[tuple[str, Codes]]:
    """Yield the coded token vectors of text hashes, in the order of the store's files."""
    for text_hash, codes in _read(store, hashes, "codes"):
        yield text_hash, np.frombuffer(codes, np.uint8).reshape(-1, dimensions // 4)


def _read(store: str, hashes: Sequence[str], column: str) -> Iterator[tuple[str, bytes]]:
    wanted = pa.array(sorted(set(hashes)), pa.string())
    for table in read_tables(f"{store}/*.parquet", TOKENS, ["text_hash", column]):
        rows = table.filter(pc.is_in(table["text_hash"], wanted))
        yield from zip(rows["text_hash"].to_pylist(), rows[column].to_pylist(), strict=True)
