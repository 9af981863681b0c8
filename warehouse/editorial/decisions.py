"""Decisions of reviewers, which running servers follow: a decision takes effect at once.

A decision names a question and the fingerprint of its answer, so it applies in every release in which the answer has
that fingerprint, also after a rollback. The last decision counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from warehouse.append_log import Follower, Record


def decisions_file(data: Path) -> Path:
    """Return where decisions are appended."""
    return data / "reviews.jsonl"


class Decisions:
    """The decisions of a data folder; a server polls `changed` and then calls `by_question`."""

    def __init__(self, data: Path) -> None:
        """Follow the decisions of a data folder."""
        self._log = Follower(decisions_file(data))

    def changed(self) -> bool:
        """Whether there are new decisions; costs one `stat`."""
        return self._log.changed()

    def by_question(self) -> dict[str, Mapping[str, Record]]:
        """Return the last decision by query key and fingerprint."""
        found: dict[str, dict[str, Record]] = {}
        for record in self._log.records():
            found.setdefault(str(record.get("query_key")), {})[str(record.get("fingerprint"))] = record
        return dict(found)
