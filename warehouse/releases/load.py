"""Loads the Parquet files of a run into the DuckDB file of a release.

Rows are sorted by key as they are loaded, so that lookups skip blocks and the primary key loads faster. Declared
constraints are checked as rows arrive, those of `sql/constraints.sql` at the end (`sql/schema.sql` says why).
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from warehouse.durable import storage_errors
from warehouse.errors import LoadError, TornReleaseError
from warehouse.sql import prepare, sql_text
from warehouse.tables import TABLES

_STORAGE = "v1.2.0"  # readable by current BI tools; by default DuckDB 2.0 writes files that only 2.0 opens

# The sort order of each table; parents come before their children.
_ORDER = {
    "documents": "collection, document_id",
    "chunks": "collection, document_id, position",
    "questions": "query_key",
    "wordings": "query_key, wording_key",
    "fences": "query_key, text_key",
    "retrievals": "query_key, rank",
    "answers": "query_key",
    "citations": "query_key, number",
    "coverage": "query_key",
}
_LAST = "answers"  # each takes its citations with it, so that a listing of answers need not join them


@contextmanager
def writing(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database file for writing; it is checkpointed and closed after the block.

    Raises:
        StorageError: the disk is full.
    """
    with storage_errors(database.parent, "write the release's tables"):
        try:
            config: dict[str, str | bool | int | float | list[str]] = {"storage_compatibility_version": _STORAGE}
            with duckdb.connect(str(database), config=config) as connection:
                prepare(connection)
                yield connection
                connection.execute("CHECKPOINT")
        except (duckdb.IOException, duckdb.FatalException) as error:  # a checkpoint on a full disk is fatal
            number = errno.ENOSPC if "no space left" in str(error).lower() else errno.EIO
            raise OSError(number, _first_line(error)) from error


def load_release_database(database: Path, tables: Mapping[str, Sequence[str | Path]]) -> dict[str, int]:
    """Write `database` from the Parquet files (or globs) of each table; return the row count of each.

    A table without files is empty. After an error the database file is removed.

    Raises:
        LoadError: a table or column is unknown or missing, or a constraint does not hold.
        StorageError: the disk is full.
    """
    unknown = sorted(set(tables) - set(TABLES))
    if unknown:
        raise LoadError(f"Unknown table {unknown[0]!r}; known are {', '.join(TABLES)}.")
    database.unlink(missing_ok=True)
    try:
        with writing(database) as connection:
            return _load(connection, tables)
    except BaseException:
        database.unlink(missing_ok=True)
        raise


def _load(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Sequence[str | Path]]) -> dict[str, int]:
    _define(connection, "schema.sql")
    for table in sorted(TABLES, key=_LAST.__eq__):
        files = [str(file) for file in tables.get(table, ())]
        if files:
            _load_table(connection, table, files)
    _prove(connection)
    _define(connection, "views.sql")
    return count_rows(connection)


def attach(connection: duckdb.DuckDBPyConnection, database: Path, name: str) -> None:
    """Attach the database of a release read-only.

    Raises:
        TornReleaseError: it can't be opened.
    """
    path = str(database).replace("'", "''")
    try:
        connection.execute(f"ATTACH '{path}' AS {name} (READ_ONLY)")
    except duckdb.Error as error:
        raise TornReleaseError(f"{database}: the release's tables can't be opened ({_first_line(error)}).") from error


def _define(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    # one transaction: syncing each of 150 comments on its own takes a second
    connection.execute(f"BEGIN; {sql_text(name)} COMMIT")


def _load_table(connection: duckdb.DuckDBPyConnection, table: str, files: list[str]) -> None:
    columns = ", ".join(TABLES[table].names)
    order = f"ORDER BY {_ORDER[table]}" if table in _ORDER else ""
    try:
        found = connection.execute("SELECT * FROM read_parquet(?, union_by_name = true) LIMIT 0", [files])
        missing = set(TABLES[table].names) - {column[0] for column in found.description or ()}
        if missing:
            raise LoadError(f"Table {table}: the column {sorted(missing)[0]!r} is missing in {_some(files)}.")
        source = "read_parquet(?, union_by_name = true)"
        if table == _LAST:
            columns += ", citations"
            source += f" LEFT JOIN ({sql_text('citation_lists.sql')}) USING (query_key)"
        connection.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {source} {order}", [files])
    except duckdb.ConstraintException as error:
        raise LoadError(f"Table {table}: {_constraint(str(error))} (read from {_some(files)}).") from error
    except duckdb.ConversionException as error:
        raise LoadError(f"Table {table}: a value has the wrong type: {_first_line(error)}.") from error
    except duckdb.IOException as error:
        if "no space left" in str(error).lower():
            raise
        raise LoadError(f"Table {table}: can't read {_some(files)}: {_first_line(error)}.") from error
    except duckdb.InvalidInputException as error:
        raise LoadError(f"Table {table}: {_some(files)} is not Parquet: {_first_line(error)}.") from error


def _prove(connection: duckdb.DuckDBPyConnection) -> None:
    for rule, statement in constraints():
        rows = connection.execute(f"SELECT * FROM ({statement}) LIMIT 3").fetchall()
        if rows:
            total = connection.execute(f"SELECT count(*) FROM ({statement})").fetchone()
            examples = "; ".join(" ".join(str(value)[:60] for value in row) for row in rows)
            raise LoadError(f"Table {rule} in {total[0] if total else 0} rows, for example {examples}.")


def constraints() -> Iterator[tuple[str, str]]:
    """Yield the rules of `sql/constraints.sql`: what a violation means, and the query that finds it."""
    yield from re.findall(r"^-- (\w+: .+)\n([^;]+);", sql_text("constraints.sql"), re.MULTILINE)


def count_rows(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Return the number of rows of each table of a release."""
    union = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM {table}" for table in TABLES)
    return dict(connection.execute(union).fetchall())


def _constraint(message: str) -> str:
    """Rephrase DuckDB's message about a declared constraint as one plain clause."""
    if match := re.search(r"NOT NULL constraint failed: \w+\.(\w+)", message):
        return f"the column {match[1]!r} is empty in a row"
    if match := re.search(r'[Dd]uplicate key "([^"]+)"', message):
        return f"two rows have the same key ({match[1]})"
    if match := re.search(r"CHECK constraint failed on table \S+ with expression (CHECK.+)", message):
        return f"a row breaks the rule {match[1].strip()}"
    return message.splitlines()[0].removeprefix("Constraint Error: ").rstrip(".")


def _some(files: list[str]) -> str:
    return files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")
