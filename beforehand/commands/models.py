"""The commands for models: list, pull, verify and remove."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from batch.models.named_model import NamedModel
from beforehand.configuration import Config, Settings, read_settings, reported
from beforehand.model_names import named_model, used_names
from rag.errors import ConfigurationError, ModelError


@click.group()
def models() -> None:
    """List, pull, verify and remove models."""


@models.command("list")
@click.pass_obj
@reported
def list_models(config: Config) -> None:
    """List the models of the configuration and of the models folder: what they are, and whether they are verified."""
    from batch.models.model_store import describe, others

    settings = read_settings(config)
    folder = settings.project.models
    named = _in_configuration(settings)
    rows = [describe(each, folder) for each in (*named, *others(folder, named))]
    width = max((len(each.name) for each in rows), default=0)
    source = max((len(each.source) for each in rows), default=0)
    for each in rows:
        size = f"{each.size / 1e6:,.0f} MB" if each.usable else ""
        line = f"{each.name:<{width}}  {each.kind:<14}  {each.source:<{source}}  {each.revision:<12}  {size:>9}"
        click.echo(f"{line}  {each.state}")


@models.command("pull")
@click.argument("names", nargs=-1)
@click.option("--revision", help="The revision to pin, for a model from the hub.")
@click.pass_obj
@reported
def pull_models(config: Config, names: tuple[str, ...], revision: str | None) -> None:
    """Pull models into the models folder; without NAMES, those that the configuration uses. Checksums are verified."""
    from batch.models.model_store import verify_model
    from batch.models.pull import pull

    settings = read_settings(config)
    for model in _wanted(settings, names):
        if revision is not None and model.name:
            raise ConfigurationError(f"--revision {revision}: set it in {model.section}, where later pulls read it")
        pull(model, settings.project.models, lambda line: click.echo(line, err=True), revision)
        found = verify_model(model, settings.project.models)
        place = found.path if found.adapter is None else found.adapter.path
        click.echo(f"{found.identity} is in {place}, checksum {found.checksum}")


@models.command("verify")
@click.argument("names", nargs=-1)
@click.pass_obj
@reported
def verify_models(config: Config, names: tuple[str, ...]) -> None:
    """Read every file of models and compare it with its checksum; without NAMES, those that the configuration uses."""
    from batch.models.model_store import verify_model

    settings = read_settings(config)
    faults = []
    for model in _wanted(settings, names):
        try:
            found = verify_model(model, settings.project.models)
            click.echo(f"{model.label}: every file is as it was, checksum {found.checksum}")
        except ModelError as error:
            faults.append(error)
            click.echo(f"beforehand: {error}", err=True)
    if faults:
        sys.exit(2)


@models.command("remove")
@click.argument("names", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Remove it although the configuration or the current release uses it.")
@click.pass_obj
@reported
def remove_models(config: Config, names: tuple[str, ...], force: bool) -> None:
    """Remove pulled models from the models folder."""
    from batch.models.model_store import remove

    settings = read_settings(config)
    wanted = [named_model(settings.models, name) for name in names]
    for model in wanted:
        if not force:
            _refuse_used(settings, model)
    for model in wanted:
        click.echo(f"removed {remove(model, settings.project.models)}")


def _wanted(settings: Settings, names: Sequence[str]) -> list[NamedModel]:
    """Return the models of these names; without names those that this machine loads."""
    if names:
        return [named_model(settings.models, name) for name in names]
    language_model = settings.llm.model if settings.llm.mode != "none" else None
    own = (settings.encoder.model, language_model, settings.retrieval.reranker)
    return [named_model(settings.models, name) for name in dict.fromkeys(filter(None, own))]


def _in_configuration(settings: Settings) -> list[NamedModel]:
    """Return the models with a section, then those that are named by their source."""
    used = [name for name in used_names(settings) if name != settings.evaluation.judge_model]
    return [named_model(settings.models, name) for name in dict.fromkeys((*settings.models, *used))]


def _refuse_used(settings: Settings, model: NamedModel) -> None:
    """Raise `ConfigurationError` if the configuration or the current release uses the files of a model."""
    for name, places in used_names(settings).items():
        if named_model(settings.models, name).folder_name == model.folder_name:
            raise ConfigurationError(f"model {model.label!r} is used by {places}; --force removes it all the same")
    release = _release_with(settings, model)
    if release is not None:
        raise ConfigurationError(
            f"model {model.label!r} made the current release, {release}; --force removes it all the same"
        )


def _release_with(settings: Settings, model: NamedModel) -> str | None:
    """Return the current release if it was made with a model, else None."""
    from batch.models.model_folder import locate
    from warehouse.errors import WarehouseError
    from warehouse.releases.release import current

    try:
        release = current(settings.project.data)
        found = locate(model, settings.project.models)
    except (WarehouseError, ModelError):
        return None
    manifest = release.manifest
    ids = (manifest.get("model"), manifest.get("reranker"))
    encoder = str(manifest.get("encoder", {}).get("id") or "")
    used = found.identity in ids or encoder.rpartition("-")[0] == Path(found.path).name
    return release.release_id if used else None
