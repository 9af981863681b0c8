"""The token store: the coded token vectors of each chunk's text, computed once in the life of the store.

They come from the pass that makes the text's own vector, so `batch.stores.embedding_store` writes both, in files of the
same names. Only chunks have them: a question's are compared as they come from the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.stores.parquet import read_table, read_tables, write_table
from rag.retrieval.token_vectors import TokenCodes

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


def find_tokens(store: str, hashes: Sequence[str]) -> list[TokenCodes]:
    """Return the token vectors of n text hashes, in order; raise KeyError if one is unknown."""
    wanted = pa.array(sorted(set(hashes)), pa.string())
    found: dict[str, TokenCodes] = {}
    for table in read_tables(f"{store}/*.parquet", TOKENS):
        rows = table.filter(pc.is_in(table["text_hash"], wanted))
        for text_hash, tokens, codes in zip(*(rows[name].to_pylist() for name in TOKENS.names), strict=True):
            ids = np.frombuffer(tokens, np.int32)
            found[text_hash] = TokenCodes(ids, np.frombuffer(codes, np.uint8).reshape(len(ids), -1))
    return [found[text_hash] for text_hash in hashes]
