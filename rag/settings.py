"""The settings of `rag`, and the base of every room's settings.

A setting is a name, a default and a sentence. The front door composes the rooms' settings and loads them.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)
from pydantic_core import PydanticCustomError

from rag.credentials import SecretAddress
from rag.text.languages import known_languages, language_code

PassageOrder = Literal["document", "relevance"]


class RoomSettings(BaseModel):
    """Base of every section of the configuration: frozen, and unknown keys are refused.

    `RECORDED` names the settings that may enter a release, a log, an artifact or a flow's parameters; a setting that
    it does not name never does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    RECORDED: ClassVar[frozenset[str]] = frozenset()

    def recorded(self) -> dict[str, object]:
        """Return the settings that may be recorded."""
        return self.model_dump(mode="json", include=set(self.RECORDED))


def _require_http(address: SecretAddress) -> SecretAddress:
    if not re.match("https?://[^/]", address.get_secret_value()):
        raise ValueError("it must begin with http:// or https://, as in http://127.0.0.1:8001/v1")
    with contextlib.suppress(ValueError):
        urlsplit(address.get_secret_value()).port  # noqa: B018  # computed, and refused, when it is read
        return address
    raise ValueError("its port is no number; a password in it has % and two hexadecimal digits for / ? # and @")


HttpAddress = Annotated[SecretAddress, AfterValidator(_require_http)]
"""The base URL of a server; it may hold a user name, a password and a query."""


def _language(name: str) -> str:
    try:
        return language_code(name)
    except ValueError:
        raise PydanticCustomError(
            "language",
            "no such language; name its code as in en, de, zh or pt-BR",
            {"expected": ", ".join(known_languages())},
        ) from None


Language = Annotated[str, AfterValidator(_language)]
"""A language by its short code (BCP 47); names as in "german" are understood, too."""


class LlmSettings(RoomSettings):
    """The language model."""

    model: str = Field(
        "smollm2-135m-instruct",
        description="A model of the models folder, a local folder, or a Hugging Face id.",
    )
    revision: str | None = Field(None, description="The revision to pin when `model` is a Hugging Face id.")
    mode: Literal["endpoint", "in_process", "none"] = Field(
        "endpoint",
        description="How `serve` reaches the model: `endpoint` speaks HTTP to the LLM microservice, "
        "`in_process` loads vLLM into the service (for one machine). `none`: there is no language model; the team's "
        "curated answers alone are published and served.",
    )
    endpoint: HttpAddress = Field(
        SecretAddress("http://127.0.0.1:8001/v1"), description="Base URL of the OpenAI-compatible server."
    )
    api_key: SecretStr | None = Field(None, description="Sent to the endpoint as a bearer token, if it needs one.")
    context_tokens: int = Field(4096, ge=256, description="Limit of prompt and answer together, in the model's tokens.")
    timeout_seconds: float = Field(60.0, gt=0, description="Longest wait for a live answer.")


class SamplingSettings(RoomSettings):
    """How answers are sampled; part of every fingerprint."""

    RECORDED = frozenset({"max_tokens", "temperature", "top_p", "frequency_penalty", "seed"})

    max_tokens: int = Field(192, ge=1, description="Longest answer, in tokens.")
    temperature: float = Field(0.0, ge=0, le=2, description="0 is greedy.")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus sampling.")
    frequency_penalty: float = Field(
        0.0, ge=-2, le=2, description="Above 0 it discourages repeating words of the answer, against loops."
    )
    seed: int | None = Field(0, description="Seed of the sampler.")


class EncoderSettings(RoomSettings):
    """The embedding model."""

    model: str = Field(
        "all-minilm-l6-v2", description="A model of the models folder, a local folder, or a Hugging Face id."
    )
    query_prefix: str | None = Field(
        None, description='Put before questions, as `"query: "` for E5 (default: what the model itself says).'
    )
    passage_prefix: str | None = Field(
        None, description='Put before passages, as `"passage: "` for E5 (default: what the model itself says).'
    )


class ChunkingSettings(RoomSettings):
    """How documents are cut into chunks."""

    RECORDED = frozenset({"max_tokens", "overlap_sentences"})

    max_tokens: int = Field(
        200,
        ge=16,
        description="Longest chunk, in tokens of the embedding model; at most that model's limit.",
    )
    overlap_sentences: int = Field(
        0, ge=0, description="How many sentences are repeated at the start of the next chunk."
    )


class RetrievalSettings(RoomSettings):
    """How passages are found."""

    RECORDED = frozenset(
        {
            "passages",
            "passage_tokens",
            "passage_order",
            "candidates",
            "late_candidates",
            "lexical_weight",
            "learn_fusion",
            "dense_weight",
            "reranker",
            "rerank_candidates",
            "language",
            "rewordings",
            "sketch",
            "judge",
            "chunk_questions",
            "offline_tokens",
        }
    )

    passages: int = Field(3, ge=1, description="How many passages the prompt contains, whatever they cost.")
    passage_tokens: int = Field(
        1500,
        ge=0,
        description="Tokens for the passages in all, as the embedding model counts. What the passages leave is filled "
        "with the rest of their sections, then with further passages. 0 shows the passages alone. At most three "
        "quarters of what [llm] context_tokens leave beside the answer are used.",
    )
    passage_order: PassageOrder = Field(
        "document",
        description="In which order the prompt shows the passages that were chosen. `document`, that of their "
        "documents: prompts that share passages begin alike, so the language model reads less, and an answer stays "
        "when ranks alone change. `relevance`: best first.",
    )
    candidates: int = Field(40, ge=1, description="How many candidates each index contributes before fusion.")
    late_candidates: int = Field(
        60,
        ge=0,
        description="How many candidates late interaction ranks again, token by token; 0 switches it off and saves "
        "the space of the token vectors (7 KB a chunk).",
    )
    lexical_weight: float = Field(
        0.5, ge=0, description="Weight of the lexical ranking in the fusion; 0 switches it off."
    )
    learn_fusion: bool = Field(
        True,
        description="Whether a run learns for each collection, from golden questions or from proposed ones, how the "
        "rankings are joined; it starts from the configured weights and keeps them without evidence.",
    )
    reranker: str | None = Field(
        None,
        description="A cross-encoder that reranks the best candidates: a Hugging Face id or a local folder. "
        "It delays every live answer.",
    )
    rerank_candidates: int = Field(20, ge=1, description="How many candidates it reranks.")
    language: Language = Field(
        "en", description="Language of the collections that name none: a short code as in `en`, `de`, `zh`."
    )
    dense_weight: float = Field(1.0, ge=0, description="Weight of the dense ranking in the fusion; 0 switches it off.")
    rewordings: int = Field(
        0,
        ge=0,
        le=8,
        description="In a run, the language model puts each anticipated question in so many other words, which are "
        "searched for too. This and the next three settings need a capable model; measure what they gain.",
    )
    sketch: bool = Field(
        False,
        description="In a run, the language model sketches an answer to each question, which is searched for too.",
    )
    judge: int = Field(
        0,
        ge=0,
        le=100,
        description="In a run, the language model judges so many of the first candidates of each question, which are "
        "ranked again by the probability that they answer it.",
    )
    chunk_questions: int = Field(
        0,
        ge=0,
        le=8,
        description="In a run, the language model writes so many questions about each chunk. Those that lead back to "
        "it become further keys of the chunk, for live questions too.",
    )
    offline_tokens: int | None = Field(
        None,
        ge=0,
        description="Most tokens that a run may spend on these four, as part of `[batch] budget_tokens`; what is left "
        "out is counted. Without either there is no limit.",
    )

    @model_validator(mode="after")
    def _finds_something(self) -> Self:
        if self.dense_weight == 0 and self.lexical_weight == 0:
            raise ValueError("dense_weight and lexical_weight are both 0, so nothing would be found; raise one")
        return self


class PromptSettings(RoomSettings):
    """The prompt."""

    template: Path | None = Field(
        None, description="Your own template file; the default is `rag/prompting/prompts/answer.txt`."
    )
