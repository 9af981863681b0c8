"""A Prefect server of our own, if none is configured: for one run, or with its page as long as the schedule runs.

Prefect would start one itself, but only when the first flow begins, which costs 17 to 40 s of waiting, and the
server would outlive this process if it were killed. This one starts while the run's imports and models load, keeps
its database in the data folder, and dies with its parent, however that ends. A run beside a schedule uses the
schedule's server, so that the page shows it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from batch.child_process import die_with, hold_port
from flows.errors import PrefectServerError
from rag.credentials import public_address
from rag.errors import ConfigurationError

_START_SECONDS = 180.0
_STOP_SECONDS = 10.0
LINK = "_BEFOREHAND_FLOW_RUN"
"""The variable that tells a build's process which flow run was made for it."""
TRIGGER = "_BEFOREHAND_TRIGGER"
"""The variable that tells a build's process what started it; a person, if nothing says so."""
PAGELESS = "_BEFOREHAND_PREFECT_WITHOUT_PAGE"
"""The variable that says to this process that its server has no page, so that nothing links to it."""
_ADDRESS = "server.json"
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
def prefect_server(home: Path, *, port: int | None = None) -> Iterator[TemporaryServer | None]:
    """Start a server for the block, or yield None if there is one: `PREFECT_API_URL`, or a schedule's of this home.

    Call it before Prefect is imported: Prefect reads its settings then. With a `port` it also has the page, the
    scheduler and similar services, which a single run does not need.

    Raises:
        ConfigurationError: the port is in use.
    """
    if os.environ.get("PREFECT_API_URL"):
        yield None
        return
    home.mkdir(parents=True, exist_ok=True)
    if port is None and (found := running_server(home)):
        os.environ["PREFECT_API_URL"] = found
        try:
            yield None
        finally:
            del os.environ["PREFECT_API_URL"]
        return
    with_page = port is not None
    held = _hold(port)
    port = held.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    os.environ["PREFECT_API_URL"] = url
    log = home / "server.log"
    with log.open("ab") as output:
        server = TemporaryServer(_spawn(port, output.fileno(), with_page=with_page), url, log)
    if with_page:
        (home / _ADDRESS).write_text(json.dumps({"url": url}), encoding="utf-8")
    else:
        os.environ[PAGELESS] = "1"
    try:
        yield server
    finally:
        if with_page:
            (home / _ADDRESS).unlink(missing_ok=True)
        os.environ.pop(PAGELESS, None)
        server.stop()
        held.close()
        del os.environ["PREFECT_API_URL"]


def page_address() -> str:
    """Return where the page of the server that is in use is."""
    return public_address(os.environ["PREFECT_API_URL"].removesuffix("/api"))


def running_server(home: Path) -> str | None:
    """Return the address of the server that a schedule keeps in this home, None if none answers."""
    with suppress(OSError, ValueError, KeyError):
        url = str(json.loads((home / _ADDRESS).read_text(encoding="utf-8"))["url"])
        with _DIRECTLY.open(f"{url}/health", timeout=5):
            return url
    return None


def _spawn(port: int, output: int, *, with_page: bool) -> subprocess.Popen[bytes]:
    ours = ("PREFECT_API_URL", "BEFOREHAND_")  # our settings hold secrets, which are no business of the server
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    if with_page:
        # Relative: the page finds its API through a tunnel and behind a proxy too.
        environment |= {"PREFECT_UI_API_URL": "/api", "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false"}
    else:
        environment |= {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "flows.prefect_server", str(os.getpid()), str(port)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,  # Ctrl-C must reach only the run, which then stops the server
    )


def _hold(port: int | None) -> socket.socket:
    try:
        return hold_port("127.0.0.1", port or 0)
    except OSError as error:
        raise ConfigurationError(
            f"[schedule] port = {port}: Prefect's page can't be served there ({error.strerror}); is a schedule "
            "running already? Stop what uses the port, or set another one"
        ) from None


def _child() -> None:
    die_with(int(sys.argv[1]))
    import uvicorn

    options = {"factory": True, "host": "127.0.0.1", "port": int(sys.argv[2]), "log_level": "error", "lifespan": "on"}
    uvicorn.run("prefect.server.api.server:create_app", **options)  # type: ignore[arg-type]


if __name__ == "__main__":
    _child()
