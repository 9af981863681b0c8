"""One document per id: which of several documents that claim the same id keeps it.

Files never share an id (`batch.sources.source_files`). Rows of several files may: the row of the first file by path
keeps the id, and the others get their file's name before theirs (`b.csv#7`), so that two tables that both count from
1 lose nothing. The same text under the same id is one document that was read twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import apache_beam as beam

from batch.reading.document import Document, id_with_file
from batch.rejects import REJECTED, tagged_reject
from batch.sources.parsed_files import ParsedDocument, read_parsed
from rag.text.table_files import Reject

_TAKEN, _RENAMED = "taken", "renamed"

_Key = tuple[str, str]


class _Decision(beam.DoFn):
    """A document is kept, or rejected as withdrawn or as repeated."""

    def __init__(self, run_id: str, withdrawn: frozenset[_Key]) -> None:
        self._run_id = run_id
        self._withdrawn = withdrawn

    def kept(self, parsed: ParsedDocument) -> ParsedDocument | beam.pvalue.TaggedOutput:
        if parsed.key not in self._withdrawn:
            return parsed
        return self._rejected(parsed, "is withdrawn; `beforehand withdraw --undo` brings it back")

    def repeated(self, parsed: ParsedDocument, place: str) -> beam.pvalue.TaggedOutput:
        return self._rejected(parsed, f"a document of this id was already read from {place}; rename one of them")

    def _rejected(self, parsed: ParsedDocument, reason: str) -> beam.pvalue.TaggedOutput:
        reject = Reject(parsed.document_id, f"{parsed.document_id}: {reason}")
        return tagged_reject(self._run_id, "prepare", parsed.collection, reject)


class _KeepFirst(_Decision):
    """One document per id: files before rows. A row of another text goes on under its file's name."""

    def process(
        self, element: tuple[_Key, Iterable[ParsedDocument]]
    ) -> Iterator[ParsedDocument | beam.pvalue.TaggedOutput]:
        first, *others = _in_order(element[1])
        yield self.kept(first)
        for each in others:
            if each.is_row and each.content_hash != first.content_hash:
                renamed = replace(each, document_id=id_with_file(each.document_id, each.name))
                yield beam.pvalue.TaggedOutput(_RENAMED, (renamed.key, renamed))
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

    def process(self, claims: _Claims) -> Iterator[ParsedDocument | beam.pvalue.TaggedOutput]:
        places = list(claims.taken)
        for each in _in_order(claims.renamed):
            yield self.repeated(each, places[0]) if places else self.kept(each)
            places.append(each.path)


def _in_order(documents: Iterable[ParsedDocument]) -> list[ParsedDocument]:
    return sorted(documents, key=lambda each: (each.is_row, each.path))


def _documents(element: tuple[str, Iterable[tuple[int, str]]]) -> Iterator[Document]:
    """Yield those documents of a file that are kept, under the ids that they got."""
    file, kept = element
    ids = dict(kept)
    for number, document in enumerate(read_parsed(file)):
        if number in ids:
            yield replace(document, document_id=ids[number])


class KeepUniqueIds(beam.PTransform):
    """((collection, document id), parsed document) → the documents that are kept, and the rejects.

    What is grouped is the place of a document; its text is read again when it is known to be kept.
    """

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
        taken = kept.documents | "Taken" >> beam.Map(lambda each: (each.key, each.uri))
        renamed = (
            {_TAKEN: taken, _RENAMED: kept[_RENAMED]}
            | "ByNewId" >> beam.CoGroupByKey()
            | "Claims" >> beam.Map(_claims)
            | "KeepFree" >> beam.ParDo(_KeepFree(*self._decision)).with_outputs(REJECTED, main="documents")
        )
        unique = (
            (kept.documents, renamed.documents)
            | "Kept" >> beam.Flatten()
            | "InFile" >> beam.Map(lambda each: (each.file, (each.number, each.document_id)))
            | "ByFile" >> beam.GroupByKey()
            | "Documents" >> beam.FlatMap(_documents)
        )
        return unique, (kept[REJECTED], renamed[REJECTED]) | "Repeated" >> beam.Flatten()
