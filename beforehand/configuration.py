"""The configuration: composes the rooms' settings, reads them, and prepares the environment.

It imports only the rooms' settings and errors, so it loads quickly.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial, wraps
from pathlib import Path
from typing import Any

import click
from pydantic import Field

from batch.settings import BatchSettings, ModelSettings, VllmSettings
from beforehand.model_names import refuse_wrong_names
from beforehand.project_settings import ProjectSettings
from beforehand.settings_loader import from_environment, load, merge, read_toml
from beforehand.shadow_settings import ShadowSettings, overlaid_sections, refuse_wrong_shadows
from flows.settings import AlertSettings, FollowSettings, ScheduleSettings
from online.settings import ServiceSettings
from rag.collection_settings import CollectionSettings
from rag.credentials import HidingFormatter, SecretAddress, secret_values
from rag.errors import EXIT_WAITING, AnswersPendingError, BeforehandError, ConfigurationError
from rag.hidden_errors import hidden
from rag.settings import (
    ChunkingSettings,
    EncoderSettings,
    LlmSettings,
    PromptSettings,
    RetrievalSettings,
    RoomSettings,
    SamplingSettings,
)
from warehouse.economics.assumptions import DecideSettings
from warehouse.settings import AuditSettings, CostSettings, EvaluationSettings, HistorySettings, ReleaseSettings


class Settings(RoomSettings):
    """The sections of `beforehand.toml`."""

    project: ProjectSettings = Field(default_factory=ProjectSettings)
    collections: dict[str, CollectionSettings] = Field(default_factory=dict)
    encoder: EncoderSettings = Field(default_factory=EncoderSettings)
    chunking: ChunkingSettings = Field(default_factory=ChunkingSettings)
    retrieval: RetrievalSettings = Field(default_factory=RetrievalSettings)
    prompt: PromptSettings = Field(default_factory=PromptSettings)
    llm: LlmSettings = Field(default_factory=LlmSettings)
    models: dict[str, ModelSettings] = Field(default_factory=dict)
    sampling: SamplingSettings = Field(default_factory=SamplingSettings)
    vllm: VllmSettings = Field(default_factory=VllmSettings)
    batch: BatchSettings = Field(default_factory=BatchSettings)
    shadow: dict[str, ShadowSettings] = Field(default_factory=dict)
    schedule: ScheduleSettings = Field(default_factory=ScheduleSettings)
    follow: FollowSettings = Field(default_factory=FollowSettings)
    alerts: AlertSettings = Field(default_factory=AlertSettings)
    audit: AuditSettings = Field(default_factory=AuditSettings)
    evaluation: EvaluationSettings = Field(default_factory=EvaluationSettings)
    releases: ReleaseSettings = Field(default_factory=ReleaseSettings)
    history: HistorySettings = Field(default_factory=HistorySettings)
    cost: CostSettings = Field(default_factory=CostSettings)
    decide: DecideSettings = Field(default_factory=DecideSettings)
    service: ServiceSettings = Field(default_factory=ServiceSettings)


Config = tuple[Path, tuple[str, ...]]
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
AROUND = "beforehand.around"
"""Under this name the command line keeps, in click's context, what it does around each command that has settings."""
_COLLECTION_PATHS = ("documents", "questions", "curated")


def read_settings(config: Config, overrides: Mapping[str, object] | None = None, shadow: str | None = None) -> Settings:
    """Read the configuration file, then the environment, then the flags; paths are relative to the file.

    With `shadow`, the settings of a shadow build lie over the others.

    Raises:
        ConfigurationError: one sentence for the first mistake.
    """
    path, flags = config
    environment = from_environment(os.environ)
    flagged = [from_environment({f"BEFOREHAND_{key.replace('.', '__')}": value}) for key, value in map(_split, flags)]
    values = merge(read_toml(path), environment, *flagged, overrides or {})
    settings = load(Settings, values, str(path), environment)
    refuse_wrong_names(settings.models, str(path))
    refuse_wrong_shadows(settings.shadow, str(path))
    if shadow is not None:
        overlaid = overlaid_sections(values, shadow, str(path))
        settings = load(Settings, merge(values, overlaid), f"{path}: with [shadow.{shadow}]", environment)
    return with_fitting_passages(with_paths_from(settings, path.resolve().parent))


def with_fitting_passages(settings: Settings) -> Settings:
    """Lower `passage_tokens` to three quarters of what the context leaves; template and question need some, too."""
    room = max(0, settings.llm.context_tokens - settings.sampling.max_tokens) * 3 // 4
    fitting = min(settings.retrieval.passage_tokens, room)
    return settings.model_copy(update={"retrieval": settings.retrieval.model_copy(update={"passage_tokens": fitting})})


def _split(flag: str) -> tuple[str, str]:
    key, equals, value = flag.partition("=")
    if not equals or "." not in key:
        raise ConfigurationError(f"--set {key}: write SECTION.KEY=VALUE, as in --set service.port=8080")
    return key, value


def with_paths_from(settings: Settings, base: Path) -> Settings:
    """Make the configuration's paths absolute; URLs and names of models stay as they are."""

    def absolute(path: str) -> str:
        return path if "://" in path else os.path.normpath(base / path)

    def address(named: SecretAddress) -> SecretAddress:
        return SecretAddress(absolute(named.get_secret_value()))

    def model(name: str) -> str:
        return absolute(name) if name.startswith((".", "/")) else name

    project, template = settings.project, settings.prompt.template
    collections = {
        name: each.model_copy(
            update={kind: [address(path) for path in getattr(each, kind)] for kind in _COLLECTION_PATHS}
        )
        for name, each in settings.collections.items()
    }
    models = {
        name: each.model_copy(update={"source": model(each.source), "base": each.base and model(each.base)})
        for name, each in settings.models.items()
    }
    reranker = settings.retrieval.reranker
    labelled = [absolute(path) for path in settings.batch.labelled_pairs]
    changed = {
        "project": project.model_copy(update={"data": base / project.data, "models": base / project.models}),
        "collections": collections,
        "prompt": settings.prompt.model_copy(update={"template": base / template if template else None}),
        "audit": settings.audit.model_copy(update={"golden": [base / path for path in settings.audit.golden]}),
        "batch": settings.batch.model_copy(update={"labelled_pairs": labelled}),
        "models": models,
        "llm": settings.llm.model_copy(update={"model": model(settings.llm.model)}),
        "encoder": settings.encoder.model_copy(update={"model": model(settings.encoder.model)}),
        "retrieval": settings.retrieval.model_copy(update={"reranker": reranker and model(reranker)}),
    }
    return settings.model_copy(update=changed)


def reach_loopback_directly() -> None:
    """Bypass a configured proxy for requests to this machine, also in child processes."""
    named = [each.strip() for name in ("no_proxy", "NO_PROXY") for each in os.environ.get(name, "").split(",")]
    if "*" not in named:
        spared = ",".join(dict.fromkeys([*filter(None, named), *_LOOPBACK]))
        os.environ |= {"no_proxy": spared, "NO_PROXY": spared}  # libraries differ in which they read


def prepare_environment(settings: Settings) -> None:
    """Set defaults that keep Prefect, vLLM and the hub libraries offline, quiet and inside the data folder.

    The command line's log lines are kept free of the settings' secrets.
    """
    reach_loopback_directly()
    for formatter in (handler.formatter for handler in logging.getLogger().handlers):
        if isinstance(formatter, HidingFormatter):
            formatter.secrets = secret_values(settings)
    defaults = {
        "DO_NOT_TRACK": "1",
        "PREFECT_HOME": str(settings.project.data / "prefect"),
        "PREFECT_LOGGING_LEVEL": "CRITICAL",  # a failed run prints its own sentence
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_LOGGERS_PREFECT_FLOW_RUNS_LEVEL": "INFO",  # for the run's log on Prefect's page
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",  # what is older than 90 days
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TORCH_CPP_LOG_LEVEL": "ERROR",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)


def reported(command: Callable[..., None]) -> Callable[..., None]:
    """Print an error that a user can act on as one sentence, and exit with code 2; no error quotes a secret."""

    @wraps(command)
    def guarded(*args: Any, **options: Any) -> None:
        try:
            return _with_surroundings(partial(command, *args, **options), args)
        except KeyboardInterrupt:
            message, code = "interrupted", 130
        except Exception as error:
            clean = hidden(error, _configured_secrets(args))
            if clean is error and not isinstance(error, BeforehandError):
                raise
            message, code = str(clean), EXIT_WAITING if isinstance(clean, AnswersPendingError) else 2
        click.echo(f"beforehand: {message}", err=True)
        sys.exit(code)  # outside `except`: objects in the error's frames would be reported as leaked

    return guarded


def _with_surroundings(call: Callable[[], None], arguments: tuple[Any, ...]) -> None:
    """Run a command with what the command line does around one that was given a configuration."""
    around = click.get_current_context().meta.get(AROUND)
    configs = [each for each in arguments if isinstance(each, tuple)]
    if around is None or not configs:
        call()
    else:
        around(call, configs[0], _subcommand())


def _subcommand() -> str:
    """Return the name of the command that runs; of a group's command, the group's."""
    context = click.get_current_context()
    while context.parent is not None and context.parent.parent is not None:
        context = context.parent
    return context.info_name or ""


def _configured_secrets(arguments: tuple[Any, ...]) -> frozenset[str]:
    """Return the secrets of the configuration that a command was given, none if it can't be read."""
    try:
        return secret_values(*(read_settings(each) for each in arguments if isinstance(each, tuple)))
    except ConfigurationError:  # the mistake is what is being reported, and it quotes no secret
        return frozenset()


def as_environment(flags: tuple[str, ...]) -> dict[str, str]:
    """Return the flags as environment variables, for child processes: other users can see a process's flags."""
    return {f"BEFOREHAND_{key.replace('.', '__').upper()}": value for key, value in map(_split, flags)}
