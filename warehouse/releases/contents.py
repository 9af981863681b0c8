"""Checksums of what a release holds: of its files, of each table, and of each kind of entry in its serving index.

A file's checksum says that something was changed, a table's what. They are written into the manifest when a release is
sealed; `warehouse.releases.verification` compares.

A table's checksum adds up the hashes of its rows, so that it does not depend on their order.
"""

from __future__ import annotations

import hashlib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

_INDEX_KINDS = {
    b"q": "served answers", b"w": "withheld answers", b"m": "answers before reviews", b"c": "passages",
    b"p": "questions", b"j": "questions of visitors",
}  # fmt: skip


def table_checksums(database: Path) -> dict[str, str]:
    """Return a checksum of each table of a DuckDB file; empty if it can't be opened."""
    import duckdb  # late: servers need no DuckDB

    from warehouse.sql import prepare

    try:
        with closing(duckdb.connect(str(database), read_only=True)) as connection:
            prepare(connection)
            tables = connection.execute(
                "SELECT table_name FROM duckdb_tables() WHERE NOT internal ORDER BY table_name"
            ).fetchall()
            return {name: _of_table(connection, name) for (name,) in tables}
    except duckdb.Error:
        return {}


def _of_table(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    halves = ", ".join(f"sum(('0x' || hash[{start}:{start + 15}])::UBIGINT::HUGEINT)" for start in (1, 17))
    row = connection.execute(
        f'SELECT count(*), {halves} FROM (SELECT sha256(to_json(t)::VARCHAR) AS hash FROM "{table}" t)'
    ).fetchone()
    return "-".join(f"{int(part or 0):x}" for part in row or ())


def index_checksums(index: Path) -> dict[str, str]:
    """Return a checksum of each kind of entry of a serving index; empty if it can't be opened."""
    import lmdb

    found: dict[str, hashlib._Hash] = {}
    try:
        with (
            lmdb.open(str(index), subdir=False, readonly=True, lock=False, create=False) as environment,
            environment.begin() as transaction,
            transaction.cursor() as cursor,
        ):
            for key, value in cursor:
                kind = _INDEX_KINDS.get(key[:1]) if key[1:2] == b":" else "its description"
                digest = found.setdefault(kind or "other entries", hashlib.sha256())
                digest.update(b"%d %d " % (len(key), len(value)) + key + value)
    except lmdb.Error:
        return {}
    return {kind: digest.hexdigest() for kind, digest in found.items()}


def contents(path: Path) -> dict[str, dict[str, str]]:
    """Return the checksums of the contents of a release's database and serving index, by file."""
    found = {"warehouse.duckdb": table_checksums, "serving.lmdb": index_checksums}
    return {name: checksums(path / name) for name, checksums in found.items() if (path / name).exists()}
