"""Lines of append-only files and of the journal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Record = dict[str, Any]  # as JSON gives it


def parse(line: bytes) -> Record | None:
    """Return the record of one line, or None if the line is torn."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # a line of nothing but brackets is nested too deeply
        return None
    return record if isinstance(record, dict) else None


def read(path: Path) -> list[Record]:
    """Return the records in order; a torn line is skipped, and a missing file counts as empty."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [record for line in lines if (record := parse(line)) is not None]
