"""A collection as the check sees it: its files, what came from them, and what did not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from batch.questions.question_files import CuratedPair, Question
from batch.questions.wordings import Fence, Wording
from batch.reading.chunking import Chunk
from batch.reading.document import Document
from rag.text.table_files import Reject


@dataclass(frozen=True)
class ReadDocument:
    """A document with its chunks."""

    document: Document
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class ReadFile:
    """A file, how many documents or questions came from it, and what was lost; `of_questions` says which."""

    name: str
    read: int
    rejects: tuple[Reject, ...]
    of_questions: bool = False


@dataclass(frozen=True)
class Corpus:
    """A collection as read: its files, documents and questions; the files that are not read, by ending or pattern.

    `questions` has listed ones and curated pairs, one for each answer, `wordings` their further wordings, `fences` the
    texts that must not get an answer. `unusable` is what was lost before a file was opened: entries without a file,
    broken links.
    """

    collection: str
    files: tuple[ReadFile, ...]
    documents: tuple[ReadDocument, ...]
    questions: tuple[Question | CuratedPair, ...]
    wordings: tuple[Wording, ...]
    fences: tuple[Fence, ...]
    skipped: Mapping[str, int]
    excluded: Mapping[str, int]
    unusable: tuple[Reject, ...]
