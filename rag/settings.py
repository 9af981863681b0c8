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
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from rag.credentials import SecretAddress
from rag.filters import Filtering, field_name, normal_value
from rag.link_template import check_template
from rag.text.languages import known_languages, language_code


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
    mode: Literal["endpoint", "in_process"] = Field(
        "endpoint",
        description="How `serve` reaches the model: `endpoint` speaks HTTP to the LLM microservice, "
        "`in_process` loads vLLM into the service (for one machine).",
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
        description="Most tokens that a run may spend on these four; what is left out is counted. Without it there is "
        "no limit.",
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


# Columns of lists of questions, curated pairs and golden questions.
_TAKEN = frozenset("question answer documents collection expected reference body custom_id weight tags owner".split())
FieldName = Annotated[str, AfterValidator(field_name), Field(min_length=1)]


def _require_value(text: str) -> str:
    value = normal_value(text)
    if not value:
        raise ValueError("it is empty; leave the field out, or give it a value")
    return value


FilterValue = Annotated[str, AfterValidator(_require_value)]
"""A value of a filter field, as values are compared."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def _seconds(value: object) -> object:
    """Read `30d` as seconds; anything else is left to the type."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*(\d{1,9})\s*([smhdw])\s*", value)
    if found is None:
        raise ValueError("it must be seconds, or a number and a unit: `90s`, `45m`, `12h`, `30d` or `2w`")
    return int(found[1]) * _UNITS[found[2]]


Seconds = Annotated[int, BeforeValidator(_seconds), Field(ge=1)]

SystemPrompt = Literal["ignore", "pin", "bypass"]
EarlierTurns = Literal["last", "rewrite", "bypass"]


def _require_prompt_hash(text: str) -> str:
    if not re.fullmatch("sha256:[0-9a-f]{64}", text):
        raise ValueError("it must be sha256: and 64 hexadecimal digits, as the log of the service names it")
    return text


PromptHash = Annotated[str, AfterValidator(_require_prompt_hash)]


class CollectionSettings(RoomSettings):
    """A collection: documents and questions, isolated from other collections."""

    documents: list[SecretAddress] = Field(description="Files, folders, globs or URLs.")
    exclude: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list,
        description="Documents to leave out: names of files and folders as `release-notes*`, or paths below the listed "
        "folder as `api/**/internal.md`.",
    )
    questions: list[SecretAddress] = Field(default_factory=list, description="Files with the anticipated questions.")
    curated: list[SecretAddress] = Field(
        default_factory=list, description="Files with the team's pairs of question and answer."
    )
    language: Language | None = Field(
        None,
        description="Language of the documents and questions, as `en`, `de` or `zh` (default: that of [retrieval]). A "
        "document whose metadata has a `language` or `lang` is read in that one.",
    )
    base_url: str | None = Field(
        None,
        description="Where readers find a document that names no address itself, as "
        "`https://docs.example.com/{path_without_ending}`; also `{path}`, `{name}` and `{id}`.",
    )
    cite_fields: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list,
        description="Fields of a document's metadata that its citations show to visitors, as `version`.",
    )
    encoding: str | None = Field(
        None, description="Encoding of the files where it is not UTF-8, as `gb18030`, `shift_jis` or `cp1252`."
    )
    proposals: int = Field(
        0, ge=0, description="How many questions the language model may propose about the documents."
    )
    wordings: int = Field(
        0,
        ge=0,
        le=20,
        description="The language model writes so many other wordings of each answer's question, in visitors' voices, "
        "and look-alikes that want another answer. Kept are wordings that lead back to their answer and that the judge "
        "confirms; look-alikes become fences. It needs a capable model.",
    )
    rewordings: int | None = Field(None, ge=0, le=8, description="Instead of [retrieval] rewordings.")
    sketch: bool | None = Field(None, description="Instead of [retrieval] sketch.")
    judge: int | None = Field(None, ge=0, le=100, description="Instead of [retrieval] judge.")
    chunk_questions: int | None = Field(None, ge=0, le=8, description="Instead of [retrieval] chunk_questions.")
    tolerated_error: float = Field(0.01, ge=0, lt=1, description="Largest share of semantic hits that may be wrong.")
    max_age: Seconds | None = Field(
        None,
        description="How old an answer may be and still be served as prepared, in seconds or as `12h`, `30d` or `2w`; "
        "the next run makes older ones anew. Unset means any age.",
    )
    system_prompt: SystemPrompt = Field(
        "pin",
        description="What the system prompt of a chat means: `ignore` looks the question up all the same, `pin` "
        "only if the prompt is in `known_system_prompts` or asks for nothing in particular (`You are a helpful "
        "assistant.`), `bypass` never.",
    )
    known_system_prompts: list[PromptHash] = Field(
        default_factory=list,
        description="Hashes of the system prompts of your applications, which prepared answers satisfy; the log names "
        "the hash of each prompt that kept a chat from being looked up.",
    )
    earlier_turns: EarlierTurns = Field(
        "last",
        description="What the earlier turns of a chat mean: `last` looks the last one up if it stands alone, `rewrite` "
        "lets the language model make a follow-up stand alone, `bypass` looks none of them up.",
    )
    when_withheld: Literal["silent", "handover", "live"] = Field(
        "silent",
        description="What a question gets whose answer the audit withheld or a person rejected: a plain sentence, "
        "your `handover_text`, or an answer written live; a rejected one is live only if the reviewer allowed it.",
    )
    handover_text: str | None = Field(
        None, min_length=1, description="What your team says to a question that the service does not answer."
    )
    handover_url: str | None = Field(
        None,
        pattern=r"^(https?://[^\s/]|mailto:[^\s])\S*$",
        description="Where your team can be asked: an address that every visitor sees (`https://` or `mailto:`).",
    )

    filters: list[FieldName] = Field(
        default_factory=list,
        description="Fields of the documents' metadata by which questions are filtered, as `version` and `audience`. A "
        "document with a value is shown to questions that have the same value alone; one without is shown to all.",
    )
    filter_defaults: dict[FieldName, FilterValue] = Field(
        default_factory=dict, description="The value of a question that has none, by field."
    )
    key_filters: list[FieldName] = Field(
        default_factory=list,
        description="Those of the `filters` that an API key alone may set, as `audience`: no request may choose them.",
    )

    @field_validator("filters")
    @classmethod
    def _are_free_names(cls, filters: list[str]) -> list[str]:
        for name in filters:
            if name in _TAKEN:
                raise ValueError(f"{name} is a column of its own in lists of questions; name the field something else")
        return list(dict.fromkeys(filters))

    @model_validator(mode="after")
    def _declares_its_filters(self) -> Self:
        for setting, names in (("filter_defaults", self.filter_defaults), ("key_filters", self.key_filters)):
            for name in names:
                if name not in self.filters:
                    declared = ", ".join(self.filters) or "none"
                    raise ValueError(f"{setting} names {name}, which is not among filters ({declared}); add it there")
        return self

    @property
    def filtering(self) -> Filtering:
        """The declared filters."""
        return Filtering(tuple(self.filters), tuple(sorted(self.filter_defaults.items())), frozenset(self.key_filters))

    @field_validator("cite_fields")
    @classmethod
    def _as_metadata_names_them(cls, fields: list[str]) -> list[str]:
        return ["_".join(each.lower().split()) for each in fields]

    @field_validator("base_url")
    @classmethod
    def _is_template(cls, base_url: str | None) -> str | None:
        return base_url and check_template(base_url)

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str | None) -> str | None:
        if encoding is not None:
            try:
                b"a".decode(encoding, "ignore")
            except LookupError:
                raise ValueError("no such encoding; name one as in gb18030, shift_jis, cp1252 or utf-16-le") from None
        return encoding

    @model_validator(mode="after")
    def _hands_over_to_somebody(self) -> Self:
        if self.when_withheld == "handover" and self.handover_text is None:
            raise ValueError('when_withheld = "handover" needs handover_text, which is shown instead of an answer')
        return self
