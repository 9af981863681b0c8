"""Reads a collection in this process: the same readers as `prepare` and `anticipate`, without a pipeline.

Nothing is written. What the stages put into `rejects` is kept by file, to tell how much of each was lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TypeVar

from batch.corpus_check.corpus import Corpus, ReadDocument, ReadFile
from batch.questions.question_files import Question, parse_questions
from batch.reading.chunking import Chunk, chunk
from batch.reading.document import Document, with_file
from batch.reading.documents import parse
from batch.rejects import unexpected
from batch.settings import BatchSettings
from batch.sources.file_contents import FileContents
from batch.sources.source_files import SourceFile, find_documents, find_sources
from rag.collection_settings import CollectionSettings
from rag.credentials import hide, secret_values
from rag.errors import DocumentError
from rag.settings import ChunkingSettings
from rag.text.table_files import ROW_ENDINGS, Reject, ending

T = TypeVar("T")


def read_corpus(
    name: str,
    collection: CollectionSettings,
    batch: BatchSettings,
    chunking: ChunkingSettings,
    count_tokens: Callable[[str], int],
) -> Corpus:
    """Read and chunk the documents of a collection, and read its lists of questions.

    Raises:
        ConfigurationError: an address can't be read or reached.
    """
    listing = find_documents({name: collection}, batch)
    lists = find_sources({name: collection.questions}, batch)
    cut = partial(
        chunk,
        count_tokens=count_tokens,
        max_tokens=chunking.max_tokens,
        overlap_sentences=chunking.overlap_sentences,
    )
    document_files, documents = _read_documents(listing.sources, batch, collection.encoding, cut)
    question_files, questions = _read_questions(lists.sources, batch, collection)
    skipped: Counter[str] = Counter()
    for (_, _, kind), count in listing.skipped.items():
        skipped[kind] += count
    return Corpus(
        name,
        (*document_files, *question_files),
        documents,
        questions,
        dict(skipped.most_common()),
        {pattern: listing.excluded[name, pattern] for pattern in collection.exclude},
        tuple(reject for _, reject in (*listing.unusable(), *lists.unusable())),
    )


def _read_documents(
    sources: list[SourceFile], batch: BatchSettings, encoding: str | None, cut: Callable[[Document], list[Chunk]]
) -> tuple[list[ReadFile], tuple[ReadDocument, ...]]:
    files: list[ReadFile] = []
    kept: dict[str, ReadDocument] = {}
    rows_last = sorted(sources, key=lambda each: (ending(each.name) in ROW_ENDINGS, each.path))
    for source, data in _opened(rows_last, batch):
        parsed = partial(parse, collection=source.collection, max_bytes=batch.max_document_bytes, encoding=encoding)
        rejects: list[Reject] = []
        before = len(kept)
        for each in _read(source, data, batch, parsed):
            if isinstance(each, Reject):
                rejects.append(each)
                continue
            try:
                document = _with_free_id(each, source.name, kept)
                kept[document.document_id] = ReadDocument(document, tuple(cut(document)))
            except DocumentError as error:
                rejects.append(Reject(each.document_id, str(error)))
        files.append(ReadFile(source.name, len(kept) - before, tuple(rejects)))
    return files, tuple(kept.values())


def _read_questions(
    sources: list[SourceFile], batch: BatchSettings, collection: CollectionSettings
) -> tuple[list[ReadFile], tuple[Question, ...]]:
    files: list[ReadFile] = []
    kept: dict[str, Question] = {}
    for source, data in _opened(sources, batch):
        parsed = partial(
            parse_questions,
            collection=source.collection,
            max_characters=batch.max_question_characters,
            encoding=collection.encoding,
            filtering=collection.filtering,
        )
        found = list(_read(source, data, batch, parsed))
        asked = [each for each in found if not isinstance(each, Reject)]
        rejects = tuple(each for each in found if isinstance(each, Reject))
        files.append(ReadFile(source.name, len(asked), rejects, of_questions=True))
        for each in asked:
            kept.setdefault(each.query_key, each)
    return files, tuple(kept.values())


def _opened(sources: list[SourceFile], batch: BatchSettings) -> Iterator[tuple[SourceFile, bytes | Exception]]:
    """Yield each file with its bytes, or why it can't be opened."""
    read = FileContents(batch).read_each([source.path for source in sources])
    return ((source, data) for source, (_, data) in zip(sources, read, strict=True))


def _read(
    source: SourceFile,
    data: bytes | Exception,
    batch: BatchSettings,
    parsed: Callable[[str, bytes], Iterable[T | Reject]],
) -> Iterator[T | Reject]:
    """Yield what a file holds; a file that can't be opened or read is a reject."""
    if isinstance(data, Exception):
        yield Reject(source.name, f"{source.name}: can't be opened ({hide(str(data), secret_values(batch))})")
        return
    try:
        yield from parsed(source.name, data)
    except Exception as error:  # the last resort: one bad file must not end the check
        yield unexpected(source.name, error)


def _with_free_id(document: Document, name: str, kept: Mapping[str, ReadDocument]) -> Document:
    """Return a document under an id that no other has, as `batch.sources.unique_ids` gives it.

    Raises:
        DocumentError: it was read already.
    """
    first = kept.get(document.document_id)
    if first is None:
        return document
    renamed = with_file(document, name)
    is_row = document.uri != name
    if not is_row or first.document.content_hash == document.content_hash or renamed.document_id in kept:
        raise DocumentError(f"a document of the id {document.document_id} was already read; rename one of them")
    return renamed
