"""Reads the SQL files of this folder, and configures connections."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

_COMMENT = re.compile(r"^COMMENT ON .*;$", re.MULTILINE)
_LEAST_MEMORY = 128_000_000  # with half of it 16,000 questions load as well, in a fifth more time
_memory = 4_000_000_000  # bytes; beyond it DuckDB spills to disk; its default is most of the machine


@cache
def sql_text(name: str) -> str:
    """Return the text of an SQL file of this folder."""
    return resources.files("warehouse.sql").joinpath(name).read_text(encoding="utf-8")


def without_comments(text: str) -> str:
    """Return SQL without its statements `COMMENT ON`, each of which is a line of its own."""
    return _COMMENT.sub("", text)


def limit_memory(size: int) -> None:
    """Set how many bytes a connection of this process may take from now on; an eighth of a GB it has in any case."""
    global _memory  # noqa: PLW0603 - one limit for a process, which those who connect need not know
    _memory = max(size, _LEAST_MEMORY)


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Set UTC and a memory limit, and turn the progress bar off."""
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET memory_limit = '{_memory}B'")
    connection.execute("SET enable_progress_bar = false")  # it would end up in the output of scripts
