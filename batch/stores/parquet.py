"""Parquet through Beam's file systems: a local folder or an object store, the same calls.

A table's rows are typed by its row type (a `TypedDict`, see `warehouse.tables`), which names the columns to read
and write; whole tables stay Arrow. A file is written under a hidden name and renamed, so that a reader never sees
half of one; `sweep_hidden` removes the hidden files that a killed process left.
"""

from __future__ import annotations

import io
import logging
import os
import uuid
from collections.abc import Collection, Iterator, Sequence
from typing import BinaryIO, TypeVar

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.parquetio import WriteToParquetBatched

from warehouse.arrow_schema import schema_of

logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # an exception that is raised need not be logged too

R = TypeVar("R")  # a row type
_TOGETHER = 4_096  # rows in memory at once


def list_files(pattern: str) -> list[str]:
    """Return the files that match a pattern, sorted, without hidden ones."""
    return list(file_sizes(pattern))


def file_sizes(pattern: str) -> dict[str, int]:
    """Return the files that match a pattern and their sizes in bytes, sorted, without hidden ones."""
    found = {m.path: int(m.size_in_bytes) for result in FileSystems.match([pattern]) for m in result.metadata_list}
    return {path: found[path] for path in sorted(found) if not FileSystems.split(path)[1].startswith(".")}


def read_bytes(path: str) -> bytes:
    """Read a whole file, without decompressing it."""
    with FileSystems.open(path, compression_type="uncompressed") as stream:
        return bytes(stream.read())


def write_bytes(path: str, data: bytes) -> None:
    """Write a file whole or not at all."""
    if "://" in path:  # an object appears whole when it is closed
        with FileSystems.create(path, compression_type="uncompressed") as stream:
            stream.write(data)
        return
    folder, name = FileSystems.split(path)
    make_folder(folder)
    hidden = FileSystems.join(folder, f".{name}.{uuid.uuid4().hex[:8]}")
    with FileSystems.create(hidden, compression_type="uncompressed") as stream:
        stream.write(data)
        _sync(stream)
    FileSystems.rename([hidden], [path])


def _sync(stream: BinaryIO) -> None:
    """Flush a local file to the disk, so that it survives a power cut; an object store does so itself."""
    stream.flush()
    try:
        os.fsync(stream.fileno())
    except (AttributeError, io.UnsupportedOperation):
        return


def sweep_hidden(folder: str) -> int:
    """Remove the half-written files that a killed process left; return how many there were."""
    matches = [metadata.path for result in FileSystems.match([f"{folder}/*"]) for metadata in result.metadata_list]
    found = [path for path in matches if FileSystems.split(path)[1].startswith(".")]
    if found:
        FileSystems.delete(found)
    return len(found)


def make_folder(path: str) -> None:
    """Create a folder, where the file system has folders."""
    if "://" not in path and not FileSystems.exists(path):
        FileSystems.mkdirs(path)


def empty_folder(path: str) -> None:
    """Create a folder or delete its Parquet files: a stage that runs again may write fewer of them."""
    make_folder(path)
    left = list_files(f"{path}/*.parquet")
    if left:
        FileSystems.delete(left)


def remove_folder(path: str) -> None:
    """Delete a folder with all that is in it, if it is there."""
    if FileSystems.exists(path):
        FileSystems.delete([path])


def write_table(path: str, table: pa.Table) -> None:
    """Write one Parquet file whole or not at all."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_bytes(path, sink.getvalue().to_pybytes())


def read_tables(pattern: str, schema: pa.Schema, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Read the Parquet files that match a pattern, one table per file; no file is no error."""
    wanted = pa.schema([schema.field(name) for name in columns]) if columns else schema
    for path in list_files(pattern):
        with FileSystems.open(path, compression_type="uncompressed") as stream:  # reads the wanted columns alone
            # half the time of `pq.read_table`, which looks for a data set, where files are small
            yield pq.ParquetFile(stream, pre_buffer=True).read(wanted.names).select(wanted.names).cast(wanted)


def has_columns(path: str, schema: pa.Schema) -> bool:
    """Whether a Parquet file has the columns of a schema; one of an earlier version may lack some."""
    with FileSystems.open(path, compression_type="uncompressed") as stream:
        return set(schema.names) <= set(pq.read_schema(stream).names)


def read_table(folder: str, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """Read all Parquet files of a folder as one table, which is empty if there are none."""
    wanted = pa.schema([schema.field(name) for name in columns]) if columns else schema
    return pa.concat_tables([wanted.empty_table(), *read_tables(f"{folder}/*.parquet", schema, columns)])


def read_rows(folder: str, row: type[R]) -> list[R]:
    """Read the rows of a folder's Parquet files; of the columns, those of the row type."""
    return table_rows(read_table(folder, schema_of(row)), row)


def read_file_rows(path: str, row: type[R]) -> list[R]:
    """Read the rows of one Parquet file; of the columns, those of the row type."""
    return [each for table in read_tables(path, schema_of(row)) for each in table_rows(table, row)]


def file_batches(path: str, schema: pa.Schema, most: int) -> Iterator[pa.Table]:
    """Yield the rows of one Parquet file as tables of at most so many rows; no more than that is in memory."""
    with FileSystems.open(path, compression_type="uncompressed") as stream:
        for batch in pq.ParquetFile(stream).iter_batches(most, columns=schema.names):
            yield pa.Table.from_batches([batch]).cast(schema)


class StoredRows(Collection[R]):
    """The rows of a folder's Parquet files that belong to a collection, read again each time they are gone through."""

    def __init__(self, folder: str, row: type[R], collection: str) -> None:
        self._files = list_files(f"{folder}/*.parquet")
        self._row = row
        self._collection = collection

    def __iter__(self) -> Iterator[R]:
        for table in self._tables(schema_of(self._row)):
            yield from table_rows(table, self._row)

    def __len__(self) -> int:
        return sum(table.num_rows for table in self._tables(pa.schema([pa.field("collection", pa.string())])))

    def __contains__(self, row: object) -> bool:
        return any(each == row for each in self)

    def _tables(self, schema: pa.Schema) -> Iterator[pa.Table]:
        for path in self._files:
            for table in file_batches(path, schema, _TOGETHER):
                yield table.filter(pc.equal(table["collection"], self._collection))


def table_rows(table: pa.Table, row: type[R]) -> list[R]:
    """Turn an Arrow table into rows; of the columns, those of the row type."""
    rows: list[R] = table.select(schema_of(row).names).to_pylist(maps_as_pydicts="strict")
    return rows


def rows_to_table(rows: list[R], row: type[R]) -> pa.Table:
    """Turn rows into an Arrow table."""
    return pa.Table.from_pylist(rows, schema=schema_of(row))


def is_parquet(path: str) -> bool:
    """Whether a file has a readable Parquet footer, so is complete."""
    with FileSystems.open(path, compression_type="uncompressed") as stream:
        try:
            pq.read_metadata(stream)
        except pa.ArrowInvalid:
            return False
    return True


def count_rows(folder: str) -> int:
    """Count the rows of a folder's Parquet files, from their footers."""
    total = 0
    for path in list_files(f"{folder}/*.parquet"):
        with FileSystems.open(path, compression_type="uncompressed") as stream:
            total += pq.read_metadata(stream).num_rows
    return total


class WriteRows(beam.PTransform):
    """Write rows as the Parquet files of a folder, in batches, with Beam's own sink."""

    def __init__(self, folder: str, row: type) -> None:
        super().__init__()
        self._folder = folder
        self._row = row

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        """Batch the rows into Arrow tables and write them."""
        row = self._row
        return (
            rows
            | "Batch" >> beam.BatchElements(min_batch_size=1_000, max_batch_size=2_000)
            | "ToArrow" >> beam.Map(lambda batch: rows_to_table(batch, row))
            | "Tables" >> WriteTables(self._folder, row)
        )


class WriteTables(beam.PTransform):
    """Write Arrow tables as the Parquet files of a folder: for rows so many that Beam should not see each."""

    def __init__(self, folder: str, row: type) -> None:
        super().__init__()
        self._folder = folder
        self._row = row

    def expand(self, tables: beam.PCollection) -> beam.PCollection:
        """Write the tables."""
        empty_folder(self._folder)
        prefix, schema = f"{self._folder}/part", schema_of(self._row)
        return tables | "Write" >> WriteToParquetBatched(prefix, schema, codec="zstd", file_name_suffix=".parquet")
