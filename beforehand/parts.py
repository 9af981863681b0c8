"""The parts of `up`: processes of ours that start together, say where they are, and end together.

Nothing is restarted: whoever wants that has systemd or Kubernetes. A part dies with us, however we end.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from batch.child_process import PARENT
from rag.errors import BeforehandError

_STOP_SECONDS = 40.0  # a build under the schedule has 20 to end
_POLL_SECONDS = 0.25
_BURST, _WINDOW = 20, 5.0  # lines of one part on the terminal within so many seconds
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_OWN_PREFIX = "beforehand: "

Say = Callable[[str], None]


class PartEndedError(BeforehandError):
    """A part ended although nobody stopped it."""


@dataclass(frozen=True)
class Part:
    """A command, what it is for a person, the line in which it says its address, and what answers when it is well."""

    name: str
    what: str
    arguments: tuple[str, ...]
    address: str
    health: str


class RunningPart:
    """A part that was started; all it says goes to its log, and to the terminal as long as it is not too much."""

    def __init__(self, part: Part, process: subprocess.Popen[str], log: Path, say: Say) -> None:
        self.part = part
        self.process = process
        self.log = log
        self.url: str | None = None
        self.last_line = ""
        self._say = say
        assert process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, lines: TextIO) -> None:
        limit = _Limit()
        with self.log.open("w", encoding="utf-8") as log:
            for line in lines:
                log.write(line)
                log.flush()
                text = line.rstrip()
                self.last_line = text or self.last_line
                if self.url is None and (found := re.search(self.part.address, text)):
                    self.url = found[1]
                left_out = limit.left_out(time.monotonic())
                if left_out:
                    self._say(f"{self.part.name:<9}| … {left_out} more lines are in {self.log}")
                if limit.allows(time.monotonic()):
                    self._say(f"{self.part.name:<9}| {text}")

    def is_well(self) -> bool:
        """Whether it answers."""
        if self.url is None:
            return False
        with (
            suppress(OSError, ValueError, urllib.error.URLError),
            _DIRECTLY.open(f"{self.url}{self.part.health}", timeout=2),
        ):
            return True
        return False

    def refuse_ended(self) -> None:
        """Do nothing while it runs.

        Raises:
            PartEndedError: it has ended; the message has its last line.
        """
        code = self.process.poll()
        if code is not None:
            self._reader.join(5)
            how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
            last = self.last_line.removeprefix(_OWN_PREFIX) or "it said nothing"
            raise PartEndedError(
                f"{self.part.name} ended by itself ({how}): {last}; the others were stopped (log: {self.log})"
            )


class _Limit:
    """How many lines a part may show: a burst within a window; the others are counted."""

    def __init__(self) -> None:
        self._began = -_WINDOW
        self._shown = self._dropped = 0

    def allows(self, now: float) -> bool:
        """Whether one more line may be shown."""
        if now - self._began >= _WINDOW:
            self._began, self._shown = now, 0
        self._shown += 1
        self._dropped += self._shown > _BURST
        return self._shown <= _BURST

    def left_out(self, now: float) -> int:
        """Return how many lines were not shown, once the window is over."""
        if not self._dropped or now - self._began < _WINDOW:
            return 0
        dropped, self._dropped = self._dropped, 0
        return dropped


@contextmanager
def running_parts(parts: Sequence[Part], config: Path, logs: Path, say: Say) -> Iterator[list[RunningPart]]:
    """Start the parts for the block, and stop all of them at its end."""
    logs.mkdir(parents=True, exist_ok=True)
    running: list[RunningPart] = []
    try:
        running.extend(_start(part, config, logs / f"{part.name}.log", say) for part in parts)
        yield running
    finally:
        _stop([each.process for each in running])


def wait_until_well(running: Sequence[RunningPart]) -> None:
    """Wait until every part answers.

    Raises:
        PartEndedError: one has ended.
    """
    waiting = list(running)
    while waiting:
        for each in running:
            each.refuse_ended()
        waiting = [each for each in waiting if not each.is_well()]
        time.sleep(_POLL_SECONDS)


def wait_until_ended(running: Sequence[RunningPart]) -> None:
    """Wait until a part ends.

    Raises:
        PartEndedError: one has ended.
    """
    while True:
        for each in running:
            each.refuse_ended()
        time.sleep(_POLL_SECONDS)


def _start(part: Part, config: Path, log: Path, say: Say) -> RunningPart:
    process = subprocess.Popen(
        [sys.executable, "-P", "-u", "-m", "beforehand", "--config", str(config), *part.arguments],
        env={**os.environ, PARENT: str(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C reaches a part through us
    )
    return RunningPart(part, process, log, say)


def _stop(processes: Sequence[subprocess.Popen[str]]) -> None:
    """End all at once: with SIGTERM, then with SIGKILL for them and what they started."""
    for each in processes:
        with suppress(ProcessLookupError):
            each.terminate()
    deadline = time.monotonic() + _STOP_SECONDS
    for each in processes:
        with suppress(subprocess.TimeoutExpired):
            each.wait(max(0.0, deadline - time.monotonic()))
        with suppress(ProcessLookupError):
            os.killpg(each.pid, signal.SIGKILL)
        each.wait()
