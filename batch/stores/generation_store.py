"""The generation store: every generation ever made, by fingerprint. Answers and proposals have one each.

One Parquet file per group of answers, written when they are done, is the checkpoint: a run that was killed starts again
and finds what is done. The store outlives runs, so a question that comes back after a year, with the same passages,
prompt, model and sampling, costs nothing. A file is named by the hash of its fingerprints, so a group that is
written twice is one file.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TypedDict

import pyarrow as pa
import pyarrow.compute as pc

from batch.stores.parquet import count_rows, read_table, read_tables, rows_to_table, table_rows, write_table
from rag.identity import stable_hash
from warehouse.arrow_schema import schema_of


class GenerationRow(TypedDict):
    """A text that the language model wrote, and what it took."""

    fingerprint: str
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    run_id: str
    generated_at: datetime
    seconds: float


GENERATIONS = schema_of(GenerationRow)


def batch_name(keys: Iterable[str]) -> str:
    """Return the name of a batch's file: the hash of its keys, in any order."""
    return stable_hash(*sorted(keys))


def write_generations(store: str, rows: list[GenerationRow]) -> None:
    """Write one batch of generations."""
    if rows:
        name = batch_name(row["fingerprint"] for row in rows)
        write_table(f"{store}/{name}.parquet", rows_to_table(rows, GenerationRow))


def known_fingerprints(store: str) -> set[str]:
    """Return the fingerprints of all generations in the store."""
    return set(read_table(store, GENERATIONS, ["fingerprint"])["fingerprint"].to_pylist())


def generated_since(store: str, moment: datetime) -> set[str]:
    """Return the fingerprints of the generations in the store that are no older."""
    table = read_table(store, GENERATIONS, ["fingerprint", "generated_at"])
    young = pc.greater_equal(table["generated_at"], pa.scalar(moment, table["generated_at"].type))
    return set(table.filter(young)["fingerprint"].to_pylist())


def find_generations(store: str, wanted: Iterable[str]) -> dict[str, GenerationRow]:
    """Return the newest generation of each wanted fingerprint, as far as it is known."""
    values = pa.array(sorted(set(wanted)), pa.string())
    found: dict[str, GenerationRow] = {}
    for table in read_tables(f"{store}/*.parquet", GENERATIONS):
        for row in table_rows(table.filter(pc.is_in(table["fingerprint"], values)), GenerationRow):
            known = found.setdefault(row["fingerprint"], row)
            if row["generated_at"] > known["generated_at"]:
                found[row["fingerprint"]] = row
    return found


def made_by_run(store: str, run_id: str) -> tuple[set[str], dict[str, int]]:
    """Return the fingerprints that a run generated, earlier attempts included, and its tokens by kind."""
    kinds = ["prompt_tokens", "completion_tokens", "cached_tokens"]
    table = read_table(store, GENERATIONS, ["fingerprint", "run_id", *kinds])
    own = table.filter(pc.equal(table["run_id"], run_id))
    each = own.group_by("fingerprint").aggregate([(kind, "min") for kind in kinds])  # two workers may have made one
    return set(each["fingerprint"].to_pylist()), {kind: pc.sum(each[f"{kind}_min"]).as_py() or 0 for kind in kinds}


def count_generations(store: str) -> int:
    """Count the generations in the store."""
    return count_rows(store)
