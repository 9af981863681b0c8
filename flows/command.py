"""A command of ours as the child process of a scheduled flow: what it says is the flow's log, and it ends with it.

The language model's memory is freed when it ends, and a crash does not take the scheduler down.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from batch.child_process import PARENT
from flows.errors import ScheduledRunError
from flows.reporting.logs import say

_PATIENCE = 20.0  # seconds to end by itself; Prefect kills us after 30
_MOST_LINES = 2000
_OF_PREFECT = "\n--- Error logging to API ---"


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, negative for a signal, and all that it printed."""

    code: int
    said: str
    complaints: str

    @property
    def sentence(self) -> str:
        """The command line's own sentence at the end of its output; what packages print stays outside."""
        marked = re.split(r"^beforehand: ", self.complaints, flags=re.MULTILINE)
        if len(marked) == 1:  # what Prefect says of a server that fails has no line end
            marked = self.complaints.split("beforehand: ")
        sentence = marked[-1].partition(_OF_PREFECT)[0].strip() if len(marked) > 1 else ""
        return sentence or f"the command ended with code {self.code}; see the log"


def run_command(config: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Ended:
    """Run `beforehand ARGUMENTS` to its end; its settings come from the file and from the environment."""
    with command(config, *arguments, environment=environment) as child:
        return child.wait()


def told(ended: Ended) -> str:
    """Return what a command printed.

    Raises:
        ScheduledRunError: it ended with an error; the message is its sentence.
    """
    if ended.code:
        raise ScheduledRunError(ended.sentence)
    return ended.said


class Command:
    """A command that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._complaints: list[str] = []
        self._said: list[str] = []
        self._readers = [
            threading.Thread(target=self._keep, args=(process.stdout, self._said), daemon=True),
            threading.Thread(target=self._keep, args=(process.stderr, self._complaints), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _keep(stream: Iterator[str], lines: list[str]) -> None:
        for line in stream:
            lines.append(line)
            del lines[:-_MOST_LINES]

    def wait(self, tell: Callable[[str], None] = say) -> Ended:
        """Pass its lines on, by default to the flow's log, until it has ended."""
        passed = 0
        while True:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)
            ended = self._process.returncode is not None
            if ended:
                for reader in self._readers:
                    reader.join()
            for line in self._complaints[passed:]:
                tell(line.rstrip())
            passed = len(self._complaints)
            if ended:
                return Ended(self._process.returncode, "".join(self._said).strip(), "".join(self._complaints))

    def stop(self) -> None:
        """End it and what it started: with SIGTERM first, then SIGKILL."""
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_PATIENCE)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def command(config: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Command]:
    """Start `beforehand ARGUMENTS` for the block; it is stopped if it still runs at the end."""
    # What Prefect tells the flow's own process is none of the child's business.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT__")}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "beforehand", "--config", config, *arguments],
        env={**inherited, PARENT: str(os.getpid()), **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        cwd=Path(config).parent,
        start_new_session=True,  # Ctrl-C reaches it through us
    )
    child = Command(process)
    try:
        yield child
    finally:
        child.stop()
