"""The section `[shadow.NAME]`: what a shadow build has otherwise than the builds of releases."""

from __future__ import annotations

import re

from pydantic import Field

from batch.settings import BatchSettings, VllmSettings
from rag.errors import ConfigurationError
from rag.settings import (
    ChunkingSettings,
    EncoderSettings,
    LlmSettings,
    PromptSettings,
    RetrievalSettings,
    RoomSettings,
    SamplingSettings,
)
from warehouse.settings import CostSettings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_RESERVED = "current"


class ShadowSettings(RoomSettings):
    """A build with other settings that publishes nothing: `beforehand run --shadow NAME`."""

    llm: LlmSettings | None = Field(None, description="Another language model, or another endpoint and its key.")
    sampling: SamplingSettings | None = Field(None, description="Other sampling.")
    prompt: PromptSettings | None = Field(None, description="Another template.")
    encoder: EncoderSettings | None = Field(None, description="Another encoder.")
    chunking: ChunkingSettings | None = Field(None, description="Other chunks.")
    retrieval: RetrievalSettings | None = Field(None, description="Other retrieval.")
    vllm: VllmSettings | None = Field(None, description="Other settings of vLLM.")
    batch: BatchSettings | None = Field(None, description="Another way to generate, as `generate_with`.")
    cost: CostSettings | None = Field(None, description="What its model costs, for `releases compare`.")


def refuse_wrong_shadows(shadows: dict[str, ShadowSettings], source: str) -> None:
    """Raise `ConfigurationError` for a shadow build whose name or settings can't be."""
    for name, shadow in shadows.items():
        place = f"{source}: [shadow.{name}]"
        if not _NAME.fullmatch(name) or name == _RESERVED:
            raise ConfigurationError(
                f"{place}: a name has letters, digits, '.', '-' and '_' only, and {_RESERVED!r} stands for the current "
                "release"
            )
        if not shadow.model_fields_set:
            raise ConfigurationError(f"{place}: it changes nothing; add a section such as [shadow.{name}.llm]")


def overlaid_sections(values: dict[str, object], shadow: str, source: str) -> dict[str, object]:
    """Return the raw settings of a shadow build.

    Raises:
        ConfigurationError: the configuration has no such shadow build.
    """
    sections = values.get("shadow")
    known = dict(sections) if isinstance(sections, dict) else {}
    found = known.get(shadow)
    if not isinstance(found, dict):
        names = f"there are {', '.join(map(str, known))}" if known else f"add one, as [shadow.{shadow}.llm]"
        raise ConfigurationError(f"--shadow {shadow}: {source} has no [shadow.{shadow}]; {names}")
    return found
