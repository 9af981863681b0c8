"""A release to look things up in: its files mapped, its models loaded (`online.release.opening`)."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from online.errors import Problem
from online.release.question_index import QuestionIndex
from online.release.stored_heads import StoredHeads
from online.release.stored_wordings import StoredWordings
from rag.filters import Filters, as_marks, filters_from, fits
from rag.identity import KEY_FORMAT, former_query_key, query_key
from rag.paraphrase.verifier import Verifier
from rag.prompting.template import PromptTemplate
from rag.retrieval.embedding import OnnxEncoder
from rag.retrieval.passages import StoredChunk
from rag.retrieval.reranking import Reranker
from rag.retrieval.retriever import Retriever
from rag.retrieval.vectors import Vectors
from rag.selection.certificate import OWN, SelectionCertificate
from rag.selection.evidence import Wordings
from rag.selection.selector import Selection, Selector, select
from warehouse.releases.serving_index import ServingIndex

_KEPT_CHUNKS = 2048  # some 5 MB; a miss looks at dozens


class _AskedWith(msgspec.Struct):
    """The filters in the body of a stored answer."""

    filters: dict[str, str] = {}


@dataclass(frozen=True)
class OpenModels:
    """The encoder and the reranker, with the checksums by which the next release shares them."""

    encoder: OnnxEncoder
    reranker: Reranker | None = None
    checksums: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class OpenCollection:
    """The indexes of one collection; nothing of another can be reached through them.

    `questions` are those with a served answer, `withheld` the others; older releases lack the latter. `wordings` are
    the indexes of their further wordings, as far as there are any, and `selector` chooses among answers with several.
    `unknown_filters` are declared fields that the release was built without, `language` is the short code of its
    language.
    """

    retriever: Retriever
    questions: QuestionIndex
    withheld: QuestionIndex | None = None
    unknown_filters: frozenset[str] = frozenset()
    language: str = "en"
    wordings: tuple[QuestionIndex, ...] = ()
    selector: Selector | None = None


@dataclass(frozen=True)
class ReleaseFacts:
    """What a manifest says of a release, and the filter fields that the configuration declares.

    `model` is the id of the language model, `languages` and `declared` are by collection, `key_format` says how query
    keys are made.
    """

    model: str | None = None
    languages: Mapping[str, str] = field(default_factory=dict)
    key_format: int = KEY_FORMAT
    declared: Mapping[str, Collection[str]] = field(default_factory=dict)


class OpenRelease:
    """A release to look things up in. `hold` keeps its files mapped until the last use has ended.

    `model` is the id of the language model that wrote its answers, where its manifest says so. Of the `unfiltered`
    collections nothing may be served: they declare filters that the release does not know yet.
    """

    def __init__(
        self,
        release_id: str,
        index: ServingIndex,
        models: OpenModels,
        collections: Mapping[str, OpenCollection],
        template: PromptTemplate,
        verifier: Verifier,
        facts: ReleaseFacts,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self.release_id = release_id
        self.index = index
        self.wordings = StoredWordings(index)
        self.heads = StoredHeads(index)
        self.stored_chunk = functools.lru_cache(_KEPT_CHUNKS)(self._read_chunk)
        self.models = models
        self.encoder = models.encoder
        self.collections = collections
        self.template = template
        self.verifier = verifier
        self.model = facts.model
        self._key_format = facts.key_format
        self.unfiltered = frozenset(name for name, each in collections.items() if each.unknown_filters)
        self._on_close = on_close
        self._users = 0
        self._retired = False
        self.closed = False

    @contextlib.contextmanager
    def hold(self) -> Iterator[OpenRelease]:
        """Keep the release open; only for the event loop's thread."""
        self._users += 1
        try:
            yield self
        finally:
            self._users -= 1
            self._close_if_unused()

    def key_of(self, collection: str, question: str, today: str, filters: Filters = ()) -> str:
        """Return the key that a question has in this release; `today` is the one that `rag.identity` gives it."""
        if self._key_format >= KEY_FORMAT or today != query_key(collection, question, filters):
            return today
        return former_query_key(collection, question, self._key_format, filters)

    def collection(self, name: str) -> OpenCollection:
        """Return a collection's indexes.

        Raises:
            Problem: the release was built before the collection, or its filters, were configured.
        """
        if name in self.unfiltered:
            detail = "The filters of this collection take effect with its next release; run `beforehand run` first."
            raise Problem("no-release", detail, retry_after=10)
        found = self.collections.get(name)
        if found is None:
            raise Problem("no-release", "Nothing has been published for this collection yet.", retry_after=10)
        return found

    def is_open_to(self, collection: str, query_key: str, filters: Filters) -> bool:
        """Whether a question of a collection has no other filters than these; one of which nothing is known has."""
        if self.collection(collection).questions.groups is None:
            return True
        stored = self.index.answer(query_key) or self.index.withheld(query_key)
        if stored is None:
            return False
        asked_with = msgspec.json.decode(stored, type=_AskedWith).filters
        return fits(as_marks(filters_from(asked_with)), filters)

    def filters_of(self, query_key: str) -> Filters:
        """Return the filters that an anticipated question was asked with."""
        stored = self.index.answer(query_key) or self.index.withheld(query_key)
        return filters_from(None if stored is None else msgspec.json.decode(stored, type=_AskedWith).filters)

    def select(
        self,
        collection: str,
        question: str,
        vector: Vectors,
        near: Wordings,
        tolerated_error: float,
        single: frozenset[str],
    ) -> tuple[Selection, SelectionCertificate | None]:
        """Return what the selector of a collection chooses, and the certificate of its threshold.

        Where no guards know the language, or the question is in another, only certificates on the collection's own
        wordings count.
        """
        opened = self.collection(collection)
        if opened.selector is None:
            return Selection(None, 0.0, math.inf, "no_candidates"), None
        selector = opened.selector
        if not (self.verifier.knows(opened.language) and self.verifier.reads(question)):
            selector = replace(
                selector, certificates=tuple(each for each in selector.certificates if each.source == OWN)
            )
        found = select(selector, self.verifier, question, vector, near, tolerated_error, single)
        return found, selector.certificate(tolerated_error)

    def retire(self) -> None:
        """Close the release after its last use."""
        self._retired = True
        self._close_if_unused()

    def revive(self) -> None:
        """Serve it again, after a rollback while it was still in use."""
        self._retired = False

    def _close_if_unused(self) -> None:
        if self._retired and not self._users and not self.closed:
            self.closed = True
            self.index.close()
            self._on_close()

    def _read_chunk(self, chunk_id: str) -> StoredChunk | None:
        """Return a chunk, or None if the release does not have it."""
        found = self.index.chunk(chunk_id)
        return None if found is None else msgspec.json.decode(found, type=StoredChunk)
