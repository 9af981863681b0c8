"""The watch over a build while it runs: shows its progress in Prefect, and notices that it was cancelled there.

It is a thread, since the stages keep the main one. Prefect tells a process that it was cancelled only if Prefect
itself started it; this way any build can be cancelled on the page.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

from batch import progress
from flows.reporting.run_states import prefect_client

_SECONDS = 3.0


class Watch:
    """What the thread knows: whether the flow run was cancelled in Prefect."""

    def __init__(self, run: UUID) -> None:
        self._run = run
        self._stopped = threading.Event()
        self._shown: tuple[float, str] = (-1.0, "")
        self._artifact: UUID | None = None
        self.cancelled = False

    def stop(self) -> None:
        """End the thread soon."""
        self._stopped.set()

    def watch(self) -> None:
        """Look every few seconds until stopped; a server that does not answer is asked again."""
        with suppress(Exception), prefect_client() as client:
            while not self._stopped.wait(_SECONDS):
                with suppress(Exception):
                    self._look(client)

    def _look(self, client: SyncPrefectClient) -> None:
        state = client.read_flow_run(self._run).state
        if state is not None and (state.is_cancelling() or state.is_cancelled()) and not self.cancelled:
            self.cancelled = True
            os.kill(os.getpid(), signal.SIGTERM)
        self._show(client)

    def _show(self, client: SyncPrefectClient) -> None:
        now = (round(progress.percent(), 1), " ".join(progress.describe().split()))
        if now == self._shown:
            return
        if self._artifact is None:
            made = client.create_artifact(
                ArtifactCreate(type="progress", key="progress", data=now[0], description=now[1], flow_run_id=self._run)
            )
            self._artifact = UUID(str(made.id))
        else:
            client.update_artifact(self._artifact, ArtifactUpdate(data=now[0], description=now[1]))
        self._shown = now

    def finish(self, description: str) -> None:
        """Show that all is done; nothing is shown of a build that was over before the first look."""
        if self._artifact is not None:
            with suppress(Exception), prefect_client() as client:
                client.update_artifact(self._artifact, ArtifactUpdate(data=100.0, description=description))


@contextmanager
def watching(run: UUID) -> Iterator[Watch]:
    """Watch over the build of a flow run during the block."""
    watch = Watch(run)
    thread = threading.Thread(target=watch.watch, name="build-watch", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.stop()
