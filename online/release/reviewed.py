"""What people decided about the answers of a release, applied when an answer is looked up.

A release is never written again, but people have the last word, and at once: a rejected question has no answer, an
edited one has the reviewer's text, and an answer that the audit withheld is served when somebody approved it. A
decision that was taken back holds no more, also where the release was built with it. That costs a lookup in two
dictionaries that are nearly always without the question.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec

from online.http.schemas import JsonObject
from warehouse.editorial.decisions import Decisions, Standing
from warehouse.editorial.sources import Source
from warehouse.releases.serving_index import ServingIndex


class Reviewed:
    """The answers of a release as people want them served."""

    def __init__(self, data: Path) -> None:
        self._log = Decisions(data)
        self._lock = threading.Lock()
        self._standing: Mapping[str, Standing] = {}
        self.rejected: Mapping[str, Standing] = {}
        self.rejected_fingerprints: frozenset[str] = frozenset()

    def follow(self) -> None:
        """Read what is new; a caller waits while another thread reads, so that no decision is overlooked."""
        with self._lock:
            if not self._log.changed():
                return
            self._standing = self._log.standing()
            standing = self._standing.items()
            # those that nobody may hear, as opposed to those whose reviewer allowed a live answer
            self.rejected = {key: each for key, each in standing if each.decision == "reject" and not each.allow_live}
            self.rejected_fingerprints = frozenset(each.fingerprint for each in self.rejected.values())

    def standing(self, query_key: str) -> Standing | None:
        """Return what people decided about a question."""
        return self._standing.get(query_key)

    def answer(self, index: ServingIndex, query_key: str) -> bytes | None:
        """Return the JSON body of the answer to a question, or None if none may be served."""
        standing = self._standing.get(query_key)
        if standing is None:
            return index.answer(query_key) if query_key not in index.before_reviews else _unreviewed(index, query_key)
        if standing.decision == "reject":
            return None
        body = index.answer(query_key) or index.withheld(query_key)
        fields: JsonObject = {} if body is None else msgspec.json.decode(body)
        if standing.decision == "edit":
            return _pinned(index, query_key, standing, fields)
        if body is not None and standing.verdict(fields["fingerprint"]) == "approve":
            return _approved(index, query_key, body, fields)
        return _unreviewed(index, query_key)


def _unreviewed(index: ServingIndex, query_key: str) -> bytes | None:
    """Return the answer as the audit left it before the reviews that the release was built with."""
    before = index.before_reviews.get(query_key)
    if before is None:
        return index.answer(query_key)
    body = index.answer(query_key) or index.withheld(query_key)
    if not before.served or body is None:
        return None
    return msgspec.json.encode(msgspec.json.decode(body) | {"answer": before.answer, "origin": before.origin})


def _approved(index: ServingIndex, query_key: str, body: bytes, fields: JsonObject) -> bytes:
    """Return the generated text that was approved, also where the release was built with an older edit."""
    before = index.before_reviews.get(query_key)
    if before is None or fields["origin"] != "edited":
        return body
    return msgspec.json.encode(fields | {"answer": before.answer, "origin": before.origin})


def _pinned(index: ServingIndex, query_key: str, standing: Standing, fields: JsonObject) -> bytes | None:
    """Return the reviewer's text with the passages that it refers to; those of a later answer may be others."""
    text = {"answer": standing.answer, "origin": "edited"}
    if fields.get("fingerprint") == standing.fingerprint or (fields and not standing.sources):
        return msgspec.json.encode(fields | text)
    if not fields and standing.question is None:  # recorded before edits held their question
        return None
    cited = {
        "citations": [_citation(index, source) for source in standing.sources],
        "documents": sorted({source.document_id for source in standing.sources}),
    }
    return msgspec.json.encode(_of_the_record(query_key, standing) | fields | text | cited)


def _of_the_record(query_key: str, standing: Standing) -> JsonObject:
    """Return the fields of an answer that the release lacks, since none could be generated."""
    return {
        "question": standing.question,
        "collection": standing.collection,
        "model": "",
        "fingerprint": standing.fingerprint,
        "query_key": query_key,
        "generated_at": standing.reviewed_at,
        "finish_reason": "",
        "support": 1.0,
    }


def _citation(index: ServingIndex, source: Source) -> dict[str, object]:
    stored = index.chunk(source.chunk_id) if source.chunk_id else None
    chunk: JsonObject = {} if stored is None else msgspec.json.decode(stored)
    further = {name: chunk[name] for name in ("url", "metadata") if name in chunk}
    return further | {
        "number": source.number,
        "kind": source.kind,
        "document_id": source.document_id,
        "title": source.title,
        "uri": source.uri,
        "heading": source.heading,
        "passage": chunk.get("text", ""),
        "chunk_id": source.chunk_id,
    }
