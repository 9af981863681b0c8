"""Names of models in the configuration: `[models.NAME]`, or a model named by its source.

Every setting that takes a model is resolved here, and what is wrong with a name or with the files behind it is said
before anything is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from batch.models.named_model import NamedModel
from rag.errors import ConfigurationError

if TYPE_CHECKING:
    from batch.models.model_folder import ModelFolder
    from batch.settings import ModelSettings
    from beforehand.configuration import Settings

Kind = Literal["language model", "encoder", "reranker"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MISTAKEN: Mapping[Kind, str] = {
    "language model": "writes no text, its kind is {kind}; name another",
    "encoder": "is no encoder, its kind is {kind}; name another",
    "reranker": "is no cross-encoder; name one, or leave it out",
}


def named_model(models: Mapping[str, ModelSettings], name: str) -> NamedModel:
    """Return the model that a name stands for; what has no section is named by its source."""
    section = models.get(name)
    if section is None:
        return NamedModel(name)
    base = None if section.base is None else named_model(models, section.base)
    return NamedModel(
        section.source, name, section.revision, section.checksum, section.kind, section.quantisation, base
    )


def refuse_wrong_names(models: Mapping[str, ModelSettings], source: str) -> None:
    """Raise `ConfigurationError` for a section whose name or base can't be; `source` is the configuration's path."""
    for name, section in models.items():
        place = f"{source}: [models.{name}]"
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"{place}: a name has letters, digits, '.', '-' and '_' only; servers list it")
        if section.base is None:
            continue
        if (below := models.get(section.base)) is not None and below.base is not None:
            own = "itself" if section.base == name else f"the adapter {section.base!r}"
            raise ConfigurationError(f"{place} base = {section.base!r}: that is {own}; name the whole model below")
        if section.quantisation is not None:
            raise ConfigurationError(f"{place} quantisation: an adapter is loaded as its base is; set it there")
        if section.kind not in (None, "language model"):
            raise ConfigurationError(f"{place} kind = {section.kind!r}: adapters are of language models only")


def find_model(settings: Settings, place: str, name: str, kind: Kind) -> ModelFolder:
    """Return the files of a model that a setting names.

    Raises:
        ModelError: they are missing, torn, or not what is configured.
        ConfigurationError: the model is of another kind.
    """
    from batch.models.model_folder import locate

    found = locate(named_model(settings.models, name), settings.project.models)
    if found.kind != kind:
        raise ConfigurationError(f"{place}: {name} {_MISTAKEN[kind].format(kind=found.kind)}")
    return found


def served_name(settings: Settings, name: str) -> str:
    """Return the name by which a server knows a model."""
    return named_model(settings.models, name).own_name if name in settings.models else name


def pinned_revision(settings: Settings, name: str) -> str | None:
    """Return the revision that the configuration pins a model of a server to; None if it pins none."""
    return settings.llm.revision or named_model(settings.models, name).pinned


def used_names(settings: Settings) -> dict[str, str]:
    """Return the models that the configuration names, each with the settings that name it."""
    places = [
        ("[encoder] model", settings.encoder.model),
        ("[llm] model", settings.llm.model if settings.llm.mode != "none" else None),
        ("[retrieval] reranker", settings.retrieval.reranker),
        ("[evaluation] judge_model", settings.evaluation.judge_model),
    ]
    found: dict[str, list[str]] = {}
    for place, name in places:
        if name is not None:
            found.setdefault(name, []).append(place)
    for name in list(found):
        base = settings.models[name].base if name in settings.models else None
        if base is not None:
            found.setdefault(base, []).append(f"[models.{name}] base")
    return {name: ", ".join(each) for name, each in found.items()}
