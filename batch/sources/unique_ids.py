"""One document per id: which of several documents that claim the same id keeps it.

Files never share an id (`batch.sources.source_files`). Rows of several files may: the row of the first file by path
keeps the id, and the others get their file's name before theirs (`b.csv#7`), so that two tables that both count from
1 lose nothing. The same text under the same id is one document that was read twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import apache_beam as beam

from batch.reading.document import Document, with_file
from batch.rejects import REJECTED, tagged_reject
from rag.text.table_files import Reject

_TAKEN, _RENAMED = "taken", "renamed"

_Key = tuple[str, str]


@dataclass(frozen=True)
class ParsedDocument:
    """A document and the file that it was read from, by `path` and `name`."""

    path: str
    name: str
    document: Document

    @property
    def is_row(self) -> bool:
        """Whether it is one of many in its file."""
        return self.document.uri != self.name


def keyed(parsed: ParsedDocument) -> tuple[_Key, ParsedDocument]:
    """Return a document under the collection and the id that it claims."""
    return (parsed.document.collection, parsed.document.document_id), parsed


class _Decision(beam.DoFn):
    """A document is kept, or rejected as withdrawn or as repeated."""

    def __init__(self, run_id: str, withdrawn: frozenset[_Key]) -> None:
        self._run_id = run_id
        self._withdrawn = withdrawn

    def kept(self, parsed: ParsedDocument) -> Document | beam.pvalue.TaggedOutput:
        document = parsed.document
        if (document.collection, document.document_id) not in self._withdrawn:
            return document
        return self._rejected(document, "is withdrawn; `beforehand withdraw --undo` brings it back")

    def repeated(self, parsed: ParsedDocument, place: str) -> beam.pvalue.TaggedOutput:
        reason = f"a document of this id was already read from {place}; rename one of them"
        return self._rejected(parsed.document, reason)

    def _rejected(self, document: Document, reason: str) -> beam.pvalue.TaggedOutput:
        reject = Reject(document.document_id, f"{document.document_id}: {reason}")
        return tagged_reject(self._run_id, "prepare", document.collection, reject)


class _KeepFirst(_Decision):
    """One document per id: files before rows. A row of another text goes on under its file's name."""

    def process(self, element: tuple[_Key, Iterable[ParsedDocument]]) -> Iterator[Document | beam.pvalue.TaggedOutput]:
        first, *others = _in_order(element[1])
        yield self.kept(first)
        for each in others:
            if each.is_row and each.document.content_hash != first.document.content_hash:
                renamed = replace(each, document=with_file(each.document, each.name))
                yield beam.pvalue.TaggedOutput(_RENAMED, keyed(renamed))
            else:
                yield self.repeated(each, first.path)


@dataclass(frozen=True)
class _Claims:
    """Who claims an id: the places of the documents that have it, and the rows that were renamed to it."""

    taken: list[str]
    renamed: list[ParsedDocument]


def _claims(element: tuple[_Key, Mapping[str, Iterable[object]]]) -> _Claims:
    groups = element[1]
    renamed = [each for each in groups[_RENAMED] if isinstance(each, ParsedDocument)]
    return _Claims([str(place) for place in groups[_TAKEN]], renamed)


class _KeepFree(_Decision):
    """The renamed rows whose new id no other document has."""

    def process(self, claims: _Claims) -> Iterator[Document | beam.pvalue.TaggedOutput]:
        places = list(claims.taken)
        for each in _in_order(claims.renamed):
            yield self.repeated(each, places[0]) if places else self.kept(each)
            places.append(each.path)


def _in_order(documents: Iterable[ParsedDocument]) -> list[ParsedDocument]:
    return sorted(documents, key=lambda each: (each.is_row, each.path))


class KeepUniqueIds(beam.PTransform):
    """((collection, document id), parsed document) → the documents that are kept, and the rejects."""

    def __init__(self, run_id: str, withdrawn: frozenset[_Key]) -> None:
        super().__init__()
        self._decision = run_id, withdrawn

    def expand(self, documents: beam.PCollection) -> tuple[beam.PCollection, beam.PCollection]:
        """Keep one document per id, then the renamed ones whose new id is free."""
        kept = (
            documents
            | "ById" >> beam.GroupByKey()
            | "KeepFirst" >> beam.ParDo(_KeepFirst(*self._decision)).with_outputs(_RENAMED, REJECTED, main="documents")
        )
        taken = kept.documents | "Taken" >> beam.Map(lambda each: ((each.collection, each.document_id), each.uri))
        renamed = (
            {_TAKEN: taken, _RENAMED: kept[_RENAMED]}
            | "ByNewId" >> beam.CoGroupByKey()
            | "Claims" >> beam.Map(_claims)
            | "KeepFree" >> beam.ParDo(_KeepFree(*self._decision)).with_outputs(REJECTED, main="documents")
        )
        unique = (kept.documents, renamed.documents) | "Documents" >> beam.Flatten()
        return unique, (kept[REJECTED], renamed[REJECTED]) | "Repeated" >> beam.Flatten()
