"""Withdrawn documents and tombstoned pairs of questions, which servers stop serving at once.

Both are append-only files in the data folder and not part of a release, so they apply to every release from the moment
they are written until they are undone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeGuard

from rag.errors import ConfigurationError
from warehouse.append_log import Fold, append, now
from warehouse.log_line import Record

DocumentKey = tuple[str, str]  # collection and document_id

_GONE = "no longer in the corpus"


def withdraw(data: Path, collection: str, document_id: str, reason: str) -> None:
    """Stop serving every answer that rests on a document, also in running servers."""
    append(_withdrawals(data), [_record("withdraw", collection, document_id, reason)])


def reinstate(data: Path, collection: str, document_id: str, reason: str) -> None:
    """Undo a withdrawal.

    Raises:
        ConfigurationError: the document is not withdrawn; the message names those that are.
    """
    withdrawn = sorted(name for where, name in Withdrawals(data).documents() if where == collection)
    if document_id not in withdrawn:
        others = f"withdrawn there: {', '.join(withdrawn)}" if withdrawn else "nothing is withdrawn there"
        raise ConfigurationError(f"{document_id}: not withdrawn in {collection}, so there is nothing to undo; {others}")
    append(_withdrawals(data), [_record("reinstate", collection, document_id, reason)])


def follow_corpus(data: Path, collection: str, before: Collection[str], present: Collection[str]) -> None:
    """Withdraw documents that left the corpus, and reinstate those that came back.

    `before` are the ids in the current release, `present` those just read. What a person withdrew stays withdrawn.
    """
    withdrawn = Withdrawals(data).reasons()
    gone = sorted(d for d in set(before) - set(present) if (collection, d) not in withdrawn)
    back = sorted(d for d in present if withdrawn.get((collection, d)) == _GONE)
    records = [_record("withdraw", collection, d, _GONE) for d in gone]
    records += [_record("reinstate", collection, d, "back in the corpus") for d in back]
    if records:
        append(_withdrawals(data), records)


def _record(action: str, collection: str, document_id: str, reason: str) -> Record:
    return {"action": action, "collection": collection, "document_id": document_id, "reason": reason, "at": now()}


def _withdrawals(data: Path) -> Path:
    return data / "withdrawals.jsonl"


class Withdrawals:
    """The withdrawn documents; a server calls `follow` again and again."""

    def __init__(self, data: Path) -> None:
        """Follow the withdrawals of a data folder."""
        self._log: Fold[dict[str, dict[str, str]]] = Fold(_withdrawals(data), dict, _withdraw_or_reinstate)

    def follow(self) -> bool:
        """Read what is new; return whether there was anything. Costs one `stat` when nothing is."""
        return self._log.follow()

    def of(self, collection: str) -> Mapping[str, str]:
        """Return the withdrawn documents of a collection with their reasons, as `follow` last found them."""
        return self._log.state.get(collection, {})

    def __len__(self) -> int:
        """The number of withdrawn documents, as `follow` last found them."""
        return sum(map(len, self._log.state.values()))

    def documents(self) -> frozenset[DocumentKey]:
        """Return the documents that are withdrawn now as (collection, document_id)."""
        return frozenset(self.reasons())

    def by_people(self) -> frozenset[DocumentKey]:
        """Return the documents that a person withdrew; builds leave them out although they are in the corpus."""
        return frozenset(document for document, reason in self.reasons().items() if reason != _GONE)

    def reasons(self) -> dict[DocumentKey, str]:
        """Return the documents that are withdrawn now, each with its reason."""
        self.follow()
        return {
            (collection, document): reason
            for collection, documents in self._log.state.items()
            for document, reason in documents.items()
        }


def _withdraw_or_reinstate(withdrawn: dict[str, dict[str, str]], record: Record) -> None:
    documents = withdrawn.setdefault(str(record.get("collection")), {})
    if record.get("action") == "withdraw":
        documents[str(record.get("document_id"))] = str(record.get("reason", ""))
    else:
        documents.pop(str(record.get("document_id")), None)


def tombstone(data: Path, asked_key: str, matched_key: str, reason: str) -> None:
    """Forbid answering either of two questions with the answer to the other."""
    append(_tombstones(data), [{"action": "add", "pair": [asked_key, matched_key], "reason": reason, "at": now()}])


def untombstone(data: Path, asked_key: str, matched_key: str, reason: str) -> None:
    """Undo a tombstone."""
    append(_tombstones(data), [{"action": "remove", "pair": [asked_key, matched_key], "reason": reason, "at": now()}])


def _tombstones(data: Path) -> Path:
    return data / "tombstones.jsonl"


class Tombstones:
    """Pairs of questions that must not hit each other; a server calls `follow` again and again."""

    def __init__(self, data: Path) -> None:
        """Follow the tombstones of a data folder."""
        self._log: Fold[set[frozenset[str]]] = Fold(_tombstones(data), set, _add_or_remove)

    def follow(self) -> bool:
        """Read what is new; return whether there was anything. Costs one `stat` when nothing is."""
        return self._log.follow()

    def __contains__(self, pair: frozenset[str]) -> bool:
        """Whether a pair of query keys must not hit, as `follow` last found it."""
        return pair in self._log.state

    def __len__(self) -> int:
        """The number of pairs, as `follow` last found them."""
        return len(self._log.state)

    def pairs(self) -> frozenset[frozenset[str]]:
        """Return the pairs of query keys that must not hit now."""
        self.follow()
        return frozenset(self._log.state)


def _add_or_remove(pairs: set[frozenset[str]], record: Record) -> None:
    pair = record.get("pair")
    if _is_pair(pair):
        (pairs.add if record.get("action") == "add" else pairs.discard)(frozenset(pair))


def _is_pair(pair: object) -> TypeGuard[list[str]]:
    return isinstance(pair, list) and len(pair) == 2 and all(isinstance(key, str) for key in pair)
