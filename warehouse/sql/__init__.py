"""Reads the SQL files of this folder, and configures connections."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

_COMMENT = re.compile(r"^COMMENT ON .*;$", re.MULTILINE)
_MEMORY = "4GB"  # beyond it DuckDB spills to disk; its default is most of the machine


@cache
def sql_text(name: str) -> str:
    """Return the text of an SQL file of this folder."""
    return resources.files("warehouse.sql").joinpath(name).read_text(encoding="utf-8")


def without_comments(text: str) -> str:
    """Return SQL without its statements `COMMENT ON`, each of which is a line of its own."""
    return _COMMENT.sub("", text)


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Set UTC and a memory limit, and turn the progress bar off."""
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET memory_limit = '{_MEMORY}'")
    connection.execute("SET enable_progress_bar = false")  # it would end up in the output of scripts
