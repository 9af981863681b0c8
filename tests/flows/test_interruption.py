"""A build that is interrupted ends within seconds, even if its worker threads would go on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUSY = """
import threading
from flows.interruption import ending_soon

never = threading.Event()
with ending_soon(lambda: print("last", flush=True)):
    try:
        print("ready", flush=True)
        never.wait()
    except KeyboardInterrupt:
        never.wait()  # like a pipeline that waits for its workers first
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_ends_a_build_that_waits_for_its_threads(number: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    done, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert "interrupted; finished work is kept" in said
    assert done == "last\n"


QUERYING = """
import duckdb
from flows.interruption import ending_soon, interruptions

with ending_soon(lambda: print("last", flush=True)):
    try:
        with interruptions():
            print("ready", flush=True)
            duckdb.execute("SELECT count(*) FROM range(1000000000) a, range(1000000000) b")
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        raise SystemExit(130)
"""


def test_a_query_that_a_signal_ends_is_an_interruption() -> None:
    process = subprocess.Popen([sys.executable, "-c", QUERYING], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)

    done, _ = process.communicate(timeout=60)

    assert (process.returncode, done) == (130, "interrupted\n")
