"""Settings: a name, a default and a sentence each, and the loader that every room's settings go through.

A room declares its settings as frozen pydantic models (this module holds those of `rag`); the front
door composes them and calls `load`. Values come from `beforehand.toml`, then from the environment
(`BEFOREHAND_SECTION__KEY`), then from flags; a mistake is quoted with its key, its value and its source.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from rag.errors import ConfigurationError

ENVIRONMENT_PREFIX = "BEFOREHAND_"


class RoomSettings(BaseModel):
    """What every section of the configuration has in common: it is frozen and refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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
    endpoint: str = Field("http://127.0.0.1:8001/v1", description="Base URL of the OpenAI-compatible server.")
    api_key: SecretStr | None = Field(None, description="Sent as a bearer token to the endpoint, where it wants one.")
    context_tokens: int = Field(4096, ge=256, description="Longest prompt and answer together, in the model's tokens.")
    timeout_seconds: float = Field(60.0, gt=0, description="Longest wait for a live answer.")


class SamplingSettings(RoomSettings):
    """How answers are sampled; part of every fingerprint."""

    max_tokens: int = Field(192, ge=1, description="Longest answer, in tokens.")
    temperature: float = Field(0.0, ge=0, le=2, description="0 is greedy.")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus sampling.")
    repetition_penalty: float = Field(1.1, gt=0, description="Above 1 discourages loops, which small models fall into.")
    seed: int | None = Field(0, description="Seed of the sampler.")


class EncoderSettings(RoomSettings):
    """The embedding model."""

    model: str = Field(
        "all-minilm-l6-v2", description="A model of the models folder, a local folder, or a Hugging Face id."
    )
    batch_size: int = Field(64, ge=1, description="Texts embedded at once.")


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
    language: str = Field("english", description="Language of the documents, for stemming and stop words.")
    dense_weight: float = Field(1.0, ge=0, description="Weight of the dense ranking in the fusion.")


class PromptSettings(RoomSettings):
    """The prompt."""

    template: Path | None = Field(
        None, description="A template file of your own; the default is `rag/prompts/answer.txt`."
    )


class CollectionSettings(RoomSettings):
    """A collection: its own documents and questions; nothing crosses from one to another."""

    documents: list[str] = Field(description="Files, folders, globs or URLs.")
    questions: list[str] = Field(default_factory=list, description="Files with the anticipated questions.")
    curated: list[str] = Field(default_factory=list, description="Files with question and answer pairs of the team.")
    tolerated_error: float = Field(0.01, ge=0, lt=1, description="Share of semantic hits that may be wrong.")


Settings = TypeVar("Settings", bound=BaseModel)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigurationError: it is missing, unreadable or not TOML; the message names the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path}: no such file; name one with --config or run in a folder that has a beforehand.toml"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path}: can't be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Collect `BEFOREHAND_SECTION__KEY=value` into nested mappings; a value that is JSON is read as such."""
    found: dict[str, Any] = {}
    for name, value in sorted(environ.items()):
        if not name.startswith(ENVIRONMENT_PREFIX) or "__" not in name:
            continue
        keys = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        target = found
        for key in keys[:-1]:
            target = target.setdefault(key, {})
        target[keys[-1]] = _json_or_text(value)
    return found


def _json_or_text(value: str) -> object:
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


def load(schema: type[Settings], values: Mapping[str, Any], source: str) -> Settings:
    """Check values against a room's settings.

    Raises:
        ConfigurationError: one sentence for the first mistake, with the key, the value and a suggestion.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(f"{source}: {_explain(schema, error)}") from None


def _explain(schema: type[BaseModel], error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    keys = [str(part) for part in first["loc"]]
    place = f"[{'.'.join(keys[:-1])}] {keys[-1]}" if len(keys) > 1 else (f"[{keys[0]}]" if keys else "the file")
    if first["type"] == "extra_forbidden":
        known = _known_keys(schema, keys[:-1])
        close = difflib.get_close_matches(keys[-1], known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known))}"
        return f"{place}: unknown{hint}"
    if first["type"] == "missing":
        return f"{place}: missing"
    expected = first.get("ctx", {}).get("expected", "")
    close = difflib.get_close_matches(
        str(first["input"]), [part.strip(" '") for part in str(expected).replace(" or ", ",").split(",")], n=1
    )
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{place} = {first['input']!r}: {first['msg'][:1].lower()}{first['msg'][1:]}{hint}"


def _known_keys(schema: type[BaseModel], path: list[str]) -> list[str]:
    """Return the keys that exist at a place; a mapping of sections (collections) is looked through."""
    current: type[BaseModel] = schema
    for key in path:
        inner = current.model_fields.get(key)
        if inner is None:
            continue
        candidates = [inner.annotation, *getattr(inner.annotation, "__args__", ())]
        models = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        current = models[0] if models else current
    return list(current.model_fields)
