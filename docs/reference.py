"""Generates docs/cli.md and docs/configuration.md from the code.

python docs/reference.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from beforehand.cli import cli
from beforehand.configuration import Settings

HERE = Path(__file__).parent
_NAMED = ("collections", "models", "shadow")


def cli_reference() -> str:
    """Return every command with its help, as Markdown."""
    parts = ["# The command line", "Generated from the code by `make docs`."]
    for path, command in _commands(cli, "beforehand"):
        context = click.Context(command, info_name=path, terminal_width=100, max_content_width=100)
        context.help_option_names = cli.context_settings[
            "help_option_names"
        ]  # a context inherits these only when the command runs
        parts.append(f"## {path}\n\n```\n{command.get_help(context)}\n```")
    return "\n\n".join(parts) + "\n"


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _commands(found, f"{path} {name}")


def configuration_reference() -> str:
    """Return every setting with its default and its description, as Markdown."""
    parts = [
        "# The configuration",
        "Generated from the code by `make docs`. Settings are read from `beforehand.toml`, then from the environment "
        "(`BEFOREHAND_SECTION__KEY=value`, lists as JSON), then from `--set section.key=value`. Paths are relative to "
        "the file.",
    ]
    for name, field in Settings.model_fields.items():
        parts += _section(name, _model(field.annotation))
    return "\n\n".join(parts) + "\n"


def _section(name: str, model: type[BaseModel]) -> list[str]:
    title = f"{name}.NAME" if name in _NAMED else name
    rows = ["| setting | default | |", "|---|---|---|"]
    nested: list[str] = []
    for key, field in model.model_fields.items():
        inner = _inner_model(field.annotation)
        if inner is not None and name != "shadow":  # its sections are described at their own places
            nested += _section(f"{title}.{key}.NAME", inner)
        rows.append(f"| `{key}` | {_default(field)} | {field.description} |")
    return [f"## [{title}]\n\n{(model.__doc__ or '').strip()}", "\n".join(rows), *nested]


def _model(annotation: object) -> type[BaseModel]:
    found = _inner_model(annotation) or annotation
    assert isinstance(found, type) and issubclass(found, BaseModel)
    return found


def _inner_model(annotation: object) -> type[BaseModel] | None:
    for inner in get_args(annotation):
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return inner
    return None


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None:
        return ""
    shown = json.dumps(value, default=str, ensure_ascii=False)
    return f"`{shown}`" if len(shown) < 60 else "see the code"


def main() -> None:
    """Write both files."""
    (HERE / "cli.md").write_text(cli_reference(), encoding="utf-8")
    (HERE / "configuration.md").write_text(configuration_reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
