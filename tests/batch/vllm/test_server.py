"""The LLM microservice's processes: ready when reported ready, and none outlives its parent."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from batch.models.model_folder import ModelFolder
from batch.models.named_model import Adapter
from batch.settings import VllmSettings
from batch.vllm import server as vllm_server
from batch.vllm.server import running_llm_server, serve_llm
from rag.errors import ConfigurationError, LlmUnavailableError, ModelError
from tests.waiting import PATIENCE, until

ROOT = Path(__file__).parents[3]

# A fake of vLLM's server, put before the real package on the child's path: it answers /health, has a child process
# like vLLM's engine, and behaves as FAKE_VLLM says.
SERVER = """
import json, os, signal, subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        described = {"flags": sys.argv, "environment": dict(os.environ), "group": os.getpgid(0)}
        self.wfile.write(json.dumps(described).encode())
        if self.path == "/end":
            print("RuntimeError: ended by a request", flush=True)
            os._exit(3)

def main():
    if os.environ.get("FAKE_VLLM") == "fails":
        print("(EngineCore pid=1) ERROR 11-23 ValueError: no such architecture")
        raise RuntimeError("Engine core initialization failed. See root cause above.")
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    if os.environ.get("FAKE_VLLM") == "hangs":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    port = int(sys.argv[sys.argv.index("--port") + 1])
    HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture(autouse=True)
def fake_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "path" / "vllm" / "entrypoints" / "launchers" / "api_server"
    package.mkdir(parents=True)
    (package / "entry.py").write_text(SERVER)
    (tmp_path / "path" / "vllm" / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))


@pytest.fixture
def model(tmp_path: Path) -> ModelFolder:
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 64}')
    return ModelFolder(tmp_path, "tiny", "abc", "language model", 1)


@pytest.fixture
def serving(model: ModelFolder) -> Callable[[], tuple[subprocess.Popen[str], str]]:
    """Start `serve_llm` in its own process, as the command line does; return it and where it serves."""

    def start() -> tuple[subprocess.Popen[str], str]:
        script = f"""
            import signal
            from pathlib import Path
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores it
            from batch.models.model_folder import ModelFolder
            from batch.settings import VllmSettings
            from batch.vllm.server import serve_llm
            folder = Path({str(model.path)!r})
            model = ModelFolder(folder, "tiny", "abc", "language model", 1)
            serve_llm(model, VllmSettings(), 64, folder / "llm.log", port=0)
        """
        process = subprocess.Popen(
            [sys.executable, "-u", "-c", textwrap.dedent(script)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        while not (line := process.stdout.readline()).startswith("ready"):
            assert line.startswith("starting"), line + process.stdout.read()
        return process, line.split()[-1]

    return start


def group_runs(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def described(url: str) -> dict[str, object]:
    health = url.removesuffix("/v1") + "/health"
    return dict(json.loads(httpx.get(health, trust_env=False, timeout=PATIENCE).text))


def group_ends(group: object) -> bool:
    """Wait until no process of the group is left; init reaps a killed one after a while."""
    assert isinstance(group, int)
    return until("the processes have ended", lambda: not group_runs(group))


def test_the_server_is_ready_inside_the_block_and_gone_after_it(model: ModelFolder, tmp_path: Path) -> None:
    steps: list[str] = []
    with running_llm_server(model, VllmSettings(), 64, tmp_path / "llm.log", on_step=steps.append) as url:
        group = described(url)["group"]

    assert group_ends(group)
    assert steps[0].startswith(f"starting tiny at {url}; this usually takes")
    assert steps[-1].startswith("ready after")


def test_nobody_else_is_given_the_port_of_a_server_that_starts(model: ModelFolder, tmp_path: Path) -> None:
    steps: list[str] = []

    def take_port(step: str) -> None:
        found = re.search(r":(\d+)/v1", step)
        assert found is not None
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", int(found[1])))
        steps.append(step)

    with running_llm_server(model, VllmSettings(), 64, tmp_path / "llm.log", on_step=take_port) as url:
        assert "flags" in described(url)

    assert steps[0].startswith("starting")


def test_the_server_knows_the_model_by_its_identity_first(model: ModelFolder, tmp_path: Path) -> None:
    with running_llm_server(model, VllmSettings(), 64, tmp_path / "llm.log") as url:
        flags = " ".join(described(url)["flags"])  # type: ignore[call-overload]

    assert "--served-model-name tiny@abc tiny" in flags
    assert f"--model {model.path} --max-model-len 64" in flags
    assert "trust" not in flags


def test_the_server_offers_each_adapter_under_its_name(model: ModelFolder, tmp_path: Path) -> None:
    adapters = (Adapter("tuned", tmp_path / "a", "1", 8), Adapter("plain", tmp_path / "b", "2", 64))
    served = replace(model, adapters=adapters, quantisation="fp8")
    with running_llm_server(served, VllmSettings(), 64, tmp_path / "llm.log") as url:
        flags = " ".join(described(url)["flags"])  # type: ignore[call-overload]

    assert f"--lora-modules tuned={tmp_path / 'a'} plain={tmp_path / 'b'} --host" in flags
    assert "--enable-lora --max-lora-rank 64 --max-loras 2" in flags
    assert "--quantization fp8" in flags


def test_a_server_that_does_not_stop_is_killed_with_all_below_it(
    model: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VLLM", "hangs")
    monkeypatch.setattr(vllm_server, "STOP_SECONDS", 0.1)
    with running_llm_server(model, VllmSettings(), 64, tmp_path / "llm.log") as url:
        group = described(url)["group"]

    assert group_ends(group)


def test_an_exception_in_the_block_ends_the_server_too(model: ModelFolder, tmp_path: Path) -> None:
    def fail() -> None:
        with running_llm_server(model, VllmSettings(), 64, tmp_path / "llm.log") as url:
            groups.append(described(url)["group"])
            raise KeyError("mine")

    groups: list[object] = []
    with pytest.raises(KeyError, match="mine"):
        fail()
    assert group_ends(groups[0])


def test_a_server_that_fails_to_start_says_why_in_one_sentence(
    model: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VLLM", "fails")

    with (
        pytest.raises(ModelError, match=r"^vLLM did not start: ValueError: no such architecture \(see .*llm.log\)$"),
        running_llm_server(model, VllmSettings(), 64, tmp_path / "llm.log"),
    ):
        pass


def test_a_port_in_use_is_reported_before_anything_starts(model: ModelFolder, tmp_path: Path) -> None:
    steps: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} on 127.0.0.1 can't be listened on"):
            serve_llm(model, VllmSettings(), 64, tmp_path / "llm.log", port=port, on_step=steps.append)

    assert steps == []
    assert not (tmp_path / "llm.log").exists()


def test_a_host_of_another_machine_is_refused(model: ModelFolder, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="host 'no such host' is unknown"):
        serve_llm(model, VllmSettings(), 64, tmp_path / "llm.log", host="no such host")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_processes_of_the_service_without_an_error(
    serving: Callable[[], tuple[subprocess.Popen[str], str]], number: signal.Signals
) -> None:
    process, url = serving()
    group = described(url)["group"]

    process.send_signal(number)
    output, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0
    assert output == "the language model has stopped\n"
    assert group_ends(group)


def test_the_server_dies_with_a_parent_that_was_killed(
    serving: Callable[[], tuple[subprocess.Popen[str], str]],
) -> None:
    process, url = serving()
    group = described(url)["group"]

    process.kill()
    process.communicate()

    assert group_ends(group)


def test_a_server_that_ends_by_itself_is_reported(
    serving: Callable[[], tuple[subprocess.Popen[str], str]],
) -> None:
    process, url = serving()

    with pytest.raises(httpx.HTTPError):
        httpx.get(url.removesuffix("v1") + "end", trust_env=False, timeout=PATIENCE).raise_for_status()
        described(url)
    output, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 1
    assert LlmUnavailableError.__name__ in output
    assert "ended by itself: RuntimeError: ended by a request" in output.splitlines()[-1]


def test_an_api_key_reaches_the_server_without_being_on_its_command_line(model: ModelFolder, tmp_path: Path) -> None:
    with vllm_server._running(model, VllmSettings(), 64, tmp_path / "llm.log", "127.0.0.1", 0, "a-secret", print) as (
        _,
        url,
    ):
        found = described(url)

    assert "a-secret" not in str(found["flags"])
    assert found["environment"]["VLLM_API_KEY"] == "a-secret"  # type: ignore[index]
