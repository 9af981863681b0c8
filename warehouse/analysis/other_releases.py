"""The other releases in a session: attached read-only before it is locked, and readable by their ids.

Attaching one costs some milliseconds, so of very many only the newest are there. A release that is pruned meanwhile
stays readable until the session ends. An older release lacks some columns; they are empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from warehouse.errors import TornReleaseError
from warehouse.releases.load import attach
from warehouse.releases.release import Release, current_id, failed_builds, releases, unreadable
from warehouse.sql import sql_text, without_comments
from warehouse.tables import TABLES

_MOST_ATTACHED = 40
_OWN = "release"  # the catalog of the session's own release
_BY_RELEASE = {
    "answers": "SELECT {id} AS release_id, q.question, a.* "
    "FROM {at}.answers a LEFT JOIN {at}.questions q USING (query_key)",
    "questions": "SELECT {id} AS release_id, * FROM {at}.questions",
    "documents": "SELECT {id} AS release_id, * FROM {at}.documents",
    "citations": "SELECT {id} AS release_id, * FROM {at}.citations",
}
# what loading adds to the tables of a run (sql/schema.sql), for releases that are older than it
_DERIVED = {
    "answers": ", NULL::STRUCT(number BIGINT, kind VARCHAR, document_id VARCHAR, title VARCHAR, uri VARCHAR, "
    "heading VARCHAR, chunk_id VARCHAR, url VARCHAR, metadata MAP(VARCHAR, VARCHAR[]))[] AS citations"
}
_MANIFESTS = pa.schema([
    *((name, pa.string()) for name in ("release_id", "state", "run_id", "model_id", "encoder", "previous", "failure")),
    ("attached", pa.bool_()), ("built_at", pa.timestamp("us", "UTC")),
])  # fmt: skip


def take_releases(connection: duckdb.DuckDBPyConnection, data: Path, own: Release, *, described: bool) -> None:
    """Attach the newest releases and failed builds, list them all, and define the views that read any of them."""
    failed, published = failed_builds(data), releases(data)
    newest = sorted((*failed, *published), key=lambda each: each.release_id)[-_MOST_ATTACHED:]
    catalogs = {own.release_id: _OWN, **attach_all(connection, (each for each in newest if each.path != own.path))}
    present = current_id(data)
    rows = [_row(each, "current" if each.release_id == present else "published", catalogs) for each in published]
    rows += [_row(each, "failed its audit", catalogs) for each in failed]
    rows += [{"release_id": name, "state": "unreadable", "attached": False} for name in unreadable(data)]
    connection.register("manifest_rows", pa.Table.from_pylist(rows, schema=_MANIFESTS))
    connection.execute("CREATE TABLE memory.main.release_manifests AS FROM manifest_rows ORDER BY release_id")
    connection.unregister("manifest_rows")
    define_by_release(connection, catalogs, described=described)


def attach_all(connection: duckdb.DuckDBPyConnection, found: Iterable[Release]) -> dict[str, str]:
    """Attach releases under their ids; return their catalogs as SQL names. One whose tables are torn is left out."""
    catalogs = {}
    for release in found:
        name = '"' + release.release_id.replace('"', '""') + '"'
        with suppress(TornReleaseError):
            attach(connection, release.database, name)
            catalogs[release.release_id] = name
    return catalogs


def define_by_release(
    connection: duckdb.DuckDBPyConnection, catalogs: Mapping[str, str], *, described: bool = False
) -> None:
    """Define the views over releases, by their ids and catalogs, and the macros `answers_of` and `changes`."""
    statements = []
    for table, select in _BY_RELEASE.items():
        parts = [select.format(id=_literal(release), at=f"{name}.main") for release, name in sorted(catalogs.items())]
        parts.append(_all_columns(connection, table))
        statements.append(f"CREATE VIEW memory.main.{table}_by_release AS {' UNION ALL BY NAME '.join(parts)};")
        statements += _comments(table) if described else ()
    known = ", ".join(map(_literal, sorted(catalogs)))
    macros = sql_text("release_macros.sql").replace("{known}", known)
    statements.append(macros if described else without_comments(macros))
    connection.execute(f"BEGIN; {' '.join(statements)} COMMIT")


def _all_columns(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    """Return a query of no rows with all columns that the table has today."""
    today = connection.from_arrow(TABLES[table].empty_table())
    columns = "".join(f", NULL::{kind} AS {name}" for name, kind in zip(today.columns, today.types, strict=True))
    return f"SELECT NULL::VARCHAR AS release_id{columns}{_DERIVED.get(table, '')} WHERE false"


def _comments(table: str) -> Iterator[str]:
    """Yield the comments of the table's columns for its view."""
    view = f"memory.main.{table}_by_release"
    yield f"COMMENT ON VIEW {view} IS 'The table {table} of all releases that this session can query.';"
    yield f"COMMENT ON COLUMN {view}.release_id IS 'The release.';"
    if table == "answers":
        yield f"COMMENT ON COLUMN {view}.question IS 'The anticipated question as it was written.';"
    for line in sql_text("schema.sql").splitlines():
        if line.startswith(f"COMMENT ON COLUMN {table}."):
            yield line.replace(f" {table}.", f" {view}.", 1)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _row(release: Release, state: str, catalogs: Mapping[str, str]) -> dict[str, object]:
    manifest = release.manifest
    return {
        "release_id": release.release_id,
        "state": state,
        "attached": release.release_id in catalogs,
        "built_at": _time(manifest.get("created_at")),
        "run_id": manifest.get("run_id"),
        "model_id": manifest.get("model"),
        "encoder": str(manifest.get("encoder", {}).get("id") or "") or None,
        "previous": manifest.get("previous"),
        "failure": manifest.get("failed"),
    }


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
