"""The commands for models: list and pull."""

from __future__ import annotations

import click

from beforehand.configuration import Config, read_settings, reported


@click.group()
def models() -> None:
    """List and pull models."""


@models.command("list")
@click.pass_obj
@reported
def list_models(config: Config) -> None:
    """List the models in the models folder."""
    from batch.models.model_folder import list_models as found

    for model in found(read_settings(config).project.models):
        click.echo(f"{model.name:<32} {model.kind:<15} {model.revision}  {model.size / 1e6:,.0f} MB")


@models.command("pull")
@click.argument("names", nargs=-1)
@click.option("--revision", help="The revision to pin, for a model from the hub.")
@click.pass_obj
@reported
def pull_models(config: Config, names: tuple[str, ...], revision: str | None) -> None:
    """Pull models into the models folder; without NAMES, those of the configuration."""
    from batch.models.pull import pull

    settings = read_settings(config)
    named = (settings.encoder.model, settings.llm.model, settings.retrieval.reranker)
    for name in names or filter(None, named):
        model = pull(name, settings.project.models, lambda line: click.echo(line, err=True), revision)
        click.echo(f"{model.identity} is in {model.path}")
