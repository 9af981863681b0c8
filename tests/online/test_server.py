"""The service as a process: signals, a port in use, several workers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from online.server import ServeConfig, serve
from rag.collection_settings import CollectionSettings
from rag.errors import ConfigurationError
from rag.settings import LlmSettings
from tests.fake_llm import MODEL, FakeLlm
from tests.online.conftest import LENIENT, LIBRARY, Library, journal
from tests.waiting import PATIENCE, until

# Serves, and says on its first line where; what it imported is said at the end.
_PROGRAM = """
import sys
from online.server import ServeConfig, serve
serve(ServeConfig.model_validate_json(sys.argv[1]), on_ready=lambda url: print(url, flush=True))
print(" ".join(sorted({name.split(".")[0] for name in sys.modules})), flush=True)
"""
OPEN = "When does the library open?"
HEAVY = {"torch", "transformers", "vllm", "apache_beam", "prefect", "sentence_transformers", "sklearn", "matplotlib"}


def config(library: Library, llm: FakeLlm, **service: object) -> ServeConfig:
    return ServeConfig.model_validate(
        {
            "data": library.data,
            "collections": {"library": CollectionSettings(documents=[])},
            "service": {"port": 0, "comparison_share": 0, **service},  # no comparison by chance
            "llm": LlmSettings.model_validate({"endpoint": llm.url, "model": MODEL}),
            "rules": LENIENT,
        }
    )


@contextlib.contextmanager
def running(settings: ServeConfig) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, settings.to_json()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, process.stderr.read() if process.stderr else ""
        yield process, url
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_until_ready(url: str) -> None:
    def is_ready() -> bool:
        try:
            return httpx.get(f"{url}/readyz", timeout=PATIENCE).is_success
        except httpx.TransportError:  # its workers start
            return False

    until("the service is ready", is_ready)


def ask(url: str, question: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """Ask by a connection of its own."""
    body = {"question": question}
    return httpx.post(f"{url}/v1/answers", json=body, headers=headers, timeout=PATIENCE).json()  # type: ignore[no-any-return]


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_stops_the_service_cleanly_and_loses_no_journal_row(
    library: Library, llm: FakeLlm, workers: int
) -> None:
    library.publish(library=LIBRARY)
    with running(config(library, llm, workers=workers)) as (process, url):
        wait_until_ready(url)
        for number in range(20):
            assert ask(url, OPEN, {"x-request-id": f"r{number}"})["source"] == "exact"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    recorded = {each["request_id"] for each in journal(library.data)}
    assert recorded == {f"r{number}" for number in range(20)}
    assert not list((library.data / "journal").glob("*.open"))


def test_no_header_makes_one_visitor_look_like_many_and_the_journal_holds_no_address(
    library: Library, llm: FakeLlm
) -> None:
    library.publish(library=LIBRARY)
    with running(config(library, llm)) as (process, url):
        wait_until_ready(url)
        for number in range(3):
            forged = {"x-forwarded-for": f"203.0.113.{number}", "forwarded": f"for=203.0.113.{number}"}
            ask(url, OPEN, forged)
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
    askers = [row["asker"] for row in journal(library.data)]
    assert len(askers) == 3
    assert len(set(askers)) == 1
    assert "127.0.0.1" not in askers[0]


def test_the_metrics_of_all_workers_are_shown_together(library: Library, llm: FakeLlm) -> None:
    library.publish(library=LIBRARY)
    with running(config(library, llm, workers=2)) as (_, url):
        wait_until_ready(url)
        for _ in range(30):  # a connection each, so that both workers get some
            ask(url, OPEN)
        counted = 'beforehand_requests_total{source="exact"} 30.0'  # a worker counts when it has sent the answer
        until("all are counted", lambda: httpx.get(f"{url}/metrics", timeout=PATIENCE).text, lambda it: counted in it)


def test_a_stop_while_it_starts_is_not_lost(library: Library, llm: FakeLlm) -> None:
    library.publish(library=LIBRARY)
    with running(config(library, llm)) as (process, _):  # it has its port, and opens its release next
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) in (0, -signal.SIGTERM)


def test_the_logs_are_json_lines(library: Library, llm: FakeLlm) -> None:
    release = library.publish(library=LIBRARY)
    with running(config(library, llm)) as (process, url):
        wait_until_ready(url)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE)
    lines = [json.loads(line) for line in errors.splitlines()]
    assert f"serving release {release}" in {line["message"] for line in lines}
    assert all({"at", "level", "logger", "message"} <= line.keys() for line in lines)


def test_the_running_service_has_imported_nothing_heavy(library: Library, llm: FakeLlm) -> None:
    library.publish(library=LIBRARY)
    with running(config(library, llm)) as (process, url):
        wait_until_ready(url)
        assert ask(url, "Is there parking?")["source"] == "live"
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=PATIENCE)
    imported = set(output.split())
    assert "onnxruntime" in imported
    assert not imported & HEAVY


def test_a_port_in_use_is_one_clear_sentence(library: Library, llm: FakeLlm) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ConfigurationError, match=rf"port = {port}: can't listen on 127.0.0.1:{port} \(address already in use\)"
        ):
            serve(config(library, llm, port=port))


def test_a_wrong_key_is_reported_before_the_workers_start(library: Library, llm: FakeLlm) -> None:
    keys = {"desk": {"hash": f"sha256:{'0' * 64}", "collections": ["libary"]}}
    with pytest.raises(ConfigurationError, match="did you mean 'library'"):
        serve(config(library, llm, workers=2, keys=keys))


def test_several_workers_can_not_share_a_model_in_this_process(library: Library, llm: FakeLlm) -> None:
    from rag.llm.openai_client import OpenAIEndpoint

    with pytest.raises(ConfigurationError, match="workers = 2"):
        serve(config(library, llm, workers=2), OpenAIEndpoint(llm.url, MODEL))


def test_the_secrets_travel_to_the_workers() -> None:
    keys = {"desk": {"hash": f"sha256:{'0' * 64}"}}
    llm = {"api_key": "secret", "endpoint": "http://user:secret@gpu/v1?signature=secret"}
    settings = ServeConfig.model_validate({"data": "d", "collections": {}, "llm": llm, "service": {"keys": keys}})
    again = ServeConfig.model_validate_json(settings.to_json())
    assert again == settings
    assert again.llm.api_key is not None
    assert again.llm.api_key.get_secret_value() == "secret"
    assert "secret" not in repr(again)
