"""What `beforehand check` looks for, as a run finds it in its own tables, for the report on its release.

The run has read the documents already, so its rows are counted instead of reading them once more. Near-duplicates are
looked for among 20,000 chunks of a collection at most, chosen by their hashes.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from batch.corpus_check.near_duplicates import near_duplicates, word_shingles
from batch.corpus_check.scripts import letters_by_script, warnings
from batch.formats.includes import NOT_HERE
from batch.formats.outline import LEFT_OUT
from warehouse.tables import ChunkRow, DocumentRow, FindingRow, RejectRow

_EXAMPLES = 5
_LONGEST_EXCERPT = 100  # characters
_COMPARED = 20_000


@dataclass(frozen=True)
class Reader:
    """What the configuration expects of a corpus: the encoder, the scripts that it knows, and the language."""

    encoder: str
    known_scripts: frozenset[str]
    language: str


@dataclass(frozen=True)
class Prepared:
    """What `prepare` wrote about a collection; `skipped` counts files by an ending that is not read."""

    collection: str
    documents: Collection[DocumentRow]
    chunks: Collection[ChunkRow]
    rejects: Sequence[RejectRow]
    skipped: Mapping[str, int]


def run_findings(prepared: Prepared, reader: Reader) -> list[FindingRow]:
    """Return what is worth a look in a collection, without what is in order."""
    documents, chunks = prepared.documents, prepared.chunks
    titled_by_name = (row for row in documents if row["titled_by_name"])
    hidden = [row for row in prepared.rejects if row["reason"].endswith(LEFT_OUT)]
    included = [row for row in prepared.rejects if row["reason"].endswith(NOT_HERE)]
    lost = [row for row in prepared.rejects if not row["reason"].endswith((LEFT_OUT, NOT_HERE))]
    misfits = warnings(
        letters_by_script(row["text"] for row in chunks), reader.encoder, reader.known_scripts, reader.language
    )
    found = (
        ("documents titled by their file names", len(documents), map(_named, titled_by_name)),
        ("chunks under no heading but the title", len(chunks), (_excerpt(row) for row in chunks if not row["heading"])),
        ("documents with hidden text", len(documents), map(_told, hidden)),
        ("documents with includes that are not read", len(documents), map(_told, included)),
        ("rows and files lost", None, map(_told, lost)),
        ("scripts that don't fit", None, misfits),
    )
    rows = [_row(prepared.collection, name, whole, examples) for name, whole, examples in found]
    by_ending = [f"{kind or 'no ending'}: {count}" for kind, count in Counter(prepared.skipped).most_common()]
    skipped = _row(prepared.collection, "files skipped", None, by_ending)
    skipped["count"] = sum(prepared.skipped.values())
    texts = ((row["chunk_id"], row["text"], _excerpt(row)) for row in chunks)
    alike = _alike(prepared.collection, "near-duplicate chunks", texts)
    return [row for row in (*rows, skipped, alike) if row["count"]]


def _row(collection: str, finding: str, whole: int | None, found: Iterable[str]) -> FindingRow:
    left = iter(found)
    examples = list(islice(left, _EXAMPLES))
    return {
        "collection": collection,
        "finding": finding,
        "count": len(examples) + sum(1 for _ in left),
        "whole": whole,
        "examples": examples,
    }


def _alike(collection: str, finding: str, texts: Iterable[tuple[str, str, str]]) -> FindingRow:
    """Count the texts, given as (id, text, name), that repeat another one."""
    compared = heapq.nsmallest(_COMPARED, texts)
    groups = near_duplicates([word_shingles(text) for _, text, _ in compared])
    row = _row(
        collection, finding, len(compared), [f"{compared[group[0]][2]} ({len(group)} times)" for group in groups]
    )
    row["count"] = sum(len(group) - 1 for group in groups)
    return row


def _told(row: RejectRow) -> str:
    return f"{row['item']}: {row['reason']}"


def _named(row: DocumentRow) -> str:
    return f"{row['document_id']}: {row['title']}"


def _excerpt(row: ChunkRow) -> str:
    text = " ".join(row["text"].split())
    shown = text if len(text) <= _LONGEST_EXCERPT else text[: _LONGEST_EXCERPT - 1] + "…"
    return f"{row['document_id']}: {shown}"
