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
