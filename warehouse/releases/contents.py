"""Checksums of what a release holds: of its files, of each table, and of each kind of entry in its serving index.

A file's checksum says that something was changed, a table's what. They are written into the manifest when a release is
sealed, and `beforehand releases verify` computes them again. They find a change by whoever did not also write a new
manifest; who it was they can't tell.

A table's checksum adds up the hashes of its rows, so that it does not depend on their order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from warehouse.durable import files_below
from warehouse.errors import TornReleaseError
from warehouse.releases.release import MANIFEST, Release, checksum, read_manifest

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


def changes_since_sealed(release: Release) -> list[str]:
    """Return what differs in a release from its manifest, a sentence each; empty if all is as it was sealed.

    Raises:
        TornReleaseError: its manifest is missing, or it was never sealed.
    """
    manifest = read_manifest(release.path)
    expected = manifest.get("checksums")
    if expected is None:
        raise TornReleaseError(f"Release {release.release_id} was never sealed.")
    found = {str(path.relative_to(release.path)): path for path in files_below(release.path)}
    found.pop(MANIFEST, None)
    now, sealed = contents(release.path), manifest.get("contents", {})
    return [
        *(f"{name} is missing." for name in sorted(expected.keys() - found.keys())),
        *(f"{name} is not in the manifest: it was put there later." for name in sorted(found.keys() - expected.keys())),
        *(
            f"{name} was changed; the file's own time is {_modified(found[name])}."
            for name in sorted(expected.keys() & found.keys())
            if checksum(found[name]) != expected[name]
        ),
        *(sentence for name in sorted(now) for sentence in _differences(name, sealed.get(name, {}), now[name])),
    ]


def _differences(file: str, sealed: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    if sealed and not now:
        yield f"{file} can't be opened any more."
        return
    for name in sorted(sealed.keys() | now.keys()) if sealed else ():
        if name not in now:
            yield f"{file}: {name} is gone."
        elif name not in sealed:
            yield f"{file}: {name} was added."
        elif sealed[name] != now[name]:
            yield f"{file}: {name} was changed."


def _modified(path: Path) -> str:
    return f"{datetime.fromtimestamp(path.stat().st_mtime, UTC):%Y-%m-%d %H:%M:%S} UTC"
