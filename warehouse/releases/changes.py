"""Compares a build with the previous release: which answers were reused, restored, regenerated, new or dropped."""

from __future__ import annotations

from pathlib import Path

import duckdb

from warehouse.errors import NoReleaseError
from warehouse.releases.build_folder import Build
from warehouse.releases.load import attach, writing
from warehouse.releases.release import current
from warehouse.sql import sql_text


def previous_database(data: Path) -> Path | None:
    """Return the database of the current release, or None before the first one."""
    try:
        return current(data).database
    except NoReleaseError:
        return None


def note_changes(build: Build) -> dict[str, int]:
    """Fill the table `changes` of a build, and copy from the previous release its runs and when documents changed.

    Returns the number of answers by change, with the reason where something changed.
    """
    previous = previous_database(build.data)
    with writing(build.database) as connection:
        if previous is None:
            connection.execute(
                "INSERT INTO changes SELECT collection, query_key, 'new', 'new question', NULL FROM answers"
            )
        else:
            attach(connection, previous, "previous")
            connection.execute("SET VARIABLE run_id = ?", [build.run_id])
            wordings = "previous.wordings" if previous_has_wordings(connection) else "wordings WHERE false"
            connection.execute(f"CREATE TEMP TABLE previous_wordings AS SELECT * FROM {wordings}")
            connection.execute(sql_text("changes.sql"))
        rows = connection.execute(
            "SELECT change || CASE WHEN change IN ('reused', 'new') THEN '' ELSE ' (' || reason || ')' END, count(*) "
            "FROM changes GROUP BY 1 ORDER BY 2 DESC"
        ).fetchall()
    return {str(name): int(count) for name, count in rows}


def previous_has_wordings(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the release that is attached as `previous` has a table of wordings; older ones lack it."""
    query = "FROM duckdb_tables() WHERE database_name = 'previous' AND table_name = 'wordings'"
    return connection.execute(query).fetchone() is not None


def documents_of(database: Path) -> dict[str, set[str]]:
    """Return the ids of a release's documents, by collection."""
    found: dict[str, set[str]] = {}
    with duckdb.connect(str(database), read_only=True) as connection:
        for collection, document_id in connection.execute("SELECT collection, document_id FROM documents").fetchall():
            found.setdefault(collection, set()).add(document_id)
    return found
