"""The temporary Prefect server: not started if one is configured, and a clear error if it does not start."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from flows import prefect_server as module
from flows.errors import PrefectServerError
from flows.prefect_server import TemporaryServer, prefect_server
from tests.fake_llm import served


def test_a_configured_server_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example/api")

    with prefect_server(tmp_path / "home") as server:
        assert server is None
        assert os.environ["PREFECT_API_URL"] == "http://prefect.example/api"

    assert not (tmp_path / "home").exists()


def test_a_server_that_ends_at_once_is_an_error_that_names_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr(module.sys, "executable", "/bin/false")

    with prefect_server(tmp_path) as server:
        assert server is not None
        with pytest.raises(PrefectServerError, match=r"server\.log says why"):
            server.wait_until_ready()

    assert "PREFECT_API_URL" not in os.environ


def test_nobody_else_is_given_the_port_of_a_server_that_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr(module.sys, "executable", "/bin/false")

    with prefect_server(tmp_path), socket.socket() as other:
        port = urlsplit(os.environ["PREFECT_API_URL"]).port
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))


def test_a_local_server_is_reached_without_a_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    asked: list[str] = []

    async def health(request: Request) -> JSONResponse:
        asked.append(request.url.path)
        return JSONResponse(True)

    with served(Starlette(routes=[Route("/api/health", health)])) as url:
        running = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        server = TemporaryServer(running, f"{url}/api", tmp_path / "server.log")
        server.wait_until_ready()
        server.stop()

    assert asked == ["/api/health"]
