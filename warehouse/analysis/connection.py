"""Opens a DuckDB session for analysts: a release and the history, read-only, and nothing else.

The release is attached read-only, so sessions, servers and builds never wait for each other. The history is registered
as an Arrow dataset, because a folder in `allowed_directories` can also be written to (COPY … TO, DuckDB 2.0.0). After
that, file access is disabled and the configuration locked.

A session sees the history as of its opening.
"""

from __future__ import annotations

import atexit
import re
import tempfile
import weakref
from functools import cache
from pathlib import Path

import duckdb

from warehouse.analysis.journal import journal_dataset
from warehouse.analysis.logs import registered_logs
from warehouse.analysis.other_releases import take_releases
from warehouse.analysis.topics import take_topics
from warehouse.history.redaction import Mode
from warehouse.log_line import read
from warehouse.releases.load import attach
from warehouse.releases.release import current, find
from warehouse.settings import CostSettings
from warehouse.sql import prepare, sql_text, without_comments
from warehouse.tables import TABLES

_FILES = ("over_time.sql", "session_views.sql", "topics.sql")
_NAMING = re.compile(r"^(?:CREATE (?:VIEW|TABLE)|COMMENT ON (?:TABLE|VIEW|COLUMN)) (?!temp\.)", re.MULTILINE)
_VIEW = re.compile(r"CREATE VIEW (?:\w+\.)*")
_open: weakref.WeakSet[duckdb.DuckDBPyConnection] = weakref.WeakSet()


def connect(
    data: Path | str,
    release: str | None = None,
    cost: CostSettings | None = None,
    redaction: Mode | None = None,
    threads: int | None = None,
    *,
    described: bool = True,
) -> duckdb.DuckDBPyConnection:
    """Open a session on the current release (or a named one), the other releases, and the history of a data folder.

    The caller closes it. Each thread needs its own cursor (`connection.cursor()`). `redaction` is that of requests that
    are not compacted yet, by default as the last compaction had it; `threads` limits the processors that queries take.
    `described` is for people: the comments on views take a third of the time.

    Raises:
        NoReleaseError: nothing has been published, or there is no such release.
        TornReleaseError: the release can't be opened.
    """
    data = Path(data)
    found = current(data) if release is None else find(data, release)
    connection = duckdb.connect(":memory:")
    try:
        prepare(connection)
        if threads is not None:
            connection.execute(f"SET threads = {threads:d}")
        attach(connection, found.database, "release")
        connection.register("journal_files", journal_dataset(data, redaction))
        connection.execute("SET search_path = 'release.main,memory.main'")
        _complete_old_tables(connection)
        take_releases(connection, data, found, described=described)
        take_topics(connection, found)
        _take_cost(connection, cost or CostSettings())
        with registered_logs(connection, data):
            # in one transaction: three hundred statements one by one take longer
            connection.execute(f"BEGIN; {_session_views(described)} COMMIT")
        _withhold_withdrawn(connection, data)
        _lock(connection)
    except BaseException:
        connection.close()
        raise
    _open.add(connection)
    return connection


@atexit.register
def _close_open_sessions() -> None:
    """Close what a script left open: with a Python function in it, DuckDB would complain of leaks at the very end."""
    for connection in list(_open):
        connection.close()


def _take_cost(connection: duckdb.DuckDBPyConnection, cost: CostSettings) -> None:
    connection.execute(
        "CREATE TABLE memory.main.cost_settings (gpu_hour DOUBLE, prompt_million DOUBLE, completion_million DOUBLE, "
        "batch_price DOUBLE, currency VARCHAR)"
    )
    prices = [cost.gpu_hour, cost.prompt_million, cost.completion_million, cost.batch_price, cost.currency]
    connection.execute("INSERT INTO memory.main.cost_settings VALUES (?, ?, ?, ?, ?)", prices)


def _complete_old_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a release that is older than some tables or columns these, empty."""
    query = "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = 'release'"
    rows = set(connection.execute(query).fetchall())
    for table, schema in TABLES.items():
        missing = [name for name in schema.names if (table, name) not in rows]
        if not missing:
            continue
        empty = connection.from_arrow(schema.empty_table())
        if len(missing) == len(schema.names):
            empty.create(f"memory.main.{table}")
            continue
        columns = "".join(f", NULL::{empty.types[schema.get_field_index(name)]} AS {name}" for name in missing)
        connection.execute(f"CREATE VIEW memory.main.{table} AS SELECT *{columns} FROM release.main.{table}")
        connection.execute("SET search_path = 'memory.main,release.main'")


@cache
def _session_views(described: bool) -> str:
    """Return the tables, views and comments, in `memory.main`, since the default, the release, is read-only."""
    views = "".join(map(sql_text, _FILES))
    if not described:
        return _NAMING.sub(r"\g<0>memory.main.", without_comments(views))
    alike = [line for line in views.splitlines() if line.startswith("COMMENT ON COLUMN history.")]
    for view in ("requests", "feedback"):
        views += "".join(f"{line.replace(' history.', f' {view}.', 1)}\n" for line in alike)
    return _NAMING.sub(r"\g<0>memory.main.", views)


def _withhold_withdrawn(connection: duckdb.DuckDBPyConnection, data: Path) -> None:
    """Show answers that rest on a withdrawn document as withheld, in `answers` and in the release's views of it."""
    withdrawn = _withdrawn(data)
    if not withdrawn:
        return
    connection.execute("SET search_path = 'memory.main,release.main'")
    connection.execute("CREATE TABLE memory.main.withdrawn_documents (collection VARCHAR, document_id VARCHAR)")
    connection.executemany("INSERT INTO memory.main.withdrawn_documents VALUES (?, ?)", withdrawn)
    connection.execute(sql_text("withdrawn_answers.sql"))
    views = connection.execute("SELECT sql FROM duckdb_views() WHERE database_name = 'release'").fetchall()
    for (definition,) in views:
        connection.execute(_VIEW.sub("CREATE VIEW memory.main.", definition, count=1))


def _withdrawn(data: Path) -> list[tuple[str, str]]:
    """Return the withdrawn documents; `warehouse.editorial.withdrawal`, which writes the file, is above this wing."""
    documents: dict[tuple[str, str], bool] = {}
    for record in read(data / "withdrawals.jsonl"):
        document = (str(record.get("collection")), str(record.get("document_id")))
        documents[document] = record.get("action") == "withdraw"
    return [document for document, gone in documents.items() if gone]


def _lock(connection: duckdb.DuckDBPyConnection) -> None:
    spill = str(Path(tempfile.gettempdir()) / "beforehand-sql").replace("'", "''")
    connection.execute(f"SET temp_directory = '{spill}'")
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
