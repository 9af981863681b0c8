"""DuckDB: schema, releases, audit, history and views for analysts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warehouse.analysis.connection import connect

__all__ = ["connect"]


def __getattr__(name: str) -> object:
    # late: a server imports warehouse.releases, and needs neither DuckDB nor Arrow for that
    if name == "connect":
        from warehouse.analysis.connection import connect

        return connect
    raise AttributeError(f"module 'warehouse' has no attribute {name!r}")
