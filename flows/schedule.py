"""The schedule: build a release in every batch window, and compact the journal every hour.

A scheduled build is `beforehand run` in its own process: the language model's memory is freed when it ends, and a
crash does not take the scheduler down. Builds run one at a time: Prefect's concurrency limit delays a late one, and
the lease on the build refuses a second one from anywhere else.
"""

from __future__ import annotations

import re
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
from rag.errors import EXIT_WAITING


@flow(name="scheduled_build", persist_result=False)
def scheduled_build(config: str) -> str:
    """Run `beforehand run` and return its last line, or what it waits for.

    Its settings come from the file and from the environment.

    Raises:
        ScheduledRunError: the build ended with an error; it quotes the sentence that the command line ends with.
    """
    command = [sys.executable, "-P", "-m", "beforehand", "--config", config, "run"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=Path(config).parent, check=False)
    if ended.returncode == EXIT_WAITING:
        return _sentence(ended.stderr)
    if ended.returncode:
        sys.stderr.write(ended.stderr)
        raise ScheduledRunError(_sentence(ended.stderr) or f"the build ended with code {ended.returncode}; see the log")
    return (ended.stdout.strip().splitlines() or [""])[-1]


def _sentence(said: str) -> str:
    """Return the command line's own sentence at the end of its output, or ""; what packages print stays outside."""
    *_, sentence = ["", *re.split(r"^beforehand: ", said, flags=re.MULTILINE)[1:]]
    return sentence.strip()


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
