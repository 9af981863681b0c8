"""The front door is tested on a small published release, made as the warehouse's tests make it."""

import pytest

from tests.waiting import PATIENCE
from tests.warehouse.conftest import publish_rows, rows

__all__ = ["publish_rows", "rows"]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a server that is asked about its models on a busy machine; it would be passed over after 3 seconds."""
    monkeypatch.setattr("beforehand.model_servers._SECONDS", PATIENCE)
