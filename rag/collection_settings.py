"""Settings of a collection: what it reads, how its questions are filtered, what its chats and answers are held to."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)

from rag.credentials import SecretAddress
from rag.filters import Filtering, field_name, normal_value
from rag.link_template import check_template
from rag.settings import Language, RoomSettings

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

    documents: list[SecretAddress] = Field(
        default_factory=list,
        description="Files, folders, globs or URLs; a collection of curated pairs alone needs none.",
    )
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
    retire_after: int | None = Field(None, ge=1, description="Instead of [batch] retire_after.")
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
    def _names_what_it_reads(self) -> Self:
        if not self.curated and "documents" not in self.model_fields_set:
            raise ValueError("it names neither documents nor curated pairs; set documents, curated or both")
        return self

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
