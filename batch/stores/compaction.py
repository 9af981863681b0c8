"""Compaction of the stores: many small files become few larger ones.

A run adds a file per batch, so a team that runs every night has thousands after a year, and each is opened at least
twice a run. Beyond `_MOST` small files they are merged. A merged file is written whole before its parts are deleted;
a crash in between leaves rows twice, which readers ignore and the next compaction drops. Only the holder of the
build's lease may compact, since a reader could miss a deleted part.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.io.filesystems import FileSystems

from batch.plan import RETRIEVAL_STORES, RunPlan
from batch.stores.embedding_store import EMBEDDINGS
from batch.stores.generation_store import GENERATIONS, batch_name
from batch.stores.parquet import file_sizes, is_parquet, read_tables, sweep_hidden, write_table
from batch.stores.token_store import TOKENS

_MOST = 200  # small files
_SMALL = 16_000_000  # bytes; larger files are not merged
_MERGED = 64_000_000  # bytes that are merged at once, to bound the memory


def tidy_stores(plan: RunPlan) -> int:
    """Remove what crashes left in the stores, then compact them; return how many files were merged."""
    stores = (
        (plan.answer_store, GENERATIONS, "fingerprint"),
        (plan.proposal_store, GENERATIONS, "fingerprint"),
        *((plan.retrieval_store(kind), GENERATIONS, "fingerprint") for kind in RETRIEVAL_STORES),
        (plan.embedding_store, EMBEDDINGS, "text_hash"),
        (plan.token_store, TOKENS, "text_hash"),
    )
    for store, _, _ in stores:
        sweep_hidden(store)
        drop_torn(store)
    return sum(compact_store(store, schema, key) for store, schema, key in stores)


def compact_store(store: str, schema: pa.Schema, key: str, most: int = _MOST) -> int:
    """Merge the small files of a store if there are more than `most`; keep one row per `key`."""
    small = {path: size for path, size in file_sizes(f"{store}/*.parquet").items() if size < _SMALL}
    if len(small) <= most:
        return 0
    merged = 0
    for parts in _groups(small):
        tables = [table for part in parts for table in read_tables(part, schema)]
        table = _first_of_each(pa.concat_tables(tables), key)
        target = f"{store}/{batch_name(table[key].to_pylist())}.parquet"
        write_table(target, table)
        FileSystems.delete([part for part in parts if part != target])
        merged += len(parts)
    return merged


def drop_torn(store: str) -> int:
    """Remove torn files (a disk lost a part): their rows are computed again."""
    torn = [path for path in file_sizes(f"{store}/*.parquet") if not is_parquet(path)]
    if torn:
        FileSystems.delete(torn)
    return len(torn)


def _groups(sizes: dict[str, int]) -> Iterator[list[str]]:
    """Group files, in order, up to `_MERGED` bytes; drop groups of a single file."""
    group: list[str] = []
    total = 0
    for path, size in sizes.items():
        if group and total + size > _MERGED:
            yield group
            group, total = [], 0
        group.append(path)
        total += size
    if len(group) > 1:
        yield group


def _first_of_each(table: pa.Table, key: str) -> pa.Table:
    """Keep the newest row of each key, else the first, as readers do."""
    if "generated_at" in table.column_names:
        table = table.take(pc.sort_indices(table, [("generated_at", "descending")]))
    rows = pa.table({"key": table[key], "row": pa.array(range(table.num_rows))})
    first = rows.group_by("key").aggregate([("row", "min")])["row_min"]
    return table.take(first.take(pc.sort_indices(first)))
