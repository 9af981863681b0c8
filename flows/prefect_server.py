"""A temporary Prefect server for one run, if none is configured.

Prefect would start one itself, but only when the first flow begins, which costs 17 to 40 s of waiting, and the
server would outlive this process if it were killed. This one starts while the run's imports and models load, keeps
its database in the data folder, and dies with its parent, however that ends.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batch.child_process import die_with
from flows.errors import PrefectServerError

_START_SECONDS = 180.0
_STOP_SECONDS = 10.0
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # our own child is reached without a proxy


class TemporaryServer:
    """A Prefect server that was started and may not be ready yet."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
        self._process = process
        self._url = url
        self._log = log

    def wait_until_ready(self) -> None:
        """Wait until the server answers.

        Raises:
            PrefectServerError: it ended, or took longer than three minutes; the message names its log.
        """
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with _DIRECTLY.open(f"{self._url}/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise PrefectServerError(f"the temporary Prefect server did not start; {self._log} says why")

    def stop(self) -> None:
        """Stop the server, by force if it does not end in time."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def prefect_server(home: Path, *, services: bool = False) -> Iterator[TemporaryServer | None]:
    """Start a server for the block, or yield None if `PREFECT_API_URL` names one.

    Call it before Prefect is imported: Prefect reads its settings then. With `services` it also runs the
    scheduler and similar services, which a single run does not need.
    """
    if os.environ.get("PREFECT_API_URL"):
        yield None
        return
    home.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    url = f"http://127.0.0.1:{port}/api"
    os.environ["PREFECT_API_URL"] = url
    log = home / "server.log"
    with log.open("ab") as output:
        server = TemporaryServer(_spawn(port, output.fileno(), services=services), url, log)
    try:
        yield server
    finally:
        server.stop()
        del os.environ["PREFECT_API_URL"]


def _spawn(port: int, output: int, *, services: bool) -> subprocess.Popen[bytes]:
    ours = ("PREFECT_API_URL", "BEFOREHAND_")  # our settings hold secrets, which are no business of the server
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    if not services:
        environment |= {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "flows.prefect_server", str(os.getpid()), str(port)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,  # Ctrl-C must reach only the run, which then stops the server
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _child() -> None:
    die_with(int(sys.argv[1]))
    import uvicorn

    options = {"factory": True, "host": "127.0.0.1", "port": int(sys.argv[2]), "log_level": "error", "lifespan": "on"}
    uvicorn.run("prefect.server.api.server:create_app", **options)  # type: ignore[arg-type]


if __name__ == "__main__":
    _child()
