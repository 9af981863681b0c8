"""The schedule: build a release in every batch window, and compact the journal every hour.

A scheduled build is `beforehand run` in its own process: the language model's memory is freed when it ends, and a
crash does not take the scheduler down. Builds run one at a time: Prefect's concurrency limit delays a late one, and
the lease on the build refuses a second one from anywhere else.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

from prefect import flow, serve
from prefect.flows import EntrypointType
from prefect.runner import Runner
from prefect.schedules import Cron

from flows.compact_journal import compact_journal
from flows.errors import ScheduledRunError
from flows.settings import ScheduleSettings

_LAST_LINES = 5


@flow(name="scheduled_build", persist_result=False)
def scheduled_build(config: str) -> str:
    """Run `beforehand run` and return its last line.

    Raises:
        ScheduledRunError: the build ended with an error.
    """
    command = [sys.executable, "-P", "-m", "beforehand", "--config", config, "run"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=Path(config).parent, check=False)
    said = (ended.stderr + ended.stdout).strip().splitlines()
    if ended.returncode:
        raise ScheduledRunError("\n".join(said[-_LAST_LINES:]))
    return said[-1] if said else ""


def keep_schedule(config: Path, settings: ScheduleSettings, data: Path, history: dict[str, object]) -> None:
    """Register both flows with the Prefect server and run them on schedule until stopped."""
    build = scheduled_build.to_deployment(
        name="window",
        parameters={"config": str(config.resolve())},
        schedule=Cron(settings.cron, timezone=settings.timezone),
        concurrency_limit=1,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    compaction = compact_journal.to_deployment(
        name="hourly",
        parameters={"data": str(data.resolve()), "settings": history},
        schedule=Cron(settings.compact_cron, timezone=settings.timezone),
        concurrency_limit=1,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    data.mkdir(parents=True, exist_ok=True)
    # Prefect imports a flow from the working folder first, where a user may have packages of our names.
    with chdir(data), _ended_by_sigterm():
        serve(build, compaction, print_starting_message=False)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Make SIGTERM end the loop like Ctrl-C; Prefect's own handler stops it halfway, with pages of errors."""

    def interrupt(*_: object) -> None:
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler):
            handler(signal.SIGINT, None)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a shell ignores it
    before, Runner.handle_sigterm = Runner.handle_sigterm, interrupt
    try:
        yield
    except KeyboardInterrupt:
        return
    finally:
        Runner.handle_sigterm = before
