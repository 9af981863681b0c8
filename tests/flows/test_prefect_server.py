"""The temporary Prefect server: not started where one is named, and told clearly where it does not start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flows import prefect_server as module
from flows.prefect_server import PrefectServerError, prefect_server


def test_a_server_that_is_named_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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
