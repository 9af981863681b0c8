"""Which answers of a release an edit of documents would change: by citation, and by what is retrieved afterwards.

The chunks, retrievals and prompts of the edited corpus are those that a run would make; whoever calls has made them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa

from warehouse.analysis.connection import connect
from warehouse.sql import sql_text

Cause = Literal["cites the edit", "an edited passage", "new text", "other passages", "none"]
Document = tuple[str, str]
"""A document, as collection and id."""


@dataclass(frozen=True)
class Affected:
    """An answer that the edit concerns, and why.

    `lost` and `gained` are the documents of passages that leave its prompt and enter it. `decision` is what a person
    decided about it. `generated_again`: no answer to the new prompt is in the store.
    """

    collection: str
    query_key: str
    question: str
    origin: str
    status: str
    decision: str | None
    cites: tuple[str, ...]
    lost: tuple[str, ...]
    gained: tuple[str, ...]
    other_passages: bool
    generated_again: bool
    tokens: int

    @property
    def changes(self) -> bool:
        """Whether its prompt changes, or a document that a curated answer names."""
        return self.other_passages or (self.origin == "curated" and bool(self.cites))

    @property
    def rests_on_people(self) -> bool:
        """Whether people wrote it or decided about it: a run doesn't mend it."""
        return self.origin in ("curated", "edited") or self.decision in ("approve", "edit")

    def cause(self, edited: Collection[str]) -> Cause:
        """Return why it changes; `edited` are the ids of the edited documents."""
        if not self.changes:
            return "none"
        if self.cites:
            return "cites the edit"
        if set(self.lost) & set(edited):
            return "an edited passage"
        return "new text" if set(self.gained) & set(edited) else "other passages"


def impact(
    data: Path, new: Mapping[str, pa.Table], edited: Collection[Document], known: Collection[str]
) -> list[Affected]:
    """Return the answers of the current release that an edit concerns, the most weighty first.

    `new` are the tables chunks, retrievals and prompts of the edited corpus, `known` the fingerprints of the store.
    """
    pairs = sorted(edited)
    tables = {f"new_{name}": table for name, table in new.items()}
    tables["edited"] = pa.table(
        {"collection": [each[0] for each in pairs], "document_id": [each[1] for each in pairs]},
        schema=pa.schema([("collection", pa.string()), ("document_id", pa.string())]),
    )
    with closing(connect(data, described=False)) as session:
        for name, table in tables.items():
            session.register(name, table)
        rows = session.execute(sql_text("impact.sql")).fetchall()
    return [_affected(row, known) for row in rows]


def _affected(row: Sequence[object], known: Collection[str]) -> Affected:
    *about, cites, lost, gained, other_passages, fingerprint, tokens = row
    collection, key, question, origin, status, decision = (None if each is None else str(each) for each in about)
    return Affected(
        str(collection), str(key), str(question), str(origin), str(status), decision,
        _names(cites), _names(lost), _names(gained), bool(other_passages),
        bool(other_passages) and fingerprint is not None and fingerprint not in known, int(str(tokens)),
    )  # fmt: skip


def _names(found: object) -> tuple[str, ...]:
    return tuple(str(each) for each in found) if isinstance(found, list) else ()
