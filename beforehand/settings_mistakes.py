"""Explains a mistake in the configuration in one sentence: key, value, what is wrong, and a suggestion."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import UnionType
from typing import Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic_core import ErrorDetails

from rag.credentials import SecretAddress, SecretOption, hide, public_address

ENVIRONMENT_PREFIX = "BEFOREHAND_"


def explain(schema: type[BaseModel], mistake: ErrorDetails) -> str:
    """Say where a mistake is, the value found there, and what would be right."""
    keys = [str(part) for part in mistake["loc"]]
    place = _place(mistake)
    if mistake["type"] == "extra_forbidden":
        return f"{place}: unknown{_suggest_key(schema, keys)}"
    if mistake["type"] == "missing":
        return f"{place}: missing, and it has no default"
    if mistake["type"] in ("model_type", "dict_type"):
        value = "" if _is_secret(schema, keys) else f" = {_shown(schema, mistake)}"
        return f"{place}{value}: must be a section of its own, as in [{'.'.join(keys)}]"
    reason = mistake["msg"].removeprefix("Value error, ")
    reason = f"{reason[:1].lower()}{reason[1:]}"
    if isinstance(mistake["input"], Mapping) or _is_secret(schema, keys):
        return f"{place}: {reason}"
    return f"{place} = {_shown(schema, mistake)}: {reason}{_suggest_value(mistake)}"


def _place(mistake: ErrorDetails) -> str:
    """Write a location as TOML would: [section] key, with the index of a list's item."""
    *sections, key = [str(part) for part in mistake["loc"] if isinstance(part, str)] or ["the file"]
    items = "".join(f"[{part}]" for part in mistake["loc"] if isinstance(part, int))
    if not sections and isinstance(mistake["input"], Mapping) and mistake["loc"]:
        return f"[{key}]"
    section = f"[{'.'.join(sections)}] " if sections else ""
    return f"{section}{key}{items}"


def _shown(schema: type[BaseModel], mistake: ErrorDetails) -> str:
    found = mistake["input"]
    holds_address = SecretAddress in _types_in(_annotation_at(schema, [str(part) for part in mistake["loc"]]))
    text = hide(repr(public_address(found) if holds_address and isinstance(found, str) else found))
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


def variable_of(mistake: ErrorDetails, environment: Mapping[str, object]) -> str | None:
    """Return the environment variable that holds a mistake, or None if none does."""
    found: object = environment
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
    """Whether a place may hold a secret, or a section that does; its value is then not shown."""
    return not {SecretStr, SecretOption}.isdisjoint(_types_in(_annotation_at(schema, path)))


def _annotation_at(schema: type[BaseModel], path: list[str]) -> object:
    """Return the type of a place, or of the innermost setting around it."""
    found: object = schema
    for key in path:
        if get_origin(found) in (Union, UnionType) and (models := _models_in(found)):  # a section that may be absent
            found = models[0]
        if isinstance(found, type) and issubclass(found, BaseModel):
            field = found.model_fields.get(key)
            found = field.annotation if field else None
        else:  # an item of a list, or an entry of a mapping
            models = _models_in(found)
            found = models[0] if models else found
    return found


def _types_in(annotation: object) -> set[object]:
    """Return all types that a type is made of, those of a section's settings included."""
    found: set[object] = {annotation}
    for inner in get_args(annotation):
        found |= _types_in(inner)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for field in annotation.model_fields.values():
            found |= _types_in(field.annotation)
    return found


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


def _keys_of(annotation: object) -> list[str]:
    return [key for model in _models_in(annotation)[:1] for key in model.model_fields]


def _models_in(annotation: object) -> list[type[BaseModel]]:
    inside = (annotation, *get_args(annotation))
    return [each for each in inside if isinstance(each, type) and issubclass(each, BaseModel)]
