"""One line of an append-only file or of the journal."""

from __future__ import annotations

import json
from typing import Any

Record = dict[str, Any]  # as JSON gives it


def parse(line: bytes) -> Record | None:
    """Return the record of one line, or None if the line is torn."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # a line of nothing but brackets is nested too deeply
        return None
    return record if isinstance(record, dict) else None
