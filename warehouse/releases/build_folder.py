"""A release under construction, as those see it who fill, audit and compare it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class Held(Protocol):
    """The lease of a build, see `warehouse.releases.build_lease`."""

    def require(self) -> None:
        """Raise if it was lost."""

    def release(self) -> None:
        """Give it back."""


@dataclass(frozen=True)
class Build:
    """A release under construction: its holder writes files below `path`, then seals it."""

    release_id: str
    run_id: str
    data: Path
    path: Path
    lease: Held = field(repr=False, compare=False)

    @property
    def database(self) -> Path:
        """The DuckDB file."""
        return self.path / "warehouse.duckdb"

    @property
    def serving_index(self) -> Path:
        """The LMDB file."""
        return self.path / "serving.lmdb"
