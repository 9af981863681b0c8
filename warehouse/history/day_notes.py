"""What a day's file of the history says about itself: the segments that it contains, and how texts were redacted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import get_args

import pyarrow as pa

from warehouse.history.redaction import Mode

_SEGMENTS = b"beforehand.segments"
_REDACTION = b"beforehand.redaction"


def notes_of(segments: Iterable[str], redaction: Mode) -> dict[bytes, bytes]:
    """Return the metadata of a day's file."""
    return {_SEGMENTS: json.dumps(sorted(segments)).encode(), _REDACTION: redaction.encode()}


def segments_in(schema: pa.Schema) -> set[str]:
    """Return the names of the segments that a day's file says it contains."""
    return set(json.loads((schema.metadata or {}).get(_SEGMENTS, b"[]")))


def redaction_of(schema: pa.Schema) -> Mode | None:
    """Return how the newest texts of a day's file were redacted; None for a file that doesn't say."""
    found = (schema.metadata or {}).get(_REDACTION, b"").decode()
    return next((mode for mode in get_args(Mode) if mode == found), None)
