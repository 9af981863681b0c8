"""The files in `warehouse/sql`."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def sql_text(name: str) -> str:
    """Return the text of a file in `warehouse/sql`."""
    return resources.files("warehouse").joinpath("sql", name).read_text(encoding="utf-8")
