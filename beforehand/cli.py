"""The command line.

Each command reads the configuration, makes the objects that a room needs, and calls the room. Packages that take
seconds to import are imported by the command that needs them. A user's error is one sentence on standard error and
exit code 2.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import get_args
from uuid import UUID

import click
from rich.console import Console

from batch.child_process import die_with_named_parent
from beforehand.configuration import (
    AROUND,
    Config,
    prepare_environment,
    reach_loopback_directly,
    read_settings,
    reported,
)
from beforehand.lazy_group import LazyGroup
from beforehand.object_store import with_data
from beforehand.run_plan import compose_plan, language_model, live_identity, new_run, run_for_stage
from online.settings import Scope
from rag.credentials import HidingFormatter, secret_values

console = Console(stderr=True, highlight=False)


def main() -> None:
    """Run the command line."""
    die_with_named_parent()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exception, so that child processes are stopped
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))  # through the current handler
    logging.basicConfig(level=logging.ERROR)
    handler = logging.getLogger().handlers[0]
    handler.setLevel(logging.ERROR)  # packages lower the level of their loggers
    handler.setFormatter(HidingFormatter(logging.BASIC_FORMAT))
    os.environ["PYTHONSAFEPATH"] = "1"  # child processes import nothing from the working folder
    # The selector solves small systems: several threads for one cost more than they save on a busy machine.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    reach_loopback_directly()
    cli(prog_name="beforehand")


_COMMANDS = {
    "bisect": "beforehand.bisect_command:bisect",
    "check": "beforehand.check_command:check",
    "decide": "beforehand.decide_command:decide",
    "eval": "beforehand.eval_command:evaluate",
    "generate": "beforehand.generate_command:generate",
    "impact": "beforehand.impact_command:impact",
    "init": "beforehand.init_command:init",
    "plan": "beforehand.plan_command:plan",
    "releases": "beforehand.warehouse_commands:releases",
    "report": "beforehand.warehouse_commands:report",
    "review": "beforehand.warehouse_commands:review",
    "schedule": "beforehand.schedule_command:schedule",
    "sql": "beforehand.warehouse_commands:sql",
    "up": "beforehand.up_command:up",
    "withdraw": "beforehand.warehouse_commands:withdraw",
}


@click.group(
    cls=LazyGroup, lazy=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
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
    context.meta[AROUND] = with_data


# -- run ---------------------------------------------------------------------------------------------------


@cli.command()
@click.option("--stage", help="Run only this stage, on the files of the last run (or of --run).")
@click.option("--run", "run_id", help="The run to continue, or for --stage.")
@click.pass_obj
@reported
def run(config: Config, stage: str | None, run_id: str | None) -> None:
    """Read, retrieve, generate, audit and publish a release."""
    settings = read_settings(config)
    if stage in (None, "generate"):
        from beforehand.generate_command import refuse_without_batch_api

        refuse_without_batch_api(settings)
    prepare_environment(settings)
    from batch import progress
    from flows.prefect_server import LINK, prefect_server
    from warehouse.releases.build_lease import refuse_second_build

    with progress.display(console):
        progress.enter("start", "loading Beam and Prefect")
        if stage:
            from flows.build_release import run_one_stage

            run_one_stage(stage, compose_plan(settings, run_id or run_for_stage(settings, stage)))
            return
        link = os.environ.pop(LINK, "")
        if not link:
            refuse_second_build(settings.project.data)
        with prefect_server(settings.project.data / "prefect") as server:
            from batch.sources.source_files import refuse_missing
            from flows.build_release import build_release
            from flows.publish_release import Publication
            from flows.reporting.early_failure import told_if_refused
            from flows.reporting.logs import flush

            with told_if_refused(settings.alerts.webhook, link, secret_values(settings)):
                plan = compose_plan(settings, run_id or new_run())
                refuse_missing(plan)
            if server is not None:
                server.wait_until_ready()
            keep = settings.releases
            publication = Publication(
                settings.audit,
                settings.history,
                keep.keep,
                keep.keep_runs,
                settings.cost,
                settings.alerts.webhook,
            )
            try:
                outcome = build_release(config[0].resolve(), plan, publication, UUID(link) if link else None)
            finally:
                flush()
    click.echo(f"published release {outcome.release_id}")


# -- serve, llm, ask ---------------------------------------------------------------------------------------


@cli.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on.")
@click.pass_obj
@reported
def serve(config: Config, host: str | None, port: int | None) -> None:
    """Serve answers over HTTP: prepared ones from the release, others live from the language model."""
    settings = read_settings(config, {"service": _given(host=host, port=port)})
    from online.server import ServeConfig, refuse_before_loading
    from online.server import serve as serve_until_stopped

    serving = ServeConfig(
        data=settings.project.data,
        collections=settings.collections,
        service=settings.service,
        llm=settings.llm,
        sampling=settings.sampling,
        retrieval=settings.retrieval,
        rules=settings.audit.answer_rules(),
        identity=live_identity(settings),
    )
    engine = None
    if settings.llm.mode == "in_process":
        refuse_before_loading(serving)
        from batch.vllm.engine import VllmEngine

        model = language_model(settings)
        click.echo(f"loading {model.name} into this process (about a minute)", err=True)
        engine = VllmEngine(model, settings.vllm, settings.llm.context_tokens)
        engine.start()
    try:
        serve_until_stopped(serving, engine, lambda url: click.echo(f"serving answers at {url}", err=True))
    finally:
        if engine is not None:
            engine.close()


def _given(**options: object) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=int, default=8001, show_default=True, help="Port to listen on.")
@click.pass_obj
@reported
def llm(config: Config, host: str, port: int) -> None:
    """Run the LLM microservice: vLLM behind the OpenAI REST API, configured for this machine."""
    settings = read_settings(config)
    from batch.vllm.server import serve_llm

    serve_llm(
        language_model(settings),
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
@click.option("--url", help="Base URL of the service; by default the configured one.")
@click.option("--collection", help="The collection, if there are several.")
@click.option("--key", envvar="BEFOREHAND_API_KEY", help="An API key; by default BEFOREHAND_API_KEY.")
@click.option(
    "--filter", "filters", multiple=True, metavar="FIELD=VALUE", help="A value of the collection's filters; repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole response.")
@click.option("--explain", is_flag=True, help="Include how the answer was found.")
@click.pass_obj
@reported
def ask(
    config: Config,
    question: str,
    url: str | None,
    collection: str | None,
    key: str | None,
    filters: tuple[str, ...],
    as_json: bool,
    explain: bool,
) -> None:
    """Ask the running service and print the answer with its sources."""
    settings = read_settings(config)
    from beforehand.ask import ask_service, render_answer

    base = url or f"http://{settings.service.host}:{settings.service.port}"
    seconds = settings.llm.timeout_seconds + 5
    response = ask_service(
        base, question, collection=collection, key=key, filters=filters, explain=explain, timeout=seconds
    )
    click.echo(json.dumps(response, indent=2, ensure_ascii=False) if as_json else render_answer(response))


@cli.command("key")
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(get_args(Scope)), help="What the key may do; repeatable."
)
@click.option("--collection", "collections", multiple=True, help="A collection that the key may use; repeatable.")
@click.option("--requests-per-minute", type=click.IntRange(1), help="Rate limit of the key.")
def make_key(name: str, scopes: tuple[str, ...], collections: tuple[str, ...], requests_per_minute: int | None) -> None:
    """Make an API key; it is shown once, and its hash is printed as lines for the configuration.

    `beforehand key helpdesk >> beforehand.toml` adds it; restart the service afterwards.
    """
    from online.http.authentication import mint

    key, hashed = mint()
    limits = {"scopes": list(scopes), "collections": list(collections), "requests_per_minute": requests_per_minute}
    click.echo(f"\n[service.keys.{json.dumps(name)}]")
    click.echo(f"hash = {json.dumps(hashed)}")
    for setting, value in limits.items():
        if value:
            click.echo(f"{setting} = {json.dumps(value)}")
    click.echo(f"the key, which nobody can show again: {key}", err=True)


# -- models ------------------------------------------------------------------------------------------------


@cli.group()
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


if __name__ == "__main__":
    main()
