"""One document an id: what becomes of those that claim the same one.

A file keeps its id: no two have the same (`batch.sources.source_files`). Of rows that bring the same id from several
files, that of the first file by its path keeps it, and the others are told with their file's name (`b.csv#7`), so that
two tables that both count from 1 lose nothing. The same text under the same id is one document, read twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam

from batch.reading.documents import Document, Reject, with_file
from batch.rejects import REJECTED, reject_row

_TAKEN, _RENAMED = "taken", "renamed"


@dataclass(frozen=True)
class Reading:
    """A document as it was read, and the file that it was in."""

    path: str
    name: str
    document: Document

    @property
    def is_row(self) -> bool:
        """Whether it is one of many in its file."""
        return self.document.uri != self.name


def keyed(reading: Reading) -> tuple[tuple[str, str], Reading]:
    """Return a reading under the collection and the id that it claims."""
    return (reading.document.collection, reading.document.document_id), reading


class _Deciding(beam.DoFn):
    """What can become of a reading: it is kept, withdrawn, or one too many."""

    def __init__(self, run_id: str, withdrawn: frozenset[tuple[str, str]]) -> None:
        self._run_id = run_id
        self._withdrawn = withdrawn

    def kept(self, reading: Reading) -> Any:
        document = reading.document
        if (document.collection, document.document_id) not in self._withdrawn:
            return document
        return self._rejected(document, "is withdrawn; `beforehand withdraw --undo` brings it back")

    def repeated(self, reading: Reading, place: str) -> Any:
        reason = f"a document of this id was already read from {place}; rename one of them"
        return self._rejected(reading.document, reason)

    def _rejected(self, document: Document, reason: str) -> Any:
        reject = Reject(document.document_id, f"{document.document_id}: {reason}")
        return beam.pvalue.TaggedOutput(REJECTED, reject_row(self._run_id, "prepare", document.collection, reject))


class _KeepFirst(_Deciding):
    """One document an id. A file comes before a row; a row of another text goes on under its file's name."""

    def process(self, element: tuple[tuple[str, str], Iterable[Reading]]) -> Iterator[Any]:
        first, *others = _in_order(element[1])
        yield self.kept(first)
        for each in others:
            if each.is_row and each.document.content_hash != first.document.content_hash:
                renamed = replace(each, document=with_file(each.document, each.name))
                yield beam.pvalue.TaggedOutput(_RENAMED, keyed(renamed))
            else:
                yield self.repeated(each, first.path)


class _KeepFree(_Deciding):
    """Those of the renamed rows whose new id is that of no other document."""

    def process(self, element: tuple[tuple[str, str], Mapping[str, Iterable[Any]]]) -> Iterator[Any]:
        places, renamed = list(element[1][_TAKEN]), _in_order(element[1][_RENAMED])
        for each in renamed:
            yield self.repeated(each, places[0]) if places else self.kept(each)
            places.append(each.path)


def _in_order(readings: Iterable[Reading]) -> list[Reading]:
    return sorted(readings, key=lambda each: (each.is_row, each.path))


class OneAnId(beam.PTransform):
    """((collection, document id), reading) → the documents that are kept, and the rejects."""

    def __init__(self, run_id: str, withdrawn: frozenset[tuple[str, str]]) -> None:
        super().__init__()
        self._parts = run_id, withdrawn

    def expand(self, readings: Any) -> Any:
        """Keep one reading an id, then those of the renamed ones whose new id is free."""
        kept = (
            readings
            | "ById" >> beam.GroupByKey()
            | "KeepFirst" >> beam.ParDo(_KeepFirst(*self._parts)).with_outputs(_RENAMED, REJECTED, main="documents")
        )
        taken = kept.documents | "Taken" >> beam.Map(lambda each: ((each.collection, each.document_id), each.uri))
        renamed = (
            {_TAKEN: taken, _RENAMED: kept[_RENAMED]}
            | "ByNewId" >> beam.CoGroupByKey()
            | "KeepFree" >> beam.ParDo(_KeepFree(*self._parts)).with_outputs(REJECTED, main="documents")
        )
        documents = (kept.documents, renamed.documents) | "Documents" >> beam.Flatten()
        return documents, (kept[REJECTED], renamed[REJECTED]) | "Repeated" >> beam.Flatten()
