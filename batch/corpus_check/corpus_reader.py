"""Reads a collection in this process: the same readers as `prepare` and `anticipate`, without a pipeline.

Nothing is written. What the stages put into `rejects` is kept by file, to tell how much of each was lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

from batch.corpus_check.corpus import Corpus, ReadDocument, ReadFile
from batch.questions.question_files import CuratedPair, Question, parse_curated, parse_questions
from batch.questions.wordings import Asked, Fence, Item, Wording, answer_name, keep_first, of_one_answer, ruled
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
from warehouse.editorial.wordings import Ruling

T = TypeVar("T")


def read_corpus(
    name: str,
    collection: CollectionSettings,
    batch: BatchSettings,
    chunking: ChunkingSettings,
    count_tokens: Callable[[str], int],
    rulings: Iterable[Ruling] = (),
) -> Corpus:
    """Read and chunk the documents of a collection, and read its lists of questions and its curated pairs.

    `rulings` are what people and judges found to be wordings of its questions, and what to keep apart.

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
    pairs = find_sources({name: collection.curated}, batch)
    listed_files, listed = _read_questions(lists.sources, batch, collection, curated=False)
    pair_files, answered = _read_questions(pairs.sources, batch, collection, curated=True)
    own = [each for each in rulings if each.collection == name and each.verdict in ("wording", "fence")]
    kept, fences, clashes = _by_answer((*listed, *answered), own, batch.max_question_characters)
    skipped: Counter[str] = Counter()
    for (_, _, kind), count in listing.skipped.items():
        skipped[kind] += count
    return Corpus(
        name,
        (*document_files, *listed_files, *pair_files),
        documents,
        tuple(each for each in kept if not isinstance(each, Wording)),
        tuple(each for each in kept if isinstance(each, Wording)),
        tuple(fences),
        dict(skipped.most_common()),
        {pattern: listing.excluded[name, pattern] for pattern in collection.exclude},
        (*(reject for _, reject in (*listing.unusable(), *lists.unusable(), *pairs.unusable())), *clashes),
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
    sources: list[SourceFile], batch: BatchSettings, collection: CollectionSettings, *, curated: bool
) -> tuple[list[ReadFile], list[Asked]]:
    files: list[ReadFile] = []
    asked: list[Asked] = []
    for source, data in _opened(sources, batch):

        def parsed(name: str, content: bytes, of: str = source.collection) -> Iterator[Asked | Reject]:
            encoding, filtering = collection.encoding, collection.filtering
            if curated:
                return parse_curated(name, content, of, encoding, filtering)
            return parse_questions(name, content, of, batch.max_question_characters, encoding, filtering)

        found: list[Asked | Reject] = list(_read(source, data, batch, parsed))
        rejects = tuple(each for each in found if isinstance(each, Reject))
        files.append(ReadFile(source.name, len(found) - len(rejects), rejects, of_questions=True))
        asked += [each for each in found if not isinstance(each, Reject)]
    return files, asked


def _by_answer(
    asked: Sequence[Asked], rulings: Sequence[Ruling], longest: int
) -> tuple[list[Item], list[Fence], list[Reject]]:
    """Return one question for each answer with the further wordings, the fences, and rejects, as `anticipate` does."""
    named: dict[str, list[Asked]] = {}
    for each in asked:
        named.setdefault(answer_name(each) or each.query_key, []).append(each)
    items: dict[str, list[Item]] = {}
    rejects: list[Reject] = []
    for group in named.values():
        primary, wordings, unusable = of_one_answer(group, longest)
        rejects += unusable
        for item in (*primary, *wordings):
            items.setdefault(item.query_key, []).append(item)
    made = [ruled(each, items.get(each.query_key, [])) for each in rulings]
    for joined in (each for each in made if isinstance(each, Wording)):
        items.setdefault(joined.query_key, []).append(joined)
    kept: list[Item] = []
    for of_one_key in items.values():
        answered = any(isinstance(each, CuratedPair) for each in of_one_key)  # then to list it, too, loses nothing
        first, lost = keep_first([each for each in of_one_key if not (answered and isinstance(each, Question))])
        kept.append(first)
        rejects += lost
    return kept, [each for each in made if isinstance(each, Fence)], rejects


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
