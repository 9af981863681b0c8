"""The files in `warehouse/sql`, and what every connection is set to."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

_MEMORY = "4GB"  # beyond it DuckDB spills to the disk; by default it takes most of the machine


@cache
def sql_text(name: str) -> str:
    """Return the text of a file in `warehouse/sql`."""
    return resources.files("warehouse.sql").joinpath(name).read_text(encoding="utf-8")


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Set a new connection to UTC, to a share of the memory, and to silence."""
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET memory_limit = '{_MEMORY}'")
    connection.execute("SET enable_progress_bar = false")  # it would stand in the output of a script
