"""The demo leaves nothing behind, however it ends: what it starts, here the answer service, ends with it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import held_port

ROOT = Path(__file__).parents[1]

# Starts a service as the demo does, waits for it as the demo does, and says its number.
DEMO = """
import signal, sys
from pathlib import Path
sys.path.insert(0, "examples")
import demo

demo.EXAMPLE = Path(sys.argv[1])
demo.COMMAND = [sys.executable, "-m", "beforehand", "--config", str(demo.EXAMPLE / "beforehand.toml")]
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
demo.end_on(signal.SIGTERM, signal.SIGHUP)
port = int(sys.argv[2])
with demo.started("serve", "--port", str(port)) as service:
    demo.wait_for(f"http://127.0.0.1:{port}/healthz", "the service", service)
    print(service.pid, flush=True)
    service.wait()
"""


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    (tmp_path / "beforehand.toml").write_text(f"[collections.default]\ndocuments = [{json.dumps(str(tmp_path))}]\n")
    with held_port() as port:
        command = [sys.executable, "-c", DEMO, str(tmp_path), str(port)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
        yield process
        process.kill()
        process.communicate()


@contextlib.contextmanager
def watched(number: int) -> Iterator[int]:
    """Hold on to a process, whoever its parent is; what is left of it at the end is killed."""
    handle = os.pidfd_open(number)
    try:
        yield handle
    finally:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)


@pytest.mark.parametrize(
    ("ending", "code"), [(signal.SIGKILL, -9), (signal.SIGHUP, 129), (signal.SIGTERM, 143)], ids=str
)
def test_what_the_demo_started_ends_with_it(demo: subprocess.Popen[str], ending: signal.Signals, code: int) -> None:
    assert demo.stdout is not None
    said = demo.stdout.readline(), demo.stdout.readline()
    assert said[0].startswith("waiting for")
    with watched(int(said[1])) as service:
        demo.send_signal(ending)

        ended, _, _ = select.select([service], [], [], 60)

        assert ended, "the service outlived the demo"
    assert demo.wait(60) == code
