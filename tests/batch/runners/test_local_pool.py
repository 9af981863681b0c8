"""The worker processes of a run on this machine: what is said where one of them is gone."""

from __future__ import annotations

import threading

import grpc
import pytest

from batch.runners.local_pool import silence_readers


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("beam_control_read", grpc.RpcError(), 0),
        ("beam_control_read", KeyError("bug"), 1),
        ("mine", grpc.RpcError(), 1),
    ],
)
def test_only_the_connections_to_workers_that_are_gone_end_silently(
    monkeypatch: pytest.MonkeyPatch, name: str, error: Exception, told: int
) -> None:
    failures: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    silence_readers()

    def fail() -> None:
        raise error

    thread = threading.Thread(target=fail, name=name)
    thread.start()
    thread.join()

    assert len(failures) == told
