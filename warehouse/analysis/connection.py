"""Opens a DuckDB session for analysts: a release and the history, read-only, and nothing else.

The release is attached read-only, so sessions, servers and builds never wait for each other. The history is registered
as an Arrow dataset, because a folder in `allowed_directories` can also be written to (COPY … TO, DuckDB 2.0.0). After
that, file access is disabled and the configuration locked.

A session sees the history as of its opening.
"""

from __future__ import annotations

import re
import tempfile
from datetime import date
from functools import cache
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs

from warehouse.analysis.rulings import rulings_table
from warehouse.append_log import read
from warehouse.releases.load import attach
from warehouse.releases.release import current, find
from warehouse.settings import CostSettings
from warehouse.sql import prepare, sql_text
from warehouse.tables import JOURNAL, TABLES

_HISTORY = pa.unify_schemas([JOURNAL, pa.schema([pa.field("day", pa.date32())])])
_LOCAL = pa.fs.LocalFileSystem()
_NAMING = re.compile(r"^(?:CREATE VIEW|COMMENT ON (?:TABLE|VIEW|COLUMN)) (?!temp\.)", re.MULTILINE)
_VIEW = re.compile(r"CREATE VIEW (?:\w+\.)*")
_MAPPED_DAYS = 60  # at each end of the history; each costs a file descriptor


def connect(
    data: Path | str, release: str | None = None, cost: CostSettings | None = None
) -> duckdb.DuckDBPyConnection:
    """Open a session on the current release (or a named one) and the history of a data folder.

    The caller closes it. Each thread needs its own cursor (`connection.cursor()`).

    Raises:
        NoReleaseError: nothing has been published, or there is no such release.
        TornReleaseError: the release can't be opened.
    """
    data = Path(data)
    found = current(data) if release is None else find(data, release)
    connection = duckdb.connect(":memory:")
    try:
        prepare(connection)
        attach(connection, found.database, "release")
        connection.register("journal_files", history_dataset(data))
        _take_rulings(connection, data)
        _define(connection, cost or CostSettings())
        _withhold_withdrawn(connection, data)
        _lock(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def history_dataset(data: Path) -> pa.dataset.Dataset:
    """Return the Parquet history with the journal's columns and the day; empty if there is none.

    Compaction replaces the newest files and deletes the oldest. Both are mapped now, since a file replaced later would
    be read with the old one's offsets.
    """
    files = sorted((data / "history").glob("day=*/*.parquet"))
    between = range(_MAPPED_DAYS, len(files) - _MAPPED_DAYS)
    form = pa.dataset.ParquetFileFormat()
    fragments = [_fragment(form, path, mapped=number not in between) for number, path in enumerate(files)]
    return pa.dataset.FileSystemDataset(fragments, _HISTORY, form, _LOCAL)


def _fragment(form: pa.dataset.ParquetFileFormat, path: Path, *, mapped: bool) -> pa.dataset.Fragment:
    return form.make_fragment(
        pa.memory_map(str(path)) if mapped else str(path),
        filesystem=None if mapped else _LOCAL,
        partition_expression=pa.dataset.field("day") == pa.scalar(_day(path), pa.date32()),
    )


def _day(path: Path) -> date:
    return date.fromisoformat(path.parent.name.removeprefix("day="))


def _define(connection: duckdb.DuckDBPyConnection, cost: CostSettings) -> None:
    connection.execute("SET search_path = 'release.main,memory.main'")
    _complete_old_tables(connection)
    connection.execute(
        "CREATE TABLE memory.main.cost_settings (gpu_hour DOUBLE, prompt_million DOUBLE, completion_million DOUBLE, "
        "batch_price DOUBLE, currency VARCHAR)"
    )
    prices = [cost.gpu_hour, cost.prompt_million, cost.completion_million, cost.batch_price, cost.currency]
    connection.execute("INSERT INTO memory.main.cost_settings VALUES (?, ?, ?, ?, ?)", prices)
    connection.execute(
        f"BEGIN; {_session_views()} COMMIT"
    )  # in one transaction: two hundred statements one by one take longer


def _take_rulings(connection: duckdb.DuckDBPyConnection, data: Path) -> None:
    records = [record for name in ("wordings", "fences") for record in read(data / f"{name}.jsonl")]
    connection.register("ruling_files", rulings_table(records))
    connection.execute(
        "CREATE TABLE memory.main.rulings AS "
        "SELECT * REPLACE (TRY_CAST(since AS TIMESTAMPTZ) AS since) FROM temp.main.ruling_files"
    )
    connection.unregister("ruling_files")


def _complete_old_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a release that is older than some tables or columns these, empty."""
    rows = connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = 'release'"
    ).fetchall()
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
def _session_views() -> str:
    """Return the views and comments, qualified by `memory.main`, since the default, the release, is read-only."""
    views = sql_text("session_views.sql")
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
