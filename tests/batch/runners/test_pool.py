"""A pool ends as a person or a cluster tells it to, without a word of its own."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from batch.runners.pool import run_pool
from batch.vllm.machine_engine import POOL_FOLDER


@pytest.fixture(autouse=True)
def _handlers_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "warnoptions", [*sys.warnoptions])
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_an_interruption_of_a_pool_and_sigterm_its_end(number: signal.Signals) -> None:
    ports: list[int] = []

    def ready(port: int) -> None:
        ports.append(port)
        os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt) if number == signal.SIGINT else nullcontext():
        run_pool("127.0.0.1", 0, ready)

    assert len(ports) == 1
    assert POOL_FOLDER not in os.environ
