"""The serving index: a release's answers and passages in one memory-mapped LMDB file.

A point lookup in DuckDB costs 600 µs, more than a whole HTTP request; in LMDB it costs 2 µs. Values are JSON as the
service sends it, so a hit decodes nothing. They repeat the texts of their passages: that costs disk, but a hit stays
one lookup. All processes of a machine share the pages in memory.

    q:<query_key>  the body of an answer, only where its status is served
    c:<chunk_id>   a passage
    f:<query_key>  a text that is a fence: the keys of the answers that it must not get
    j:<query_key>  "1" where visitors asked the question and the team did not: it is not listed before a person approves
    n:<query_key>  how many further wordings an answer has, if any
    p:<query_key>  an anticipated question that is served
    t:<query_key>  the text and origin of a further wording
    v:<query_key>  the key of the answer that a further wording gets
    w:<query_key>  the body of an answer that is withheld, for when a person approves or edits it
    m:<query_key>  what the audit said of an answer before a person's decision, for when it is taken back
    meta           {release_id, format}
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import lmdb

from warehouse.durable import storage_errors
from warehouse.errors import TornReleaseError
from warehouse.sql import prepare, sql_text

if TYPE_CHECKING:
    import duckdb

FORMAT = 2
_WITHOUT_ORIGINS = 1  # a release of then is served too; whose questions they are, its tables tell
Entries = list[tuple[bytes, bytes]]
_BATCH = 10_000
_WORDINGS = -3  # the place of their statement in the SQL file
_LONGEST_KEY = 511  # LMDB refuses longer ones
_FIRST_MAP = 16 * 2**20


def write_serving_index(
    database: Path, target: Path, release_id: str, cite_fields: Mapping[str, Sequence[str]] | None = None
) -> int:
    """Write the LMDB file `target` from a release's tables; return how many answers it serves.

    `cite_fields` are the fields of documents' metadata that citations show, by collection.

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
        shown = {name: list(fields) for name, fields in (cite_fields or {}).items()}
        tables.execute(
            "SET VARIABLE cite_fields = MAP(?::VARCHAR[], ?::VARCHAR[][])", [list(shown), list(shown.values())]
        )
        try:
            with lmdb.open(str(target), subdir=False, map_size=_FIRST_MAP, lock=False, sync=False) as environment:
                served = 0
                for batch in _entries(tables, release_id):
                    _append(environment, batch)
                    served += sum(key.startswith(b"q:") for key, _ in batch)
                for batch in _rows(tables, _statements()[_WORDINGS]):
                    _append(environment, batch, in_order=False)
                environment.sync(True)
        except lmdb.DiskError as error:
            raise OSError(errno.ENOSPC, str(error)) from error
    return served


def served_keys(database: Path) -> set[str]:
    """Return the query keys of served answers; they are unique across collections."""
    return _keys(database, "SELECT query_key FROM answers WHERE status = 'served'")


def withheld_keys(database: Path) -> set[str]:
    """Return the query keys of withheld answers, without those to canaries, which nobody asks."""
    return _keys(
        database,
        "SELECT query_key FROM answers JOIN questions q USING (query_key) "
        "WHERE status = 'withheld' AND q.origin <> 'canary'",
    )


def count_wordings(database: Path) -> dict[str, dict[str, int]]:
    """Return how many further wordings and fences each collection has, for the manifest."""
    import duckdb

    found: dict[str, dict[str, int]] = {}
    with duckdb.connect(str(database), read_only=True) as tables:
        for table in ("wordings", "fences"):
            rows = tables.execute(f"SELECT collection, count(*) FROM {table} GROUP BY ALL ORDER BY ALL").fetchall()
            for collection, count in rows:
                found.setdefault(str(collection), {})[table] = int(count)
    return found


def _keys(database: Path, query: str) -> set[str]:
    import duckdb

    with duckdb.connect(str(database), read_only=True) as tables:
        return {key for (key,) in tables.execute(query).fetchall()}


def _journal_keys(database: Path) -> frozenset[str]:
    """Return the keys of the questions that visitors asked, from a release's tables."""
    import duckdb  # late: only an old release is asked so

    if not database.exists():  # a replica may have been given the serving index alone
        return frozenset()
    with duckdb.connect(str(database), read_only=True) as tables:
        rows = tables.execute("SELECT query_key FROM questions WHERE origin = 'journal'").fetchall()
    return frozenset(str(key) for (key,) in rows)


def _entries(connection: duckdb.DuckDBPyConnection, release_id: str) -> Iterator[Entries]:
    """Yield batches of keys and values in ascending order of the keys."""
    cited_documents, passages, asked_by_visitors, reviewed, questions, _, sources, answers = _statements()
    connection.execute(cited_documents)
    yield from _rows(connection, passages)
    yield from _rows(connection, asked_by_visitors)
    yield from _rows(connection, reviewed)
    yield [(b"meta", json.dumps({"release_id": release_id, "format": FORMAT}).encode())]
    yield from _rows(connection, questions)
    yield from _answers(connection, sources, answers)


def _statements() -> list[str]:
    return re.findall(r"^(?:SELECT|CREATE)[^;]+(?=;)", sql_text("serving_index.sql"), re.MULTILINE)


def _rows(connection: duckdb.DuckDBPyConnection, statement: str) -> Iterator[Entries]:
    cursor = connection.execute(statement)
    while rows := cursor.fetchmany(_BATCH):
        yield [(key.encode(), value.encode()) for key, value in rows]


def _answers(connection: duckdb.DuckDBPyConnection, sources: str, answers: str) -> Iterator[Entries]:
    """Insert passages into answers here: SQL takes five times as long, mostly copying texts."""
    shared = {source: value[1:] for source, value in connection.execute(sources).fetchall()}
    cursor = connection.execute(answers)
    while rows := cursor.fetchmany(_BATCH):
        batch = []
        for key, body, citations, filters, valid_until in rows:
            listed = ",".join(
                f'{{"number":{number},"kind":"{kind}",{shared[source]}' for number, kind, source in citations
            )
            asked_with = f',"filters":{filters}' if filters else ""
            until = f',"valid_until":"{valid_until}"' if valid_until else ""
            batch.append((key.encode(), f'{body[:-1]},"citations":[{listed}]{asked_with}{until}}}'.encode()))
        yield batch


def _append(environment: lmdb.Environment, batch: Entries, *, in_order: bool = True) -> None:
    """Write a batch in one transaction, doubling the map until it fits; keys that come in order are appended."""
    while True:
        try:
            with environment.begin(write=True) as transaction, transaction.cursor() as cursor:
                cursor.putmulti(batch, append=in_order)
        except lmdb.MapFullError:
            environment.set_mapsize(environment.info()["map_size"] * 2)
        else:
            return


@dataclass(frozen=True)
class BeforeReview:
    """The answer and verdict of the audit, to which a decision was then applied."""

    served: bool
    answer: str
    origin: str


class ServingIndex:
    """A serving index opened read-only, without locks, so that many threads and processes can share it.

    After a fork, each process opens its own.
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
        if self.meta.get("format") not in (FORMAT, _WITHOUT_ORIGINS):
            raise TornReleaseError(f"{path}: its format is not {FORMAT}; build the release again.")
        if self.meta["format"] == FORMAT:
            self.asked_by_visitors = frozenset(key.decode()[2:] for key, _ in self._from(b"j:"))
        else:
            self.asked_by_visitors = _journal_keys(path.with_name("warehouse.duckdb"))
        """The keys of the questions that come from the journal."""
        self.before_reviews: Mapping[str, BeforeReview] = {
            key.decode()[2:]: BeforeReview(**json.loads(value)) for key, value in self._from(b"m:")
        }

    @property
    def release_id(self) -> str:
        """The release that the file belongs to."""
        return str(self.meta["release_id"])

    def answer(self, query_key: str) -> bytes | None:
        """Return the JSON body of the served answer to a question, or None."""
        return self._get(b"q:" + query_key.encode())

    def withheld(self, query_key: str) -> bytes | None:
        """Return the JSON body of a withheld answer, or None; only a reviewer's decision may release it."""
        return self._get(b"w:" + query_key.encode())

    def answer_key(self, query_key: str) -> str:
        """Return the key of the answer that a wording gets; any other key is its own."""
        found = self._get(b"v:" + query_key.encode())
        return query_key if found is None else found.decode()

    def wording(self, query_key: str) -> bytes | None:
        """Return a further wording as JSON with its `wording` and `origin`, or None."""
        return self._get(b"t:" + query_key.encode())

    def has_wordings(self, query_key: str) -> bool:
        """Whether an answer has further wordings."""
        return self._get(b"n:" + query_key.encode()) is not None

    def fenced_from(self, query_key: str) -> frozenset[str]:
        """Return the keys of the answers that a text must not get."""
        found = self._get(b"f:" + query_key.encode())
        return frozenset() if found is None else frozenset(json.loads(found))

    def chunk(self, chunk_id: str) -> bytes | None:
        """Return a passage as JSON, or None."""
        return self._get(b"c:" + chunk_id.encode())

    def question(self, query_key: str) -> bytes | None:
        """Return an anticipated question as JSON, or None if it is not served."""
        return self._get(b"p:" + query_key.encode())

    def questions(self) -> Iterator[bytes]:
        """Return all served anticipated questions as JSON, in the order of their keys."""
        return (value for _, value in self._from(b"p:"))

    def close(self) -> None:
        """Unmap the file; wait for lookups in flight first, since later ones fail."""
        self._environment.close()

    def _from(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        with self._environment.begin() as transaction, transaction.cursor() as cursor:
            if not cursor.set_range(prefix):
                return
            for key, value in cursor:
                if not key.startswith(prefix):
                    return
                yield key, value

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
