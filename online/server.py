"""Runs the service: one process, or several on one port.

The listening socket is bound here, before anything starts, so that a port in use is one clear sentence. Several workers
share it. They are spawned, not forked, and each builds its application from the same `ServeConfig`, which travels as
JSON in the environment. A language model in this process (`llm`) can't be shared, so it allows one worker only.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from threadpoolctl import threadpool_limits

from online.app import create_app
from online.http.authentication import keys_of
from online.http.connection import Connection
from online.http.origin import answers_for_any_host
from online.model.no_model import NoModel
from online.release.object_store import following_store
from online.settings import ServiceSettings
from online.telemetry.logs import logging_config
from online.telemetry.tracing import Tracing
from online.workers import Workers, folder_for_workers
from rag.collection_settings import CollectionSettings
from rag.credentials import reveal, secret_values
from rag.errors import ConfigurationError
from rag.identity import ModelIdentity
from rag.llm.openai_client import OpenAIEndpoint
from rag.llm.protocol import Llm
from rag.prompting.answer_rules import AnswerRules
from rag.settings import LlmSettings, RetrievalSettings, SamplingSettings
from warehouse.history.redaction import Mode
from warehouse.settings import CostSettings

_CONFIG = "BEFOREHAND_WORKER_CONFIG"
_log = logging.getLogger("beforehand.service")
_SWITCH_SECONDS = 0.001  # by default a computing thread may delay an exact hit by 5 ms


class ServeConfig(BaseModel):
    """The configuration of a worker process."""

    model_config = ConfigDict(frozen=True)

    data: Path
    collections: dict[str, CollectionSettings]
    service: ServiceSettings = Field(default_factory=lambda: ServiceSettings.model_validate({}))
    llm: LlmSettings = Field(default_factory=lambda: LlmSettings.model_validate({}))
    cost: CostSettings = Field(default_factory=CostSettings)
    redaction: Mode = "redact"
    sampling: SamplingSettings = Field(default_factory=lambda: SamplingSettings.model_validate({}))
    retrieval: RetrievalSettings = Field(default_factory=lambda: RetrievalSettings.model_validate({}))
    rules: AnswerRules = Field(default_factory=AnswerRules)
    identity: ModelIdentity | None = None

    def to_json(self) -> str:
        """Return it as JSON with its secrets, for a worker's environment."""
        return json.dumps(self.model_dump(), default=reveal)


def serve(config: ServeConfig, llm: Llm | None = None, on_ready: Callable[[str], None] = lambda _: None) -> None:
    """Serve until SIGINT or SIGTERM; requests in flight are ended and the journal is written.

    Without an `llm`, `config.llm.endpoint` is used. `on_ready` gets the address as soon as the port is bound.

    Raises:
        ConfigurationError: the port is in use, an in-process model is to be shared by several workers, or a key
            names a collection that does not exist.
    """
    settings = config.service
    if llm is not None:
        _refuse_to_share(settings)
    keys_of(settings, config.collections)  # an error in them is reported once, not by each worker
    listening = bind(settings.host, settings.port)
    following = following_store(config.data, settings.store_seconds)
    with contextlib.closing(listening), following:
        on_ready("http://{}:{}".format(*listening.getsockname()[:2]))
        if settings.workers > 1:
            _serve_workers(config, listening)
        else:
            server = uvicorn.Server(uvicorn.Config(_app(config, llm), **_options(config)))
            with _quiet_signals(server):
                server.run(sockets=[listening])


def refuse_before_loading(config: ServeConfig) -> None:
    """Raise what `serve` would raise with a model in this process, before one is loaded for a minute.

    Raises:
        ConfigurationError: as `serve` does.
    """
    _refuse_to_share(config.service)
    keys_of(config.service, config.collections)
    bind(config.service.host, config.service.port).close()


def _refuse_to_share(settings: ServiceSettings) -> None:
    if settings.workers > 1:
        raise ConfigurationError(
            f"[service] workers = {settings.workers}: a language model in this process allows for one worker only; "
            'set workers = 1 or [llm] mode = "endpoint"'
        )


def bind(host: str, port: int) -> socket.socket:
    """Bind the listening socket.

    Raises:
        ConfigurationError: the port is in use, or the address is not of this machine.
    """
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(2048)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigurationError(
            f"[service] port = {port}: can't listen on {host}:{port} ({reason.lower()}); "
            "stop what uses it or set another port"
        ) from None
    listening.set_inheritable(True)
    return listening


def worker_app() -> FastAPI:
    """Return the application of a worker process; uvicorn calls it by its name."""
    return _app(ServeConfig.model_validate_json(os.environ[_CONFIG]), None)


def _app(config: ServeConfig, llm: Llm | None) -> FastAPI:
    sys.setswitchinterval(_SWITCH_SECONDS)
    threadpool_limits(1, "blas")  # on a busy machine several threads wait for each other longer than one computes
    on_stop = None
    tracing = Tracing() if config.service.tracing else None
    if llm is None and config.llm.mode == "none":
        llm = NoModel()
    elif llm is None:
        made = endpoint(config.llm, config.service.concurrency_limit, tracing)
        llm, on_stop = made, made.aclose
    parts = config.service, config.data, config.collections, llm, config.sampling, config.retrieval
    on_start = functools.partial(_started, config.service)
    return create_app(
        *parts,
        rules=config.rules,
        identity=config.identity,
        tracing=tracing,
        cost=config.cost,
        redaction=config.redaction,
        on_start=on_start,
        on_stop=on_stop,
    )


def _started(settings: ServiceSettings) -> None:
    _spare_the_collector()
    if answers_for_any_host(settings):
        _log.warning(
            "without keys and [service] allowed_hosts any web page that a visitor opens can read this service; "
            "name the hosts under which it is reached"
        )


def _spare_the_collector() -> None:
    """Exempt long-lived objects from garbage collection: a full one stops all requests for 75 ms."""
    gc.collect()
    gc.freeze()


def endpoint(settings: LlmSettings, connections: int, tracing: Tracing | None) -> OpenAIEndpoint:
    """Return the language model behind the configured endpoint."""
    carried: Callable[[], Mapping[str, str]] = dict if tracing is None else tracing.headers
    key = None if settings.api_key is None else settings.api_key.get_secret_value()
    address = settings.endpoint.get_secret_value()
    return OpenAIEndpoint(address, settings.model, key, settings.timeout_seconds, connections, carried)


def _serve_workers(config: ServeConfig, listening: socket.socket) -> None:
    options = _options(config) | {"workers": config.service.workers, "factory": True}
    with folder_for_workers() as folder:
        os.environ[_CONFIG] = config.to_json()
        try:
            Workers(uvicorn.Config("online.server:worker_app", **options), listening, folder).run()
        finally:
            del os.environ[_CONFIG]


def _options(config: ServeConfig) -> dict[str, Any]:
    return {
        "loop": "uvloop",
        "http": Connection,
        "proxy_headers": False,  # online.http.proxies believes those that the configuration names
        "access_log": False,  # the journal has more, and costs less
        "server_header": False,
        "log_config": logging_config(secret_values(config)),
        "timeout_graceful_shutdown": config.service.shutdown_seconds,
        "timeout_worker_healthcheck": 30,
    }


@contextlib.contextmanager
def _quiet_signals(server: uvicorn.Server) -> Iterator[None]:
    """Make a stop by signal an ordinary end: uvicorn raises the signal again after its shutdown.

    One that comes before uvicorn listens to signals ends the process as it would have without us.
    """

    def heard(number: int, _: object) -> None:
        if not server.should_exit:
            signal.signal(number, before[signal.Signals(number)])
            signal.raise_signal(number)

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    for each in before:
        signal.signal(each, heard)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
