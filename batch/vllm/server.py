"""The LLM microservice: vLLM's OpenAI-compatible server, started, watched and stopped as one process group.

vLLM runs as two or three processes, and on SIGTERM with a request in flight its server may wait forever for an engine
that is already gone. So the child leads a process group; stopping it sends SIGTERM, waits `STOP_SECONDS`, then kills
the whole group. The child also watches its parent and kills its group when the parent is gone, so that not even
SIGKILL leaves an engine behind. (Linux can signal a child on its parent's death, but that means the parent's
*thread*, and only the first generation.)

The child enters vLLM through this small module: the engine's process imports its parent's main module again, and
vLLM's own entry point takes 10 s to import. vLLM's output goes to a log file.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

import httpx

from batch.child_process import die_with, hold_port
from batch.models.model_folder import ModelFolder
from batch.models.named_model import Adapter
from batch.settings import VllmSettings
from batch.vllm.platform import command_line, engine_arguments, environment, installed_backend, model_arguments
from rag.errors import ConfigurationError, LlmUnavailableError, ModelError

DRAIN_SECONDS = 8  # for requests in flight to finish
STOP_SECONDS = 12.0
START_SECONDS = 1800.0  # a large model from a slow disk
REPORT_SECONDS = 20.0

Step = Callable[[str], None]


def serve_llm(
    model: ModelFolder,
    settings: VllmSettings,
    context_tokens: int,
    log: Path,
    host: str = "127.0.0.1",
    port: int = 8001,
    api_key: str | None = None,
    on_step: Step = print,
) -> None:
    """Serve a model until SIGINT or SIGTERM, then stop all its processes and return. Main thread only.

    A request that names one of the model's `adapters` is answered by the model with that adapter.

    Raises:
        ConfigurationError: the port is in use, or the host is not of this machine.
        ModelError: vLLM is missing or can't load the model.
        LlmUnavailableError: the server ended on its own.
    """
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with _running(model, settings, context_tokens, log, host, port, api_key, on_step) as (process, _):
            process.wait()
            raise LlmUnavailableError(f"the language model's server ended by itself: {_reason(log)} (see {log})")
    except KeyboardInterrupt:
        on_step("the language model has stopped")
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextlib.contextmanager
def running_llm_server(
    model: ModelFolder,
    settings: VllmSettings,
    context_tokens: int,
    log: Path,
    port: int = 0,
    on_step: Step = lambda _: None,
) -> Iterator[str]:
    """Serve a model on the loopback interface for the length of a `with` block; yield its base URL.

    Port 0 takes a free one. Raises as `serve_llm` does.
    """
    with _running(model, settings, context_tokens, log, "127.0.0.1", port, None, on_step) as (_, url):
        yield url


@contextlib.contextmanager
def _running(
    model: ModelFolder,
    settings: VllmSettings,
    context_tokens: int,
    log: Path,
    host: str,
    port: int,
    api_key: str | None,
    on_step: Step,
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    backend = installed_backend()
    held = _hold(host, port)
    port = held.getsockname()[1]
    variables = environment(backend, settings, {"VLLM_LOGGING_LEVEL": "INFO", **os.environ})
    if api_key is not None:
        variables["VLLM_API_KEY"] = api_key  # not a flag: other users can see the flags of a process
    arguments = engine_arguments(model.path, settings, context_tokens, backend) | model_arguments(model)
    flags = [*command_line(arguments), *_modules(model.adapters)]
    flags += ["--host", host, "--port", str(port), "--served-model-name", model.identity, model.name]
    flags += ["--shutdown-timeout", str(DRAIN_SECONDS), "--enable-prompt-tokens-details"]
    url = f"http://{_address(host)}:{port}/v1"
    on_step(f"starting {model.name} at {url}; this usually takes a minute or two (log: {log})")
    process = _spawn(flags, variables, log)
    try:
        _wait_until_ready(process, url, log, on_step)
        yield process, url
    finally:
        _stop(process)
        held.close()


def _modules(adapters: Sequence[Adapter]) -> list[str]:
    """Return the flags that name the adapters to vLLM's server."""
    return ["--lora-modules", *(f"{each.name}={each.path}" for each in adapters)] if adapters else []


def _spawn(flags: list[str], variables: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "batch.vllm.server", str(os.getpid()), *flags],
            env={**os.environ, **variables, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path, on_step: Step) -> None:
    began = reported = time.monotonic()
    with httpx.Client(trust_env=False, timeout=5) as client:  # our own child is reached without a proxy
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if client.get(url.removesuffix("/v1") + "/health").is_success:
                    on_step(f"ready after {time.monotonic() - began:.0f} s: {url}")
                    return
            if process.poll() is not None:
                raise ModelError(f"vLLM did not start: {_reason(log)} (see {log})")
            now = time.monotonic()
            if now - began > START_SECONDS:
                raise ModelError(f"vLLM was not ready after {START_SECONDS:.0f} s (see {log})")
            if now - reported > REPORT_SECONDS:
                on_step(f"still starting after {now - began:.0f} s")
                reported = now
            time.sleep(0.25)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the child and all its descendants: with SIGTERM first, then SIGKILL."""
    try:
        process.terminate()
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _hold(host: str, port: int) -> socket.socket:
    try:
        return hold_port(host, port)
    except socket.gaierror as error:
        raise ConfigurationError(f"host {host!r} is unknown ({error.strerror})") from error
    except OSError as error:
        raise ConfigurationError(
            f"port {port} on {host} can't be listened on ({error.strerror}); stop what uses it or choose another port"
        ) from error


def _address(host: str) -> str:
    """Return the address that a client on this machine connects to."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{reachable}]" if ":" in reachable else reachable


def _reason(log: Path) -> str:
    """Return the last error that vLLM logged, without its prefix; the engine's says more than the server's."""
    text = log.read_text(encoding="utf-8", errors="replace")
    errors = re.findall(r"\b(\w*(?:Error|Exception): .+)$", text, flags=re.MULTILINE)
    telling = [error for error in errors if "Engine core initialization failed" not in error]
    return str((telling or errors or ["it gave no reason"])[-1])


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


# -- the child ---------------------------------------------------------------------------------------------


def _child() -> None:
    parent, *flags = sys.argv[1:]
    die_with(int(parent))
    sys.argv = ["vllm", *flags]
    from vllm.entrypoints.launchers.api_server.entry import main

    main()


if __name__ == "__main__":
    _child()
