"""Until when a curated pair is valid: its column `valid_until`, a date (to its end) or a moment (UTC unless told)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from rag.errors import QuestionError

VALID_UNTIL = "valid_until"
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def valid_until(metadata: Mapping[str, Sequence[str]]) -> datetime | None:
    """Return the moment at which a pair expires, in UTC, or None.

    Raises:
        QuestionError: it is no date.
    """
    text = next(iter(metadata.get(VALID_UNTIL, [])), "").strip()
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        said = text[:40]
        raise QuestionError(f"its {VALID_UNTIL} is {said!r}: write 2026-12-31, or 2026-12-31T18:00+01:00") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment + timedelta(days=1) if _DAY.fullmatch(text) else moment


def has_expired(metadata: Mapping[str, Sequence[str]]) -> bool:
    """Whether a pair is no longer valid."""
    until = valid_until(metadata)
    return until is not None and until <= datetime.now(UTC)
