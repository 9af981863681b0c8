"""The command `init`: writes a commented configuration with the user's own paths, or a copy of the example."""

from __future__ import annotations

import json
import os
import shutil
from importlib.resources import files
from pathlib import Path

import click

from beforehand.configuration import read_settings, reported
from rag.errors import ConfigurationError

_NAME = "beforehand.toml"
_USUAL_FOLDERS = ("docs", "documentation", "documents", "handbook", "content", "wiki")
_USUAL_LISTS = ("questions.txt", "questions.csv", "questions.jsonl")
_PROPOSALS = 50  # without a list of questions there would be nothing to answer
# In a checkout the example stands beside the package, in a wheel inside it (setup.py).
_EXAMPLES = (Path(str(files("beforehand"))) / "example", Path(str(files("beforehand"))).parent / "examples" / "python")
_EXAMPLE_FILES = (_NAME, "questions.txt", "curated.jsonl", "golden.jsonl", "write_documents.py")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option(
    "--documents",
    "documents",
    multiple=True,
    metavar="PATH",
    help="A file, folder or address with documents; repeatable.",
)
@click.option("--questions", "questions", multiple=True, metavar="PATH", help="A list of questions; repeatable.")
@click.option("--model", help="The language model: a Hugging Face id, a folder, or a name that the endpoint knows.")
@click.option("--endpoint", metavar="URL", help="An OpenAI-compatible server that generates the answers.")
@click.option("--example", is_flag=True, help="Copy the example instead: questions about the Python language.")
@reported
def init(
    folder: Path,
    documents: tuple[str, ...],
    questions: tuple[str, ...],
    model: str | None,
    endpoint: str | None,
    example: bool,
) -> None:
    """Write a commented beforehand.toml in FOLDER (by default this one), with your own paths.

    Without --documents and --questions it takes what has a usual name in FOLDER, such as docs/ and questions.txt.
    """
    target = folder / _NAME
    if target.exists():
        raise ConfigurationError(f"{target} is there already; edit it, or name another folder")
    if example:
        if documents or questions or model or endpoint:
            raise ConfigurationError("--example brings its own documents, questions and model; leave the others out")
        copy_example(folder)
        steps = [f"cd {folder}"] if folder != Path() else []
        click.echo("\n".join([f"wrote the example to {folder}; next:", *_indented(steps), *_indented(_EXAMPLE_STEPS)]))
        return
    found_documents = [_relative(path, folder) for path in documents] or _usual(folder, _USUAL_FOLDERS)
    found_questions = [_relative(path, folder) for path in questions] or _usual(folder, _USUAL_LISTS)
    text = configuration_text(found_documents or ["documents"], found_questions, model, endpoint)
    folder.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    try:
        read_settings((target, ()))
    except ConfigurationError:
        target.unlink()  # a mistake in an argument, such as an endpoint that is no address
        raise
    click.echo(f"wrote {target}; next:")
    if not found_documents:
        (folder / "documents").mkdir(exist_ok=True)
        click.echo(f"  put your documents into {folder / 'documents'}, or name them in {target}")
    at = "" if folder == Path() else f"--config {target} "
    pulled = [f"beforehand {at}models pull" + (" all-minilm-l6-v2" if endpoint else "")]
    click.echo("\n".join(_indented([*pulled, *(f"beforehand {at}{step}" for step in ("check", "run", "serve"))])))


_EXAMPLE_STEPS = (
    "python write_documents.py documents",
    "beforehand models pull",
    "beforehand run",
    "beforehand llm & beforehand serve",
)


def configuration_text(documents: list[str], questions: list[str], model: str | None, endpoint: str | None) -> str:
    """Return the text of a configuration; strings are written as TOML reads them."""
    import jinja2

    template = (files("beforehand") / "templates" / f"{_NAME}.txt").read_text(encoding="utf-8")
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False)
    return environment.from_string(template).render(
        documents=_toml(documents),
        questions=_toml(questions) if questions else None,
        proposals=None if questions else _PROPOSALS,
        model=_toml(model or "HuggingFaceTB/SmolLM2-1.7B-Instruct"),
        endpoint=_toml(endpoint) if endpoint else None,
    )


def copy_example(folder: Path) -> None:
    """Copy the example's files; its models are kept in the folder itself.

    Raises:
        ConfigurationError: one of them is there already.
    """
    source = next(each for each in _EXAMPLES if each.exists())
    if there := [name for name in _EXAMPLE_FILES if (folder / name).exists()]:
        raise ConfigurationError(f"{folder / there[0]} is there already; name an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name in _EXAMPLE_FILES:
        shutil.copyfile(source / name, folder / name)
    config = folder / _NAME
    config.write_text(config.read_text(encoding="utf-8").replace('"../../models"', '"models"'), encoding="utf-8")


def _usual(folder: Path, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if (folder / name).exists()]


def _relative(path: str, folder: Path) -> str:
    """Return a path as the configuration names it: from its own folder, or as it is when absolute or an address."""
    if "://" in path or Path(path).is_absolute():
        return path
    return os.path.relpath(path, folder)


def _toml(value: str | list[str]) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _indented(lines: list[str] | tuple[str, ...]) -> list[str]:
    return [f"  {line}" for line in lines]
