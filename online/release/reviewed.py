"""What people decided about the answers of a release, applied when an answer is looked up.

A release is never written again, but people have the last word, and at once: a rejected answer is served no more,
an edited one with its new text, and one that the audit withheld is served when somebody approved it. That costs a
lookup in a dictionary that is nearly always without the question.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from warehouse.append_log import Record
from warehouse.editorial.decisions import Decisions
from warehouse.releases.serving_index import ServingIndex


class Reviewed:
    """The answers of a release as people want them served."""

    def __init__(self, data: Path) -> None:
        self._log = Decisions(data)
        self._decisions: Mapping[str, Mapping[str, Record]] = {}

    def follow(self) -> None:
        """Read what is new."""
        if self._log.changed():
            self._decisions = self._log.by_question()

    def answer(self, index: ServingIndex, query_key: str) -> bytes | None:
        """Return the JSON body of the answer to a question, or None if none may be served."""
        served = index.answer(query_key)
        decided = self._decisions.get(query_key)
        if decided is None:
            return served
        body = served or index.withheld(query_key)
        if body is None:
            return None
        fields: dict[str, Any] = msgspec.json.decode(body)
        decision = decided.get(fields["fingerprint"])
        if decision is None:
            return served
        return _decided(decision, body, fields)


def _decided(decision: Record, body: bytes, fields: dict[str, Any]) -> bytes | None:
    if decision.get("decision") == "reject":
        return None
    if decision.get("decision") == "edit":
        return msgspec.json.encode(fields | {"answer": str(decision.get("answer")), "origin": "edited"})
    return body
