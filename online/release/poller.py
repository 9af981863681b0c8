"""Polls what others write into the data folder, for as long as the service runs.

Each step stands alone: one that fails neither holds up the others nor ends the polling. A withdrawal must take effect
even while a release can't be opened, and the next release even if this one can't.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from online.telemetry.throttled_log import ThrottledLog

_log = logging.getLogger("beforehand.following")


class Poller:
    """Runs `steps` in order, again and again; `on_failure` gets the name of one that failed."""

    def __init__(
        self, steps: Mapping[str, Callable[[], Awaitable[None] | None]], on_failure: Callable[[str], None]
    ) -> None:
        self._steps = steps
        self._on_failure = on_failure
        self._failures: dict[str, str] = {}
        self._logs = {name: ThrottledLog(_log) for name in steps}

    @property
    def failure(self) -> str | None:
        """The steps that fail at the moment, and why."""
        return "; ".join(self._failures.values()) or None

    async def run(self, seconds: float) -> None:
        """Run all steps every `seconds`."""
        while True:
            await asyncio.sleep(seconds)
            await self.look()

    async def look(self) -> None:
        """Run each step once."""
        for name, step in self._steps.items():
            try:
                outcome = step()
                if outcome is not None:
                    await outcome
            except Exception as error:  # no error of a step may end the polling
                self._failed(name, error)
            else:
                if self._failures.pop(name, None):
                    _log.info("%s can be followed again", name)

    def _failed(self, name: str, error: Exception) -> None:
        self._failures[name] = f"{name} can't be followed: {type(error).__name__}: {error}"
        self._logs[name](logging.ERROR, "%s", self._failures[name], fault=error)
        self._on_failure(name)
