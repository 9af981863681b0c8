"""The front door: the command line; it composes the rooms and holds no logic of its own.

Each command reads the configuration, makes the objects that a room needs and hands them over. Packages that
take seconds to import are imported by the command that needs them. A user's error is one sentence on
standard error and exit code 2.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import Field
from rich.console import Console

from batch.settings import BatchSettings
from batch.vllm_platform import VllmSettings
from flows.settings import ScheduleSettings
from online.settings import ServiceSettings
from rag.errors import BeforehandError, ConfigurationError
from rag.settings import (
    ChunkingSettings,
    CollectionSettings,
    EncoderSettings,
    LlmSettings,
    PromptSettings,
    RetrievalSettings,
    RoomSettings,
    SamplingSettings,
    from_environment,
    load,
    merge,
    read_toml,
)
from warehouse.errors import WarehouseError
from warehouse.settings import AuditSettings, CostSettings, HistorySettings, ReleaseSettings

if TYPE_CHECKING:
    from batch.plan import RunPlan

console = Console(stderr=True, highlight=False)


class ProjectSettings(RoomSettings):
    """Where things lie."""

    data: Path = Field(Path("data"), description="Folder of runs, releases, journal and history.")
    models: Path = Field(Path("models"), description="Folder of the models.")


class Settings(RoomSettings):
    """The sections of `beforehand.toml`."""

    project: ProjectSettings = Field(default_factory=ProjectSettings)
    collections: dict[str, CollectionSettings] = Field(default_factory=dict)
    encoder: EncoderSettings = Field(default_factory=EncoderSettings)
    chunking: ChunkingSettings = Field(default_factory=ChunkingSettings)
    retrieval: RetrievalSettings = Field(default_factory=RetrievalSettings)
    prompt: PromptSettings = Field(default_factory=PromptSettings)
    llm: LlmSettings = Field(default_factory=LlmSettings)
    sampling: SamplingSettings = Field(default_factory=SamplingSettings)
    vllm: VllmSettings = Field(default_factory=VllmSettings)
    batch: BatchSettings = Field(default_factory=BatchSettings)
    schedule: ScheduleSettings = Field(default_factory=ScheduleSettings)
    audit: AuditSettings = Field(default_factory=AuditSettings)
    releases: ReleaseSettings = Field(default_factory=ReleaseSettings)
    history: HistorySettings = Field(default_factory=HistorySettings)
    cost: CostSettings = Field(default_factory=CostSettings)
    service: ServiceSettings = Field(default_factory=ServiceSettings)


Config = tuple[Path, tuple[str, ...]]


def read_settings(config: Config, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the configuration, then the environment, then the flags; its paths are relative to the file."""
    path, flags = config
    flagged = [from_environment({f"BEFOREHAND_{key.replace('.', '__')}": value}) for key, value in map(_split, flags)]
    values = merge(read_toml(path), from_environment(os.environ), *flagged, overrides or {})
    return load(Settings, with_paths_from(values, path.resolve().parent), str(path))


def _split(flag: str) -> tuple[str, str]:
    key, equals, value = flag.partition("=")
    if not equals or "." not in key:
        raise ConfigurationError(f"--set {flag}: write SECTION.KEY=VALUE, as in --set service.port=8080")
    return key, value


def with_paths_from(values: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Make the configuration's paths absolute; URLs stay as they are."""

    def absolute(path: Any) -> Any:
        if isinstance(path, list):
            return [absolute(each) for each in path]
        return path if not isinstance(path, str) or "://" in path else os.path.normpath(base / path)

    def section(content: Any, *keys: str) -> Any:
        if not isinstance(content, Mapping):
            return content
        return {key: absolute(value) if key in keys else value for key, value in content.items()}

    named = {"data": str(ProjectSettings().data), "models": str(ProjectSettings().models)}
    collections = values.get("collections", {})
    return {
        **values,
        "project": section({**named, **values.get("project", {})}, "data", "models"),
        "collections": {name: section(each, "documents", "questions", "curated") for name, each in collections.items()}
        if isinstance(collections, Mapping)
        else collections,
        "prompt": section(values.get("prompt", {}), "template"),
        "audit": section(values.get("audit", {}), "golden"),
        **{
            name: section(values.get(name, {}), "model")
            for name in ("llm", "encoder")
            if str(values.get(name, {}).get("model", "")).startswith((".", "/"))
        },
    }


def prepare_environment(settings: Settings) -> None:
    """Keep Prefect, vLLM and the hub libraries private, quiet and inside the data folder."""
    defaults = {
        "DO_NOT_TRACK": "1",
        "PREFECT_HOME": str(settings.project.data / "prefect"),
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def main() -> None:
    """Run the command line."""
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger().handlers[0].setLevel(logging.ERROR)  # some packages lower the level of their own loggers
    cli(prog_name="beforehand")


def reported(command: Callable[..., None]) -> Callable[..., None]:
    """Turn an error that a user can act on into one sentence and exit code 2."""

    @wraps(command)
    def guarded(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except (BeforehandError, WarehouseError) as error:
            click.echo(f"beforehand: {error}", err=True)
            sys.exit(2)
        except KeyboardInterrupt:
            click.echo("beforehand: interrupted", err=True)
            sys.exit(130)

    return guarded


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("beforehand.toml"),
    envvar="BEFOREHAND_CONFIG",
    show_default=True,
    help="The project's configuration.",
)
@click.option("--set", "flags", multiple=True, metavar="SECTION.KEY=VALUE", help="Override one setting; repeatable.")
@click.pass_context
def cli(context: click.Context, config: Path, flags: tuple[str, ...]) -> None:
    """Answer the questions that people are about to ask, before they ask them."""
    context.obj = (config, flags)


# -- run ---------------------------------------------------------------------------------------------------


@cli.command()
@click.option("--stage", help="Run one stage alone, over the folders of the last run (or of --run).")
@click.option("--run", "run_id", help="The run to continue or to look into.")
@click.pass_obj
@reported
def run(config: Config, stage: str | None, run_id: str | None) -> None:
    """Read, retrieve, generate, audit and publish a release."""
    settings = read_settings(config)
    prepare_environment(settings)
    from batch import progress

    with progress.display(console):
        progress.enter("start", "loading Beam and Prefect")
        from flows.build_release import build_release, run_one_stage

        if stage:
            run_one_stage(stage, compose_plan(settings, run_id or last_run(settings)))
            return
        plan = compose_plan(settings, run_id or new_run())
        outcome = build_release(plan.run_id, plan)
    click.echo(f"published release {outcome.release_id}")


def new_run() -> str:
    """Name a run by its start, so that names sort."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


def last_run(settings: Settings) -> str:
    """Return the latest run of the data folder."""
    runs = sorted(each.name for each in (settings.project.data / "runs").glob("*") if each.is_dir())
    if not runs:
        raise ConfigurationError(f"{settings.project.data}: holds no run yet; `beforehand run` makes one")
    return runs[-1]


def compose_plan(settings: Settings, run_id: str) -> RunPlan:
    """Make the plan of a run out of the settings and the models that they name."""
    from batch.convert_models import locate
    from batch.embed import encoder_id
    from batch.plan import LlmSource, RunPlan
    from rag.embedding import read_spec
    from rag.prompting import PromptTemplate

    if not settings.collections:
        raise ConfigurationError("the configuration has no [collections.NAME]; name the documents and questions there")
    encoder = locate(settings.encoder.model, settings.project.models).path
    generated_here = settings.batch.generate_with == "engine"
    model = locate(settings.llm.model, settings.project.models) if generated_here else None
    return RunPlan(
        run_id=run_id,
        data=str(settings.project.data),
        collections=settings.collections,
        encoder=str(encoder),
        encoder_id=encoder_id(encoder),
        encoder_spec=read_spec(encoder),
        llm=LlmSource(
            kind=settings.batch.generate_with,
            name=model.name if model else settings.llm.model,
            revision=model.revision if model else settings.llm.revision or "unpinned",
            context_tokens=settings.llm.context_tokens,
            vllm=settings.vllm,
            folder=model,
            endpoints=tuple(settings.batch.endpoints or [settings.llm.endpoint]),
            api_key=settings.llm.api_key,
            timeout_seconds=settings.llm.timeout_seconds,
        ),
        template=PromptTemplate.load(settings.prompt.template).text,
        sampling=settings.sampling.parameters(),
        chunking=settings.chunking,
        retrieval=settings.retrieval,
        settings=settings.batch,
    )


# -- serve, llm, ask ---------------------------------------------------------------------------------------


@cli.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on.")
@click.pass_obj
@reported
def serve(config: Config, host: str | None, port: int | None) -> None:
    """Serve answers over HTTP: from the release, and on a miss from the language model."""
    settings = read_settings(config, {"service": _given(host=host, port=port)})
    from online.server import ServeConfig
    from online.server import serve as serve_until_stopped

    serving = ServeConfig(
        data=settings.project.data,
        collections=settings.collections,
        service=settings.service,
        llm=settings.llm,
        sampling=settings.sampling,
        retrieval=settings.retrieval,
    )
    engine = None
    if settings.llm.mode == "in_process":
        from batch.convert_models import locate
        from batch.vllm_engine import VllmEngine

        model = locate(settings.llm.model, settings.project.models)
        click.echo(f"loading {model.name} into this process (about a minute)", err=True)
        engine = VllmEngine(model, settings.vllm, settings.llm.context_tokens)
        engine.start()
    try:
        serve_until_stopped(serving, engine, lambda url: click.echo(f"serving answers at {url}", err=True))
    finally:
        if engine is not None:
            engine.close()


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=int, default=8001, show_default=True, help="Port to listen on.")
@click.pass_obj
@reported
def llm(config: Config, host: str, port: int) -> None:
    """Run the LLM microservice: vLLM behind the OpenAI REST API, with settings for this machine."""
    settings = read_settings(config)
    from batch.convert_models import locate
    from batch.vllm_server import serve_llm

    serve_llm(
        locate(settings.llm.model, settings.project.models),
        settings.vllm,
        settings.llm.context_tokens,
        settings.project.data / "logs" / "llm.log",
        host,
        port,
        settings.llm.api_key.get_secret_value() if settings.llm.api_key else None,
        lambda line: click.echo(line, err=True),
    )


@cli.command()
@click.argument("question")
@click.option("--url", help="The service to ask; by default the configured one.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole response.")
@click.option("--explain", is_flag=True, help="Say how the answer was found.")
@click.pass_obj
@reported
def ask(config: Config, question: str, url: str | None, as_json: bool, explain: bool) -> None:
    """Ask the running service and print the answer with its sources."""
    settings = read_settings(config)
    from online.ask_client import ask_service, render_answer

    base = url or f"http://{settings.service.host}:{settings.service.port}"
    response = ask_service(base, question, explain=explain, timeout=settings.llm.timeout_seconds + 5)
    click.echo(json.dumps(response, indent=2, ensure_ascii=False) if as_json else render_answer(response))


# -- the warehouse -----------------------------------------------------------------------------------------


@cli.command()
@click.argument("query", required=False)
@click.option("--release", help="A release other than the current one.")
@click.option("--format", "form", default="table", show_default=True, help="table, csv, json, jsonl or parquet.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file.")
@click.pass_obj
@reported
def sql(config: Config, query: str | None, release: str | None, form: str, output: Path | None) -> None:
    """Query the current release and the history; without QUERY list the tables and views."""
    settings = read_settings(config)
    from warehouse.connection import connect
    from warehouse.results import write_result
    from warehouse.statements import sql_text

    connection = connect(settings.project.data, release, settings.cost)
    try:
        if output is None:
            write_result(connection, query or sql_text("list_tables.sql"), form, sys.stdout.buffer)
        else:
            with output.open("wb") as file:
                rows = write_result(connection, query or sql_text("list_tables.sql"), form, file)
            click.echo(f"{rows:,} rows written to {output}", err=True)
    finally:
        connection.close()


@cli.group()
def releases() -> None:
    """List, show, compare, roll back and prune releases."""


@releases.command("list")
@click.pass_obj
@reported
def list_releases(config: Config) -> None:
    """List the releases, the current one marked."""
    from warehouse.release import current_id
    from warehouse.release import releases as published

    data = read_settings(config).project.data
    for release in published(data):
        mark = "*" if release.release_id == current_id(data) else " "
        manifest = release.manifest
        click.echo(f"{mark} {release.release_id}  {manifest['created_at']}  {manifest.get('model', '')}")


@releases.command("rollback")
@click.argument("release", required=False)
@click.pass_obj
@reported
def rollback_release(config: Config, release: str | None) -> None:
    """Make RELEASE the current one again; without RELEASE the one before the current."""
    from warehouse.release import rollback

    click.echo(f"current release: {rollback(read_settings(config).project.data, release).release_id}")


@releases.command("prune")
@click.option("--keep", type=click.IntRange(min=1), help="How many releases to keep; by default as configured.")
@click.pass_obj
@reported
def prune_releases(config: Config, keep: int | None) -> None:
    """Remove old releases, never the current one nor one that a server holds."""
    from warehouse.retention import prune

    settings = read_settings(config)
    pruned = prune(settings.project.data, settings.releases.keep if keep is None else keep)
    click.echo(f"removed {len(pruned.removed)} releases, {len(pruned.held)} are still held by a server")


# -- models ------------------------------------------------------------------------------------------------


@cli.group()
def models() -> None:
    """List and pull models."""


@models.command("list")
@click.pass_obj
@reported
def list_models(config: Config) -> None:
    """List the models of the models folder."""
    from batch.convert_models import list_models as found

    for model in found(read_settings(config).project.models):
        click.echo(f"{model.name:<32} {model.kind:<15} {model.revision}  {model.size / 1e6:,.0f} MB")


@models.command("pull")
@click.argument("names", nargs=-1)
@click.option("--revision", help="The revision to pin, of a model from the hub.")
@click.pass_obj
@reported
def pull_models(config: Config, names: tuple[str, ...], revision: str | None) -> None:
    """Pull models into the models folder; without NAMES those that the configuration names."""
    from batch.convert_models import pull

    settings = read_settings(config)
    for name in names or (settings.encoder.model, settings.llm.model):
        model = pull(name, settings.project.models, lambda line: click.echo(line, err=True), revision)
        click.echo(f"{model.identity} is in {model.path}")


if __name__ == "__main__":
    main()
