"""Which questions that visitors typed may be shown to others: those that a person of the team approved.

A question of the origin `journal` is anticipated and served to whoever asks it, word for word. It stands in no list,
no suggestion and no page, and answers no other question, until a person approves it. Approvals are appended to
`<data>/listings.jsonl`, which running servers follow. They are not part of a release, so they hold after a rollback
too; the last one about a question counts.
"""

from __future__ import annotations

from pathlib import Path

from warehouse.append_log import Fold, append, now
from warehouse.log_line import Record


def list_question(data: Path, collection: str, query_key: str, reviewer: str, *, listed: bool = True) -> None:
    """Record that a person lets a visitors' question be shown to others, or with `listed=False` that it must not be.

    Raises:
        StorageError: the disk is full or the file can't be written.
    """
    record = {"collection": collection, "query_key": query_key, "listed": listed, "reviewer": reviewer, "at": now()}
    append(_listings(data), [record])


def _listings(data: Path) -> Path:
    return data / "listings.jsonl"


class Listings:
    """What people decided about visitors' questions; a server calls `follow` again and again."""

    def __init__(self, data: Path) -> None:
        """Follow the listings of a data folder."""
        self._log: Fold[dict[str, bool]] = Fold(_listings(data), dict, _decide)

    def follow(self) -> bool:
        """Read what is new; return whether there was anything. Costs one `stat` when nothing is."""
        return self._log.follow()

    def approves(self, query_key: str) -> bool:
        """Whether a person approved the question for the list, as `follow` last found it."""
        return self._log.state.get(query_key, False)

    def approved(self) -> frozenset[str]:
        """Return the keys of the questions that are approved now."""
        self.follow()
        return frozenset(key for key, listed in self._log.state.items() if listed)

    def decided(self) -> frozenset[str]:
        """Return the keys of the questions that a person has approved or refused by now."""
        self.follow()
        return frozenset(self._log.state)


def _decide(decided: dict[str, bool], record: Record) -> None:
    query_key, listed = record.get("query_key"), record.get("listed")
    if isinstance(query_key, str) and isinstance(listed, bool):
        decided[query_key] = listed
