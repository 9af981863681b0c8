"""Follow: small releases while the day goes on, as soon as documents or visitors' questions are new.

A build is `beforehand run` in a process of its own, under the same audit. It begins when nothing more has changed for a
while, when no other build runs, and as far as the hour's budget goes. One that fails is tried again, after twice as
long each time. The nightly build does the rest, and what it has read counts as covered. Of machines that follow one
store, each looks; who has the turn builds, and notes for the others what the release covers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from flows.command import Ended
from flows.errors import FollowedAlreadyError
from flows.ledger import PUBLISHED
from flows.news import Lookout, Seen, note_covered, read_covered
from flows.settings import FollowSettings
from rag.errors import BeforehandError
from warehouse.durable import storage_errors
from warehouse.errors import BuildInProgressError
from warehouse.history.run_log import logged_runs
from warehouse.lease import Lease
from warehouse.objects.mirror import mirror_of
from warehouse.objects.store_lease import FOLLOW_TURN, StoreLease
from warehouse.releases.build_lease import refuse_second_build
from warehouse.releases.release import current_id
from warehouse.tables import RunRow

FOLLOW = "follow"
"""What the run log and Prefect say of such a build's trigger."""

_WAITING = "news wait for the build that is running"
_PATIENCE = 10  # times `settle_seconds`, with changes all the time
_FIRST_PAUSE, _LONGEST_PAUSE = 30.0, 3600.0  # seconds after a build that failed
_HOUR = timedelta(hours=1)

Say = Callable[[str], None]
StartBuild = Callable[[int | None], Ended]
"""Builds a release within so many tokens."""


@dataclass
class Pace:
    """When a build is due, by any clock in seconds; `elsewhere` is what another machine's release covers."""

    settle_seconds: float
    covered: Seen | None
    elsewhere: Seen | None = None
    _last: Seen | None = None
    _changed: float = 0.0
    _begun: float | None = None
    _failures: int = 0
    _not_before: float = 0.0

    def is_due(self, seen: Seen, now: float) -> bool:
        """Whether there are news that have settled, and no pause after a failure."""
        if not self.news(seen):
            self._begun = None
            return False
        if self._begun is None:
            self._begun = now
        if seen != self._last:
            self._last, self._changed = seen, now
        settled = now - self._changed >= self.settle_seconds or now - self._begun >= _PATIENCE * self.settle_seconds
        return settled and now >= self._not_before

    def news(self, seen: Seen) -> list[str]:
        """Return in words what neither a release of this machine nor another's covers."""
        if self.elsewhere is not None and not seen.news(self.elsewhere):
            return []
        return seen.news(self.covered or self.elsewhere)

    def published(self, seen: Seen) -> None:
        """Note that a release covers what was seen."""
        self.covered, self._begun, self._failures = seen, None, 0

    def failed(self, now: float) -> float:
        """Note that a build failed; return the seconds until the next."""
        pause: float = min(_FIRST_PAUSE * 2.0**self._failures, _LONGEST_PAUSE)
        self._failures, self._not_before = self._failures + 1, now + pause
        return pause


@dataclass(frozen=True)
class Budget:
    """What the builds of the last hour have taken of the settings' limits."""

    settings: FollowSettings
    runs: list[RunRow] = field(default_factory=list)

    @classmethod
    def read(cls, data: Path, settings: FollowSettings, now: datetime) -> Budget:
        """Read the run log."""
        runs = [run for run in _runs(data) if run["trigger"] == FOLLOW and run["started_at"] > now - _HOUR]
        return cls(settings, runs)

    @property
    def tokens_left(self) -> int | None:
        """How many tokens the next build may spend; None without a limit."""
        if self.settings.tokens_an_hour is None:
            return None
        return self.settings.tokens_an_hour - sum(run["prompt_tokens"] + run["completion_tokens"] for run in self.runs)

    def refusal(self) -> str | None:
        """Return why no build may begin, in a sentence; None if one may."""
        left = self.tokens_left
        builds = len(self.runs) >= self.settings.builds_an_hour
        if not builds and (left is None or left > 0):
            return None
        until = min(run["started_at"] for run in self.runs) + _HOUR
        spent = f"{len(self.runs)} builds" if builds else f"{self.settings.tokens_an_hour:,} tokens"
        return f"news wait until {until:%H:%M} UTC at least: the hour's {spent} are spent"


def _runs(data: Path) -> list[RunRow]:
    return cast("list[RunRow]", logged_runs(data))


class _Following:
    """One project that is followed."""

    def __init__(self, data: Path, settings: FollowSettings, lookout: Lookout, build: StartBuild, say: Say) -> None:
        self._data = data
        self._settings = settings
        self._lookout = lookout
        self._build = build
        self._say = say
        self._said = ""
        self._pace = Pace(settings.settle_seconds, read_covered(data))
        self._seen: tuple[Seen, datetime] | None = None
        self._unnoted: Seen | None = None

    def step(self) -> None:
        """Look once, and build if that is due."""
        try:
            self._step(datetime.now(UTC))
        except BeforehandError as error:  # a store that is away for a while
            self._say_once(f"{error}; it is tried again")

    def _step(self, began: datetime) -> None:
        self._note()
        seen = self._lookout.look()
        self._pace.elsewhere = read_covered(self._data)
        if self._seen is None or self._seen[0] != seen:
            self._seen = seen, began
        if self._pace.news(seen) and self._was_covered(self._seen[1]):
            self._publish(seen)
        if self._pace.is_due(seen, time.monotonic()):
            refusal = self._hindrance() or Budget.read(self._data, self._settings, began).refusal()
            if refusal:
                self._say_once(refusal)
            else:
                self._take_turn(seen)
        elif self._said == _WAITING and not self._pace.news(seen):
            self._say_once(f"release {current_id(self._data)} covers what is new")

    def _was_covered(self, since: datetime) -> bool:
        """Whether somebody else's build has read what has been there since."""
        return any(
            run["status"] == PUBLISHED and run["trigger"] != FOLLOW and run["started_at"] > since
            for run in _runs(self._data)
        )

    def _hindrance(self) -> str | None:
        try:
            refuse_second_build(self._data)
        except BuildInProgressError:
            return _WAITING
        return None

    def _take_turn(self, seen: Seen) -> None:
        """Build, unless another machine does, or has since the look."""
        try:
            with _turn(self._data):
                self._pace.elsewhere = read_covered(self._data)
                if news := self._pace.news(seen):
                    self._release(seen, news)
        except BuildInProgressError:
            self._say_once(_WAITING)

    def _release(self, seen: Seen, news: list[str]) -> None:
        self._say(f"{'; '.join(news)}: building")
        self._said = ""
        ended = self._build(Budget.read(self._data, self._settings, datetime.now(UTC)).tokens_left)
        if ended.code == 0:
            self._say(ended.said)
            self._publish(seen)
        else:
            pause = self._pace.failed(time.monotonic())
            self._say(f"no release: {ended.sentence} The next try is in {pause:.0f} s.")

    def _publish(self, seen: Seen) -> None:
        self._pace.published(seen)
        self._unnoted = seen
        self._note()

    def _note(self) -> None:
        """Note what is covered and not noted yet; what a store that is away does not take, the next step notes."""
        if self._unnoted is not None:
            note_covered(self._data, self._unnoted)
            self._unnoted = None

    def _say_once(self, line: str) -> None:
        if line != self._said:
            self._say(line)
            self._said = line


def follow(data: Path, settings: FollowSettings, lookout: Lookout, build: StartBuild, say: Say) -> None:
    """Follow a project until interrupted.

    Raises:
        FollowedAlreadyError: another process does.
    """
    with _alone(data):
        following = _Following(data, settings, lookout, build, say)
        while True:
            following.step()
            time.sleep(settings.poll_seconds)


@contextmanager
def _turn(data: Path) -> Iterator[None]:
    """Hold the turn among the machines that follow one store; a folder has one follower, whose turn it always is.

    Raises:
        BuildInProgressError: another machine has it.
    """
    mirror = mirror_of(data)
    lease = None if mirror is None else StoreLease.acquire(mirror, FOLLOW, key=FOLLOW_TURN)
    try:
        yield
    finally:
        if lease is not None:
            lease.release()


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    with storage_errors(data, "follow the project"):
        data.mkdir(parents=True, exist_ok=True)
    try:
        lease = Lease.acquire(data / ".followed", FOLLOW)
    except BuildInProgressError:
        raise FollowedAlreadyError(f"another `beforehand follow` follows {data}; stop it first") from None
    try:
        yield
    finally:
        lease.release()
