"""Following what others write into the data folder, for as long as the service runs.

Each thing is looked at on its own: whatever goes wrong with one holds up no other and never ends the following. A
withdrawal has to take effect though a release can't be opened, and the next release though this one can't.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from online.telemetry.throttled_log import ThrottledLog

_log = logging.getLogger("beforehand.following")


class Following:
    """Looks at several things in the order of `steps`; `on_failure` is told the name of one that failed."""

    def __init__(
        self, steps: Mapping[str, Callable[[], Awaitable[None] | None]], on_failure: Callable[[str], None]
    ) -> None:
        self._steps = steps
        self._on_failure = on_failure
        self._failures: dict[str, str] = {}
        self._logs = {name: ThrottledLog(_log) for name in steps}

    @property
    def failure(self) -> str | None:
        """What can't be followed at the moment, and why."""
        return "; ".join(self._failures.values()) or None

    async def run(self, seconds: float) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(seconds)
            await self.look()

    async def look(self) -> None:
        """Look at each once."""
        for name, step in self._steps.items():
            try:
                outcome = step()
                if outcome is not None:
                    await outcome
            except Exception as error:  # none is known that should end the following
                self._failed(name, error)
            else:
                if self._failures.pop(name, None):
                    _log.info("%s can be followed again", name)

    def _failed(self, name: str, error: Exception) -> None:
        self._failures[name] = f"{name} can't be followed: {type(error).__name__}: {error}"
        self._logs[name](logging.ERROR, "%s", self._failures[name], fault=error)
        self._on_failure(name)
