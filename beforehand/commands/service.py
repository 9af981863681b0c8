"""The commands around the service: serve, llm, ask, key."""

from __future__ import annotations

import json
import threading
from typing import get_args

import click

from beforehand.configuration import Config, Settings, read_settings, reported
from beforehand.model_names import served_name
from beforehand.model_servers import service_warning
from beforehand.run_plan import language_model, live_identity, served_model
from online.settings import Scope
from rag.errors import ConfigurationError


@click.command()
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
        llm=settings.llm.model_copy(update={"model": served_name(settings, settings.llm.model)}),
        sampling=settings.sampling,
        retrieval=settings.retrieval,
        rules=settings.audit.answer_rules(),
        identity=live_identity(settings),
        cost=settings.cost,
        redaction=settings.history.redaction,
    )
    engine = None
    if settings.llm.mode == "endpoint":
        threading.Thread(target=_warn_of_server, args=(settings,), daemon=True).start()
    elif settings.llm.mode == "in_process":
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


def _warn_of_server(settings: Settings) -> None:
    """Say if the language model's server can give no answers: beside the start, since it may take seconds to reply."""
    if (warning := service_warning(settings)) is not None:
        click.echo(f"warning: {warning}", err=True)


def _given(**options: object) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=int, default=8001, show_default=True, help="Port to listen on.")
@click.pass_obj
@reported
def llm(config: Config, host: str, port: int) -> None:
    """Run the LLM microservice: vLLM behind the OpenAI REST API, configured for this machine."""
    settings = read_settings(config)
    if settings.llm.mode == "none":
        raise ConfigurationError('[llm] mode = "none": there is no language model to serve; remove it to have one')
    from batch.vllm.server import serve_llm

    serve_llm(
        served_model(settings),
        settings.vllm,
        settings.llm.context_tokens,
        settings.project.data / "logs" / "llm.log",
        host,
        port,
        settings.llm.api_key.get_secret_value() if settings.llm.api_key else None,
        lambda line: click.echo(line, err=True),
    )


@click.command()
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
    from beforehand.commands.asking import ask_service, render_answer

    base = url or f"http://{settings.service.host}:{settings.service.port}"
    seconds = settings.llm.timeout_seconds + 5
    response = ask_service(
        base, question, collection=collection, key=key, filters=filters, explain=explain, timeout=seconds
    )
    click.echo(json.dumps(response, indent=2, ensure_ascii=False) if as_json else render_answer(response))


@click.command("key")
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(get_args(Scope)), help="What the key may do; repeatable."
)
@click.option("--collection", "collections", multiple=True, help="A collection that the key may use; repeatable.")
@click.option("--requests-per-minute", type=click.IntRange(1), help="Rate limit of the key.")
@click.option(
    "--filter", "filters", multiple=True, metavar="FIELD=VALUE", help="Asked with every question; repeatable."
)
@reported
def make_key(
    name: str,
    scopes: tuple[str, ...],
    collections: tuple[str, ...],
    requests_per_minute: int | None,
    filters: tuple[str, ...],
) -> None:
    """Make an API key; it is shown once, and its hash is printed as lines for the configuration.

    `beforehand key helpdesk >> beforehand.toml` adds it; restart the service afterwards.
    """
    from beforehand.commands.asking import named_filters
    from online.http.authentication import mint

    asked_with = named_filters(filters)
    key, hashed = mint()
    limits = {"scopes": list(scopes), "collections": list(collections), "requests_per_minute": requests_per_minute}
    click.echo(f"\n[service.keys.{json.dumps(name)}]")
    click.echo(f"hash = {json.dumps(hashed)}")
    for setting, value in limits.items():
        if value:
            click.echo(f"{setting} = {json.dumps(value)}")
    if asked_with:
        pairs = ", ".join(f"{json.dumps(field)} = {json.dumps(value)}" for field, value in asked_with.items())
        click.echo(f"filters = {{ {pairs} }}")
    click.echo(f"the key, which nobody can show again: {key}", err=True)
