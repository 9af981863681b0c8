"""Settings: a name, a default and a sentence each, and the loader that every room's settings go through.

A room declares its settings as frozen pydantic models (this module holds those of `rag`); the front
door composes them and calls `load`. Values come from `beforehand.toml`, then from the environment
(`BEFOREHAND_SECTION__KEY`), then from flags; a mistake is quoted with its key, its value and its source.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from rag.errors import ConfigurationError

ENVIRONMENT_PREFIX = "BEFOREHAND_"


class RoomSettings(BaseModel):
    """What every section of the configuration has in common: it is frozen and refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _require_http(address: str) -> str:
    if not re.match("https?://[^/]", address):
        raise ValueError("it must begin with http:// or https://, as in http://127.0.0.1:8001/v1")
    return address


HttpAddress = Annotated[str, AfterValidator(_require_http)]
"""The base URL of a server."""


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
        "`in_process` loads vLLM into the service (a modular monolith for one machine).",
    )
    endpoint: HttpAddress = Field("http://127.0.0.1:8001/v1", description="Base URL of the OpenAI-compatible server.")
    api_key: SecretStr | None = Field(None, description="Sent as a bearer token to the endpoint, where it wants one.")
    context_tokens: int = Field(4096, ge=256, description="Longest prompt and answer together, in the model's tokens.")
    timeout_seconds: float = Field(60.0, gt=0, description="Longest wait for a live answer.")


class SamplingSettings(RoomSettings):
    """How answers are sampled; part of every fingerprint."""

    max_tokens: int = Field(192, ge=1, description="Longest answer, in tokens.")
    temperature: float = Field(0.0, ge=0, le=2, description="0 is greedy.")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus sampling.")
    frequency_penalty: float = Field(
        0.0, ge=-2, le=2, description="Above 0 discourages words that the answer already has; against loops."
    )
    seed: int | None = Field(0, description="Seed of the sampler.")


class EncoderSettings(RoomSettings):
    """The embedding model."""

    model: str = Field(
        "all-minilm-l6-v2", description="A model of the models folder, a local folder, or a Hugging Face id."
    )


class ChunkingSettings(RoomSettings):
    """How documents are cut."""

    max_tokens: int = Field(
        200,
        ge=16,
        description="Longest chunk, in the embedding model's tokens; at most what that model reads.",
    )
    overlap_sentences: int = Field(0, ge=0, description="Sentences repeated at the start of the next chunk.")


class RetrievalSettings(RoomSettings):
    """How passages are found."""

    passages: int = Field(3, ge=1, description="Passages in the prompt.")
    candidates: int = Field(40, ge=1, description="Candidates that each index contributes before fusion.")
    lexical_weight: float = Field(
        1.0, ge=0, description="Weight of the lexical ranking in the fusion; 0 switches it off."
    )
    reranker: str | None = Field(
        None,
        description="A cross-encoder that reads the best candidates again: a Hugging Face id or a local folder. "
        "Every live answer then waits for it.",
    )
    rerank_candidates: int = Field(20, ge=1, description="How many candidates it reads.")
    language: str = Field("english", description="Language of the documents, for stemming and stop words.")
    dense_weight: float = Field(1.0, ge=0, description="Weight of the dense ranking in the fusion; 0 switches it off.")

    @field_validator("language")
    @classmethod
    def _can_be_stemmed(cls, language: str) -> str:
        import Stemmer

        known = Stemmer.algorithms()
        if language not in known:
            raise PydanticCustomError(
                "language", "no stemmer for it; there are {expected}", {"expected": ", ".join(known)}
            )
        return language

    @model_validator(mode="after")
    def _finds_something(self) -> Self:
        if self.dense_weight == 0 and self.lexical_weight == 0:
            raise ValueError("dense_weight and lexical_weight are both 0, so nothing would be found; raise one")
        return self


class PromptSettings(RoomSettings):
    """The prompt."""

    template: Path | None = Field(
        None, description="A template file of your own; the default is `rag/prompting/prompts/answer.txt`."
    )


class CollectionSettings(RoomSettings):
    """A collection: its own documents and questions; nothing crosses from one to another."""

    documents: list[str] = Field(description="Files, folders, globs or URLs.")
    questions: list[str] = Field(default_factory=list, description="Files with the anticipated questions.")
    curated: list[str] = Field(default_factory=list, description="Files with question and answer pairs of the team.")
    proposals: int = Field(
        0, ge=0, description="Questions that the language model may propose about the documents, at most; 0 is none."
    )
    tolerated_error: float = Field(0.01, ge=0, lt=1, description="Share of semantic hits that may be wrong.")


Settings = TypeVar("Settings", bound=BaseModel)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigurationError: it is missing, unreadable or not TOML; the message names the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors write a byte order mark
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path}: no such file; name one with --config or run in a folder that has a beforehand.toml"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path}: can't be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Collect `BEFOREHAND_SECTION__KEY=value` into nested mappings.

    A list, a table or null is written as JSON. All else stays text, which the schema converts: a key or a
    revision of digits alone must not become a number.

    Raises:
        ConfigurationError: one variable sets a value, another a key within it.
    """
    found: dict[str, Any] = {}
    for name, value in sorted(environ.items()):
        if not name.startswith(ENVIRONMENT_PREFIX) or "__" not in name:
            continue
        keys = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        target = found
        for key in keys[:-1]:
            target = target.setdefault(key, {})
            if not isinstance(target, dict):
                raise ConfigurationError(f"{name}: {key!r} is set as a whole by another variable; unset one of them")
        target[keys[-1]] = _json_or_text(value)
    return found


def _json_or_text(value: str) -> object:
    if value != "null" and value[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Lay mappings over each other, key by key; the later one wins."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = merged.get(key)
            merged[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def load(
    schema: type[Settings], values: Mapping[str, Any], source: str, environment: Mapping[str, Any] | None = None
) -> Settings:
    """Check values against a room's settings.

    `source` names where the values come from; a mistake that lies in `environment` (what `from_environment`
    gave, and `merge` has laid over the rest) is said to be in its variable instead.

    Raises:
        ConfigurationError: one sentence for the first mistake, with the key, the value and a suggestion.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        origin = _variable(first, environment or {}) or source
        raise ConfigurationError(f"{origin}: {_explain(schema, first)}") from None


def _explain(schema: type[BaseModel], mistake: ErrorDetails) -> str:
    keys = [str(part) for part in mistake["loc"]]
    place = _place(mistake)
    if mistake["type"] == "extra_forbidden":
        return f"{place}: unknown{_suggest_key(schema, keys)}"
    if mistake["type"] == "missing":
        return f"{place}: missing, and it has no default"
    if mistake["type"] in ("model_type", "dict_type"):
        return f"{place} = {_shown(mistake)}: must be a section of its own, as in [{'.'.join(keys)}]"
    reason = mistake["msg"].removeprefix("Value error, ")
    reason = f"{reason[:1].lower()}{reason[1:]}"
    if isinstance(mistake["input"], Mapping) or _is_secret(schema, keys):
        return f"{place}: {reason}"
    return f"{place} = {_shown(mistake)}: {reason}{_suggest_value(mistake)}"


def _place(mistake: ErrorDetails) -> str:
    """Write a location as TOML would: [section] key, with the index of a list's item."""
    *sections, key = [str(part) for part in mistake["loc"] if isinstance(part, str)] or ["the file"]
    items = "".join(f"[{part}]" for part in mistake["loc"] if isinstance(part, int))
    if not sections and isinstance(mistake["input"], Mapping) and mistake["loc"]:
        return f"[{key}]"
    section = f"[{'.'.join(sections)}] " if sections else ""
    return f"{section}{key}{items}"


def _shown(mistake: ErrorDetails) -> str:
    text = repr(mistake["input"])
    return text if len(text) <= 80 else f"{text[:77]}..."


def _suggest_key(schema: type[BaseModel], keys: list[str]) -> str:
    known = _known_keys(schema, keys[:-1])
    elsewhere = [
        name
        for name, field in schema.model_fields.items()
        if keys[-1] in _keys_of(field.annotation) and name != keys[0]
    ]
    close = difflib.get_close_matches(keys[-1], known, n=1)
    if elsewhere:
        return f"; it belongs in [{elsewhere[0]}]"
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known))}"


def _suggest_value(mistake: ErrorDetails) -> str:
    """Suggest the member of an enumeration that was probably meant."""
    expected = str(mistake.get("ctx", {}).get("expected", ""))
    members = [part.strip(" '") for part in expected.replace(" or ", ",").split(",") if part]
    close = difflib.get_close_matches(str(mistake["input"]), members, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _variable(mistake: ErrorDetails, environment: Mapping[str, Any]) -> str | None:
    """Return the environment variable that holds a mistake, or None if none does."""
    found: Any = environment
    walked: list[str] = []
    for key in mistake["loc"]:
        if not isinstance(found, Mapping):
            break
        if key not in found:
            return None
        found = found[key]
        walked.append(str(key).upper())
    if isinstance(found, Mapping) and mistake["type"] != "extra_forbidden":
        return None
    return ENVIRONMENT_PREFIX + "__".join(walked) + ("__..." if isinstance(found, Mapping) else "")


def _is_secret(schema: type[BaseModel], path: list[str]) -> bool:
    field = _model_at(schema, path[:-1]).model_fields.get(path[-1]) if path else None
    return field is not None and SecretStr in (field.annotation, *get_args(field.annotation))


def _known_keys(schema: type[BaseModel], path: list[str]) -> list[str]:
    return list(_model_at(schema, path).model_fields)


def _model_at(schema: type[BaseModel], path: list[str]) -> type[BaseModel]:
    """Return the model that holds a place; a mapping of sections (collections) is looked through."""
    current = schema
    for key in path:
        field = current.model_fields.get(key)
        models = _models_in(field.annotation) if field else []
        current = models[0] if models else current
    return current


def _keys_of(annotation: Any) -> list[str]:
    return [key for model in _models_in(annotation)[:1] for key in model.model_fields]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    inside = (annotation, *get_args(annotation))
    return [each for each in inside if isinstance(each, type) and issubclass(each, BaseModel)]
