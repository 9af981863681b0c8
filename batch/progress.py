"""The progress display: the stage, how much is done, how fast, and how long it will take.

The stages report to one tracker of this process; a display reads it twice a second. What workers elsewhere have done
comes from Beam's metrics (`batch.runners.job_progress`), if the runner tells them while it works. The time left is
estimated from the last minute, so that an engine's slow start does not distort it.
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.text import Text

_WINDOW = 60.0  # seconds


@dataclass
class _Tracker:
    stage: str = ""
    doing: str = ""
    total: int = 0
    unit: str = ""
    done: int = 0
    tokens: int = 0
    started: float = 0.0
    console: Console | None = None
    marks: collections.deque[tuple[float, int, int]] = field(default_factory=collections.deque)
    lock: threading.Lock = field(default_factory=threading.Lock)


_tracker = _Tracker()


def enter(stage: str, doing: str) -> None:
    """Report that a stage begins; `doing` says for a person what it does."""
    with _tracker.lock:
        _tracker.stage, _tracker.doing, _tracker.total, _tracker.unit = stage, doing, 0, ""
        _tracker.done = _tracker.tokens = 0
        _tracker.started = time.monotonic()
        _tracker.marks.clear()


def expect(doing: str, total: int, unit: str) -> None:
    """Report how much the stage has to do."""
    with _tracker.lock:
        _tracker.doing, _tracker.total, _tracker.unit = doing, total, unit
        _tracker.done = _tracker.tokens = 0
        _tracker.marks.clear()
        _tracker.marks.append((time.monotonic(), 0, 0))


def advance(done: int, tokens: int = 0) -> None:
    """Report that `done` more units are done, and how many tokens they took."""
    from batch.runners.job_progress import count  # loads Beam, which whoever has units done has loaded

    count(done, tokens)
    with _tracker.lock:
        _tracker.done += done
        _tracker.tokens += tokens
        _tracker.marks.append((time.monotonic(), _tracker.done, _tracker.tokens))
        _forget_old_marks()


def _forget_old_marks() -> None:
    while len(_tracker.marks) > 2 and _tracker.marks[-1][0] - _tracker.marks[0][0] > _WINDOW:
        _tracker.marks.popleft()


def observe(done: int, tokens: int) -> None:
    """Report how much is done in all, as workers elsewhere have counted it."""
    with _tracker.lock:
        if done > _tracker.done:
            _tracker.done, _tracker.tokens = done, tokens
            _tracker.marks.append((time.monotonic(), done, tokens))
            _forget_old_marks()


def leave(stage: str, figures: Mapping[str, int], seconds: float) -> None:
    """Report that a stage is done, as one line that stays on the terminal."""
    with _tracker.lock:
        _tracker.stage = _tracker.doing = ""
        _tracker.total = 0
    if _tracker.console is not None:
        _tracker.console.print(
            f"{stage:<11} {describe_figures(figures)}", end="", highlight=False, markup=False, soft_wrap=True
        )
        _tracker.console.print(f"  {_clock(seconds)}", style="dim", highlight=False, soft_wrap=True)


def warn(sentences: Sequence[str]) -> None:
    """Print sentences that a person should read, above the stages to come."""
    if _tracker.console is not None:
        for each in sentences:
            _tracker.console.print(
                f"{'warning':<11} {each}", style="yellow", highlight=False, markup=False, soft_wrap=True
            )


def describe_figures(figures: Mapping[str, int]) -> str:
    """Return figures in words, without zeros: "79 documents, 847 chunks"."""
    return ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in figures.items() if value) or "done"


def describe(now: float | None = None) -> str:
    """Return one line about the current stage: done, rate, time left."""
    with _tracker.lock:
        now = time.monotonic() if now is None else now
        line = f"{_tracker.stage:<11} {_tracker.doing}"
        if not _tracker.total:
            return f"{line} · {_clock(now - _tracker.started)}"
        line = f"{_tracker.stage:<11} {_tracker.done} of {_tracker.total} {_tracker.unit}"
        if not _tracker.done:
            return f"{line} · {_tracker.doing} · {_clock(now - _tracker.started)}"
        since, done, tokens = _tracker.marks[0]
        elapsed = max(now - since, 1e-3)
        rate = (_tracker.done - done) / elapsed
        if _tracker.tokens:
            line += f" · {(_tracker.tokens - tokens) / elapsed:.0f} tokens/s"
        left = (_tracker.total - _tracker.done) / rate if rate > 0 else 0.0
        return f"{line} · {_clock(left)} left" if left >= 1 else f"{line} · {_clock(now - _tracker.started)}"


def percent() -> float:
    """Return how much of the current stage is done, from 0 to 100; 0 if it does not say."""
    with _tracker.lock:
        return 100.0 * _tracker.done / _tracker.total if _tracker.total else 0.0


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class _Line:
    def __rich__(self) -> Text:
        return Text(describe(), no_wrap=True, overflow="ellipsis")


@contextmanager
def display(console: Console) -> Iterator[None]:
    """Show progress while the block runs: a live line in a terminal, and one line per finished stage."""
    _tracker.console = console
    try:
        if console.is_terminal:
            with Live(_Line(), console=console, refresh_per_second=2, transient=True):
                yield
        else:
            yield
    finally:
        _tracker.console = None
