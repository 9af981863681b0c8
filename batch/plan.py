"""The plan of a run: plain data that each stage takes, and where each stage's files are.

A stage is a function of the plan. It reads the folders of earlier stages, writes its own and returns its figures, so
it can be run, tested and inspected alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pydantic import SecretStr

from batch.settings import BatchSettings, VllmSettings
from rag.collection_settings import CollectionSettings
from rag.credentials import SecretAddress
from rag.filters import Filters
from rag.identity import ModelIdentity, query_key, template_id
from rag.llm.protocol import Sampling
from rag.retrieval.embedding import EncoderSpec
from rag.settings import ChunkingSettings, RetrievalSettings
from warehouse.audit.golden import Golden
from warehouse.history.redaction import Mode

if TYPE_CHECKING:
    from batch.models.model_folder import ModelFolder

Figures = Mapping[str, int]

_IN_FLIGHT = 64  # requests at an endpoint
_CHECKPOINT = 64  # answers

RETRIEVAL_STORES = ("wordings", "judgements", "chunk_questions", "variations", "answer_judgements")
"""The stores of what the language model writes beside answers, see `RunPlan.retrieval_store`."""


@dataclass(frozen=True)
class LlmSource:
    """How workers reach the language model; plain data that Beam can send to them.

    `name` and `revision` are the model's identity (part of every fingerprint). The `kind` engine loads `folder` with
    vLLM inside the worker, or what was `sent` of it to the store (`batch.stores.fetched`), with `sent_adapter`;
    endpoints calls servers, which know the model by its name. Of none, only the team's curated answers are published.
    """

    kind: Literal["engine", "endpoints", "none"]
    name: str
    revision: str
    context_tokens: int
    vllm: VllmSettings
    folder: ModelFolder | None = None
    sent: str | None = None
    sent_adapter: str | None = None
    endpoints: tuple[SecretAddress, ...] = ()
    api_key: SecretStr | None = None
    timeout_seconds: float = 60.0

    @property
    def model_id(self) -> str:
        """The model's id in answers and fingerprints."""
        return str(ModelIdentity(self.name, self.revision))


@dataclass(frozen=True)
class Window:
    """How prompts go through the language model: requests `in_flight` at each server, answers per `checkpoint`.

    `most_rejected` is how many may stay without an answer.
    """

    in_flight: int
    checkpoint: int
    most_rejected: int


@dataclass(frozen=True)
class Assistance:
    """What the language model does for retrieval before questions are asked, see `rag.settings.RetrievalSettings`."""

    rewordings: int = 0
    sketch: bool = False
    judge: int = 0
    chunk_questions: int = 0


@dataclass(frozen=True)
class MissedQuestion:
    """A question that was asked `times` times by so many askers and that nobody had anticipated.

    `filters` are those that it was asked with, as the journal holds them: JSON.
    """

    collection: str
    question: str
    times: int
    askers: int
    filters: str | None = None


@dataclass(frozen=True)
class RunPlan:
    """Everything that determines a run. `data` is the data folder, `encoder` and `reranker` the models' folders.

    Workers that share no folder with this machine work with `shared`, the address of the project's store: stages and
    stores are there then, and the models' folders are those that were sent (`batch.sharing`).

    `canaries` are nonsense questions that must not get a confident answer, `golden` are questions whose answers
    are checked, `withdrawn` are documents as (collection, document id), `misses` come from the journal; `redaction` is
    what becomes of texts in the journal that are not compacted yet, by default what became of the last compacted ones;
    `models` says about each model what may be published.
    """

    run_id: str
    data: str
    collections: Mapping[str, CollectionSettings]
    encoder: str
    encoder_id: str
    encoder_spec: EncoderSpec
    llm: LlmSource
    template: str
    sampling: Sampling
    chunking: ChunkingSettings
    retrieval: RetrievalSettings
    settings: BatchSettings
    reranker: str | None = None
    reranker_id: str | None = None
    canaries: tuple[str, ...] = ()
    golden: tuple[Golden, ...] = ()
    withdrawn: frozenset[tuple[str, str]] = frozenset()
    misses: tuple[MissedQuestion, ...] = ()
    redaction: Mode | None = None
    models: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    shared: str | None = None

    @property
    def root(self) -> str:
        """The folder, or the address, below which the files of stages and stores are."""
        return self.shared or self.data

    def folder(self, stage: str) -> str:
        """The folder that a stage of this run writes to."""
        return f"{self.root}/runs/{self.run_id}/{stage}"

    def language(self, collection: str) -> str:
        """The short code of a collection's language."""
        return self.collections[collection].language or self.retrieval.language

    def asked_with(self, missed: MissedQuestion) -> Filters:
        """The filters that a visitor's question was asked with, as far as the collection still declares them."""
        given = json.loads(missed.filters or "{}")
        return self.collections[missed.collection].filtering.of(
            {str(name): str(value) for name, value in given.items()}
        )

    def key_of(self, missed: MissedQuestion) -> str:
        """The query key of a visitor's question, in whatever spelling."""
        return query_key(missed.collection, missed.question, self.asked_with(missed))

    @property
    def window(self) -> Window:
        """How prompts go through the language model."""
        settings = self.settings
        if self.llm.kind == "engine":  # as many again wait, for the moment when many sequences end at once
            usual, servers = 2 * self.llm.vllm.max_sequences, 1
        else:
            usual, servers = _IN_FLIGHT, len(self.llm.endpoints) or 1
        if settings.batch_size:
            usual = math.ceil(settings.batch_size / servers)
        checkpoint = settings.checkpoint_answers or settings.batch_size or _CHECKPOINT
        return Window(settings.in_flight or usual, checkpoint, settings.most_rejected)

    @property
    def template_id(self) -> str:
        """The template's id in fingerprints."""
        return template_id(self.template)

    @property
    def answer_store(self) -> str:
        """The store of all answers ever generated (`batch.stores.generation_store`)."""
        return f"{self.root}/answers"

    @property
    def proposal_store(self) -> str:
        """The store of all proposals ever generated, as the model wrote them."""
        return f"{self.root}/proposals"

    def retrieval_store(self, kind: str) -> str:
        """The store of what the language model ever wrote for retrieval: wordings, judgements or chunk questions."""
        return f"{self.root}/retrieval/{kind}"

    def index_folder(self, collection: str) -> str:
        """The folder with a collection's indexes: with the questions about its chunks, if it wants them."""
        return f"{self.folder('enrich' if self.assistance(collection).chunk_questions else 'index')}/{collection}"

    def assistance(self, collection: str) -> Assistance:
        """What the language model does for the retrieval of a collection: its own settings, else those of all."""
        own, common = self.collections[collection], self.retrieval
        return Assistance(
            **{
                name: getattr(common if getattr(own, name) is None else own, name)
                for name in Assistance.__annotations__
            }
        )

    @property
    def embedding_store(self) -> str:
        """The store of all vectors ever computed with this encoder (`batch.stores.embedding_store`)."""
        return f"{self.root}/embeddings/{self.encoder_id}"

    @property
    def token_store(self) -> str:
        """The coded token vectors of every chunk that was embedded with this encoder (`batch.stores.token_store`)."""
        return f"{self.root}/token_vectors/{self.encoder_id}"
