"""Several worker processes on one port: the folder that they share, and the gauges of one that has ended.

prometheus_client keeps the values of each process in files (`PROMETHEUS_MULTIPROC_DIR`). The gauges of a dead process
would count for ever, so its files have to go. The parent removes them: it alone knows its workers, where a worker could
only ask whether a pid exists, and pids are reused. The folder also holds the rate limits (`online.http.rate_limits`).
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from socket import socket

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.supervisors import Multiprocess

from online.telemetry.metrics import MULTIPROCESS_FOLDER


@contextlib.contextmanager
def folder_for_workers() -> Iterator[Path]:
    """Make the folder that the workers share, and name it in their environment."""
    with tempfile.TemporaryDirectory(prefix="beforehand-workers-") as folder:
        os.environ[MULTIPROCESS_FOLDER] = folder
        try:
            yield Path(folder)
        finally:
            del os.environ[MULTIPROCESS_FOLDER]


class Workers(Multiprocess):
    """Starts the workers, and replaces those that end; checks twice a second."""

    def __init__(self, config: uvicorn.Config, listening: socket, folder: Path) -> None:
        super().__init__(config, [listening])
        self._folder = folder

    def keep_subprocess_alive(self) -> None:
        """Replace the workers that have ended, and remove the gauges of all that are gone."""
        super().keep_subprocess_alive()
        running = {each.pid for each in self.processes}
        written = {int(path.stem.rpartition("_")[2]) for path in self._folder.glob("gauge_live*.db")}
        for pid in written - running:
            mark_process_dead(pid, str(self._folder))  # type: ignore[no-untyped-call]  # theirs is untyped
