"""The answer store: every generation that was ever made, by fingerprint.

One Parquet file a batch, written when the batch is done, is the checkpoint: a run that is killed starts
again and finds what was done. The store outlives runs, so a question that comes back after a year, with the
same passages, prompt, model and sampling, costs nothing. A file's name is the hash of its fingerprints: a
batch that runs twice writes the same file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from batch.stores.parquet import count_rows, read_table, read_tables, rows_to_table, write_table
from rag.identity import stable_hash

GENERATIONS = pa.schema(
    [
        pa.field("fingerprint", pa.string()),
        pa.field("text", pa.string()),
        pa.field("finish_reason", pa.string()),
        pa.field("prompt_tokens", pa.int64()),
        pa.field("completion_tokens", pa.int64()),
        pa.field("cached_tokens", pa.int64()),
        pa.field("run_id", pa.string()),
        pa.field("generated_at", pa.timestamp("us", tz="UTC")),
        pa.field("seconds", pa.float64()),
    ]
)


def batch_name(fingerprints: Iterable[str]) -> str:
    """Name a batch by what is in it."""
    return stable_hash(*sorted(fingerprints))


def write_checkpoint(store: str, rows: Sequence[dict[str, Any]]) -> None:
    """Write one batch of generations."""
    if rows:
        name = batch_name(row["fingerprint"] for row in rows)
        write_table(f"{store}/{name}.parquet", rows_to_table(rows, GENERATIONS))


def known_fingerprints(store: str) -> set[str]:
    """Return every fingerprint whose answer is known."""
    return set(read_table(store, GENERATIONS, ["fingerprint"])["fingerprint"].to_pylist())


def find_generations(store: str, wanted: Iterable[str]) -> pa.Table:
    """Return the generations of the wanted fingerprints, one row each."""
    values = pa.array(sorted(set(wanted)), pa.string())
    found = [
        table.filter(pc.is_in(table["fingerprint"], values)) for table in read_tables(f"{store}/*.parquet", GENERATIONS)
    ]
    table = pa.concat_tables([GENERATIONS.empty_table(), *found])
    first = pc.unique(table["fingerprint"])
    if len(first) == table.num_rows:
        return table
    rows = {row: index for index, row in reversed(list(enumerate(table["fingerprint"].to_pylist())))}
    return table.take(sorted(rows.values()))


def made_by_run(store: str, run_id: str) -> tuple[set[str], dict[str, int]]:
    """Return what a run generated, earlier attempts of it included, and its tokens by kind."""
    kinds = ["prompt_tokens", "completion_tokens", "cached_tokens"]
    table = read_table(store, GENERATIONS, ["fingerprint", "run_id", *kinds])
    own = table.filter(pc.equal(table["run_id"], run_id))
    return set(own["fingerprint"].to_pylist()), {kind: pc.sum(own[kind]).as_py() or 0 for kind in kinds}


def checkpoint_rows(store: str) -> int:
    """Count the generations in the store."""
    return count_rows(store)
