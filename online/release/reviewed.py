"""Reviews applied to the answers of a release when they are looked up.

A release is never changed, but people have the last word, at once: a rejected answer is served no more, an edited one
with its new text, and an approved one although the audit withheld it. That costs a lookup in a nearly empty dictionary.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from online.http.schemas import JsonObject
from warehouse.append_log import Record
from warehouse.editorial.decisions import Decisions
from warehouse.releases.serving_index import ServingIndex


class Reviewed:
    """The answers of a release after review."""

    def __init__(self, data: Path) -> None:
        self._log = Decisions(data)
        self._decisions: Mapping[str, Mapping[str, Record]] = {}

    def follow(self) -> None:
        """Read new decisions."""
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
        fields: JsonObject = msgspec.json.decode(body)
        decision = decided.get(fields["fingerprint"])
        if decision is None:
            return served
        return _decided(decision, body, fields)


def _decided(decision: Record, body: bytes, fields: JsonObject) -> bytes | None:
    if decision.get("decision") == "reject":
        return None
    if decision.get("decision") == "edit":
        return msgspec.json.encode(fields | {"answer": str(decision.get("answer")), "origin": "edited"})
    return body
