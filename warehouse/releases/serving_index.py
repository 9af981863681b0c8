"""The serving index: what the answer service looks up, in one memory-mapped LMDB file.

A point lookup in DuckDB costs 600 µs, two to three times a whole HTTP request; in LMDB 2 µs. So a
release carries this file, derived from its tables and checksummed with them. Values are JSON as the
service sends it, so a hit decodes nothing. They repeat the text of their passages: that costs disk, but
a hit stays one lookup, and only pages that are asked for are ever in memory. All processes of a machine
share those pages.

    q:<query_key>  the body of an answer, only where its status is served
    c:<chunk_id>   a passage
    p:<query_key>  an anticipated question that is served
    w:<query_key>  the body of an answer that is withheld, for when a person approves or edits it
    meta           {release_id, format}
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import lmdb

from warehouse.durable import storage_errors
from warehouse.errors import TornReleaseError
from warehouse.sql import prepare, sql_text

if TYPE_CHECKING:
    import duckdb

FORMAT = 1
Batch = list[tuple[bytes, bytes]]
_BATCH = 10_000
_LONGEST_KEY = 511  # LMDB refuses longer ones
_FIRST_MAP = 16 * 2**20


def write_serving_index(database: Path, target: Path, release_id: str) -> int:
    """Derive the LMDB file `target` from a release's tables and return how many answers it serves.

    Raises:
        StorageError: the disk is full.
    """
    import duckdb  # late: servers only read

    target.unlink(missing_ok=True)
    with (
        storage_errors(target.parent, "write the serving index"),
        duckdb.connect(str(database), read_only=True) as tables,
    ):
        prepare(tables)
        try:
            with lmdb.open(str(target), subdir=False, map_size=_FIRST_MAP, lock=False, sync=False) as environment:
                served = 0
                for batch in _entries(tables, release_id):
                    _append(environment, batch)
                    served += sum(key.startswith(b"q:") for key, _ in batch)
                environment.sync(True)
        except lmdb.DiskError as error:
            raise OSError(errno.ENOSPC, str(error)) from error
    return served


def served_keys(database: Path) -> set[str]:
    """Return the query keys whose answers a release's tables say are served; they are unique over all collections."""
    import duckdb

    with duckdb.connect(str(database), read_only=True) as tables:
        rows = tables.execute("SELECT query_key FROM answers WHERE status = 'served'").fetchall()
        return {key for (key,) in rows}


def _entries(connection: duckdb.DuckDBPyConnection, release_id: str) -> Iterator[Batch]:
    """Yield keys and values in ascending order of the keys, in batches."""
    passages, questions, sources, answers = _statements()
    yield from _rows(connection, passages)
    yield [(b"meta", json.dumps({"release_id": release_id, "format": FORMAT}).encode())]
    yield from _rows(connection, questions)
    yield from _answers(connection, sources, answers)


def _statements() -> list[str]:
    return re.findall(r"^SELECT[^;]+(?=;)", sql_text("serving_index.sql"), re.MULTILINE)


def _rows(connection: duckdb.DuckDBPyConnection, statement: str) -> Iterator[Batch]:
    cursor = connection.execute(statement)
    while rows := cursor.fetchmany(_BATCH):
        yield [(key.encode(), value.encode()) for key, value in rows]


def _answers(connection: duckdb.DuckDBPyConnection, sources: str, answers: str) -> Iterator[Batch]:
    """Put the passages into the answers here: in SQL it takes five times as long, most of it copying texts."""
    shared = {source: value[1:] for source, value in connection.execute(sources).fetchall()}
    cursor = connection.execute(answers)
    while rows := cursor.fetchmany(_BATCH):
        batch = []
        for key, body, citations in rows:
            listed = ",".join(
                f'{{"number":{number},"kind":"{kind}",{shared[source]}' for number, kind, source in citations
            )
            batch.append((key.encode(), f'{body[:-1]},"citations":[{listed}]}}'.encode()))
        yield batch


def _append(environment: lmdb.Environment, batch: Batch) -> None:
    """Append in one transaction; the map grows by doubling until the batch fits."""
    while True:
        try:
            with environment.begin(write=True) as transaction, transaction.cursor() as cursor:
                cursor.putmulti(batch, append=True)
        except lmdb.MapFullError:
            environment.set_mapsize(environment.info()["map_size"] * 2)
        else:
            return


class ServingIndex:
    """A serving index opened read-only, without locks: many threads and processes may share the file.

    Each process opens its own after it was forked.
    """

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            TornReleaseError: it is missing, torn or of another format.
        """
        try:
            self._environment = lmdb.open(
                str(path), subdir=False, readonly=True, lock=False, create=False, max_spare_txns=64
            )
            meta = self._get(b"meta")
        except lmdb.Error as error:
            raise TornReleaseError(f"{path}: not a serving index ({error}); build the release again.") from error
        self.meta: dict[str, object] = json.loads(meta) if meta else {}
        if self.meta.get("format") != FORMAT:
            raise TornReleaseError(f"{path}: its format is not {FORMAT}; build the release again.")

    @property
    def release_id(self) -> str:
        """The release that the file belongs to."""
        return str(self.meta["release_id"])

    def answer(self, query_key: str) -> bytes | None:
        """Return the JSON body of the served answer to a question, or None."""
        return self._get(b"q:" + query_key.encode())

    def withheld(self, query_key: str) -> bytes | None:
        """Return the JSON body of an answer that is withheld, or None; only a person's decision may let it out."""
        return self._get(b"w:" + query_key.encode())

    def chunk(self, chunk_id: str) -> bytes | None:
        """Return a passage as JSON, or None."""
        return self._get(b"c:" + chunk_id.encode())

    def question(self, query_key: str) -> bytes | None:
        """Return an anticipated question as JSON, or None if it is not served."""
        return self._get(b"p:" + query_key.encode())

    def questions(self) -> Iterator[bytes]:
        """Yield all anticipated questions that are served, as JSON, in the order of their keys."""
        with self._environment.begin() as transaction, transaction.cursor() as cursor:
            if not cursor.set_range(b"p:"):
                return
            for key, value in cursor:
                if not key.startswith(b"p:"):
                    return
                yield value

    def close(self) -> None:
        """Unmap the file. Lookups that come later fail, so wait for those in flight first."""
        self._environment.close()

    def _get(self, key: bytes) -> bytes | None:
        if len(key) > _LONGEST_KEY:
            return None
        with self._environment.begin() as transaction:
            value: bytes | None = transaction.get(key)
            return value

    def __enter__(self) -> ServingIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
