"""Files of prompts, in the order in which they are generated: what a pipeline hands to its workers by name.

Beam compresses what a pipeline carries five times over, at 1.4 MB a second, so it carries names. The driver holds the
keys and their places alone: prompts go from the files of an earlier stage through spools of some thousand each, by
place, and each spool is sorted in memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypedDict

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from batch.stores.parquet import empty_folder, list_files, rows_to_table, write_table
from warehouse.arrow_schema import schema_of

_READ = 2048  # prompts read at once
_SPOOL = 8192  # prompts sorted at once
_LEAST, _MOST = 16, 512  # prompts of a file
_FILES = 16  # wanted at least, so that several workers have something to do


class ChatRow(TypedDict):
    """A prompt to be generated: `question` names it in a reject, `messages` is the chat as JSON.

    Prompts with the same `prefix`, such as the first passage, share the beginning of their text.
    """

    collection: str
    question: str
    fingerprint: str
    messages: str
    prefix: str


_CHATS = schema_of(ChatRow)
_PLACED = _CHATS.append(pa.field("place", pa.int64()))


def write_prompts(folder: str, rows: Sequence[ChatRow]) -> list[str]:
    """Write prompts as files, in order, and return the files."""
    empty_folder(folder)
    return _write(folder, [rows_to_table(list(rows), ChatRow)], len(rows))


def order_prompts(source: str, places: Mapping[str, int], folder: str) -> list[str]:
    """Write the prompts of a folder of prompts tables as files, in the order of `places`, and return the files.

    `places` are 0 to n - 1 by fingerprint; the other prompts are left out.
    """
    empty_folder(folder)
    with tempfile.TemporaryDirectory() as spools:
        _spool(_placed(source, dict(places)), Path(spools))
        spooled = (_sorted(path) for path in sorted(Path(spools).iterdir()))
        return _write(folder, spooled, len(places))


def _placed(source: str, places: dict[str, int]) -> Iterator[pa.Table]:
    """Yield the wanted prompts with their places, each once."""
    columns = ["collection", "question", "fingerprint", "messages", "chunk_ids"]
    for path in list_files(f"{source}/*.parquet"):
        with FileSystems.open(path, compression_type="uncompressed") as stream:
            for batch in pq.ParquetFile(stream).iter_batches(_READ, columns=columns):
                rows = [places.pop(key, None) for key in batch["fingerprint"].to_pylist()]
                wanted = pa.array([row is not None for row in rows])
                prefixes = [ids[0] if ids else "" for ids in batch["chunk_ids"].to_pylist()]
                table = pa.table(
                    {
                        **{name: batch[name] for name in columns[:-1]},
                        "prefix": pa.array(prefixes, pa.string()),
                        "place": pa.array(rows, pa.int64()),
                    }
                )
                yield table.filter(wanted).cast(_PLACED)


def _spool(tables: Iterable[pa.Table], folder: Path) -> None:
    """Append each prompt to the spool of its place."""
    writers: dict[int, pa.RecordBatchStreamWriter] = {}
    with ExitStack() as open_files:
        for table in tables:
            spools = pa.array([place // _SPOOL for place in table["place"].to_pylist()], pa.int64())
            for number in sorted(set(spools.to_pylist())):
                if number not in writers:
                    sink = open_files.enter_context(pa.OSFile(str(folder / f"{number:06}.arrow"), "wb"))
                    writers[number] = open_files.enter_context(pa.ipc.new_stream(sink, _PLACED))
                writers[number].write_table(table.filter(pa.compute.equal(spools, number)))


def _sorted(path: Path) -> pa.Table:
    with pa.OSFile(str(path), "rb") as stored, pa.ipc.open_stream(stored) as stream:
        return stream.read_all().sort_by("place").select(_CHATS.names)


def _write(folder: str, tables: Iterable[pa.Table], total: int) -> list[str]:
    size = max(_LEAST, min(_MOST, total // _FILES))
    paths: list[str] = []
    for table in tables:
        for start in range(0, table.num_rows, size):
            paths.append(f"{folder}/{len(paths):06}.parquet")
            write_table(paths[-1], table.slice(start, size))
    return paths
