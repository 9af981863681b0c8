"""Reads settings from TOML, the environment and flags, and checks them.

The environment (`BEFOREHAND_SECTION__KEY`) overrides the file, and flags override both. A mistake is reported with
its key, its value and where it was set.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from beforehand.settings_mistakes import ENVIRONMENT_PREFIX, explain, variable_of
from rag.errors import ConfigurationError

Section = TypeVar("Section", bound=BaseModel)
Values = dict[str, object]


def read_toml(path: Path) -> Values:
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


def from_environment(environ: Mapping[str, str]) -> Values:
    """Collect `BEFOREHAND_SECTION__KEY=value` into nested mappings.

    A list, a table or null is written as JSON. All else stays text, which the schema converts: a key or a
    revision of digits alone must not become a number.

    Raises:
        ConfigurationError: one variable sets a value, another a key within it.
    """
    found: Values = {}
    for name, value in sorted(environ.items()):
        if not name.startswith(ENVIRONMENT_PREFIX) or "__" not in name:
            continue
        keys = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        target = found
        for key in keys[:-1]:
            inner = target.setdefault(key, {})
            if not isinstance(inner, dict):
                raise ConfigurationError(f"{name}: {key!r} is set as a whole by another variable; unset one of them")
            target = inner
        target[keys[-1]] = _json_or_text(value)
    return found


def _json_or_text(value: str) -> object:
    if value != "null" and value[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def merge(*layers: Mapping[str, object]) -> Values:
    """Lay mappings over each other, key by key; the later one wins."""
    merged: Values = {}
    for layer in layers:
        for key, value in layer.items():
            below = merged.get(key)
            merged[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def load(
    schema: type[Section], values: Mapping[str, object], source: str, environment: Mapping[str, object] | None = None
) -> Section:
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
        origin = variable_of(first, environment or {}) or source
        raise ConfigurationError(f"{origin}: {explain(schema, first)}") from None
