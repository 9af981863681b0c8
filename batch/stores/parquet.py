"""Parquet through Beam's file systems: a local folder or an object store, the same calls.

A part is written under a hidden name and renamed, so that a reader never sees half of one. What a process that
was killed left under such a name, `sweep_hidden` removes.
"""

from __future__ import annotations

import io
import logging
import os
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.parquetio import WriteToParquetBatched

logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # an exception that is raised need not be logged too


def list_files(pattern: str) -> list[str]:
    """Return the files that a pattern matches, in order, hidden ones left out."""
    return list(file_sizes(pattern))


def file_sizes(pattern: str) -> dict[str, int]:
    """Return the files that a pattern matches with their sizes in bytes, in order, hidden ones left out."""
    found = {m.path: int(m.size_in_bytes) for result in FileSystems.match([pattern]) for m in result.metadata_list}
    return {path: found[path] for path in sorted(found) if not FileSystems.split(path)[1].startswith(".")}


def read_bytes(path: str) -> bytes:
    """Read a whole file as it is."""
    with FileSystems.open(path, compression_type="uncompressed") as stream:
        return bytes(stream.read())


def write_bytes(path: str, data: bytes) -> None:
    """Write a file whole or not at all."""
    folder, name = FileSystems.split(path)
    make_folder(folder)
    hidden = FileSystems.join(folder, f".{name}.{uuid.uuid4().hex[:8]}")
    with FileSystems.create(hidden, compression_type="uncompressed") as stream:
        stream.write(data)
        _sync(stream)
    FileSystems.rename([hidden], [path])


def _sync(stream: Any) -> None:
    """Bring a local file to the disk, so that a checkpoint outlives the machine; an object store does so itself."""
    stream.flush()
    try:
        os.fsync(stream.fileno())
    except (AttributeError, io.UnsupportedOperation):
        return


def sweep_hidden(folder: str) -> int:
    """Remove the half-written files that a killed process left; returns how many there were."""
    matches = [metadata.path for result in FileSystems.match([f"{folder}/*"]) for metadata in result.metadata_list]
    found = [path for path in matches if FileSystems.split(path)[1].startswith(".")]
    if found:
        FileSystems.delete(found)
    return len(found)


def make_folder(path: str) -> None:
    """Make a folder where the file system has such a thing."""
    if not FileSystems.exists(path):
        FileSystems.mkdirs(path)


def empty_folder(path: str) -> None:
    """Make a folder without Parquet files: a stage that runs again may write fewer of them than before."""
    make_folder(path)
    left = list_files(f"{path}/*.parquet")
    if left:
        FileSystems.delete(left)


def write_table(path: str, table: pa.Table) -> None:
    """Write one Parquet file whole or not at all."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_bytes(path, sink.getvalue().to_pybytes())


def read_tables(pattern: str, schema: pa.Schema, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Read the Parquet files that a pattern matches, one table a file; none is no error."""
    wanted = pa.schema([schema.field(name) for name in columns]) if columns else schema
    for path in list_files(pattern):
        with FileSystems.open(path, compression_type="uncompressed") as stream:  # reads the wanted columns alone
            yield pq.read_table(stream, columns=wanted.names).cast(wanted)


def read_table(folder: str, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """Read all Parquet files of a folder as one table; an empty one where there are none."""
    wanted = pa.schema([schema.field(name) for name in columns]) if columns else schema
    return pa.concat_tables([wanted.empty_table(), *read_tables(f"{folder}/*.parquet", schema, columns)])


def rows_to_table(rows: Sequence[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Turn rows into a table of a schema; a missing column is null."""
    return pa.Table.from_pylist(list(rows), schema=schema)


def is_parquet(path: str) -> bool:
    """Return whether a file is whole, by its footer."""
    with FileSystems.open(path, compression_type="uncompressed") as stream:
        try:
            pq.read_metadata(stream)
        except pa.ArrowInvalid:
            return False
    return True


def count_rows(folder: str) -> int:
    """Count the rows of a folder's Parquet files from their footers."""
    total = 0
    for path in list_files(f"{folder}/*.parquet"):
        with FileSystems.open(path, compression_type="uncompressed") as stream:
            total += pq.read_metadata(stream).num_rows
    return total


@contextmanager
def local_copy(folder: str) -> Iterator[Path]:
    """Give a folder as a local path, copied from the object store where it lies in one."""
    if "://" not in folder:
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        for path in list_files(f"{folder}/**"):
            target = Path(temporary) / path.removeprefix(f"{folder}/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(read_bytes(path))
        yield Path(temporary)


@contextmanager
def local_output(folder: str) -> Iterator[Path]:
    """Give an empty local folder whose files are moved to `folder` at the end."""
    beside = None
    if "://" not in folder:  # within the run's folder, where it is swept even if this process is killed
        beside = Path(folder).parent
        beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".output-", dir=beside) as temporary:
        yield Path(temporary)
        for source in sorted(each for each in Path(temporary).rglob("*") if each.is_file()):
            write_bytes(f"{folder}/{source.relative_to(temporary).as_posix()}", source.read_bytes())


class WriteRows(beam.PTransform):
    """Write dictionaries as the Parquet files of a folder, batched, with Beam's own sink."""

    def __init__(self, folder: str, schema: pa.Schema) -> None:
        super().__init__()
        self._folder = folder
        self._schema = schema

    def expand(self, rows: Any) -> Any:
        """Batch the rows into Arrow tables and write them."""
        schema = self._schema
        empty_folder(self._folder)
        return (
            rows
            | "Batch" >> beam.BatchElements(min_batch_size=1_000, max_batch_size=10_000)
            | "ToArrow" >> beam.Map(lambda batch: rows_to_table(batch, schema))
            | "Write"
            >> WriteToParquetBatched(f"{self._folder}/part", schema, codec="zstd", file_name_suffix=".parquet")
        )
