"""Single-flight: identical questions in flight share one call.

A flight is a task that produces an opening (what the headers need), then pieces, then its result. A caller that joins
late gets the earlier pieces first. The task belongs to no single caller: it is cancelled when the last one has left,
which frees its place at the language model.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Opening = TypeVar("Opening")
Piece = TypeVar("Piece")
Result = TypeVar("Result")


class Flight(Generic[Opening, Piece, Result]):
    """A shared call."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.opening: asyncio.Future[Opening] = loop.create_future()
        self.result: asyncio.Future[Result] = loop.create_future()
        self._pieces: list[Piece] = []
        self._changed = asyncio.Event()
        self.passengers = 0
        self.task: asyncio.Task[None] | None = None

    def open(self, opening: Opening) -> None:
        """Announce what kind of answer is coming."""
        self.opening.set_result(opening)

    def push(self, piece: Piece) -> None:
        """Add a piece."""
        self._pieces.append(piece)
        self._wake()

    def land(self, result: Result) -> None:
        """End with a result."""
        self.result.set_result(result)
        self._wake()

    def crash(self, error: BaseException) -> None:
        """End with an error, in the opening if there is none yet, and in the result."""
        for future in (self.opening, self.result):
            if isinstance(error, asyncio.CancelledError):
                future.cancel()
            elif not future.done():
                future.set_exception(error)
                future.exception()  # mark as seen: there may be no caller left
        self._wake()

    async def follow(self) -> AsyncIterator[Piece]:
        """Yield all pieces from the first on, until the flight has ended."""
        seen = 0
        while True:
            while seen < len(self._pieces):
                seen += 1
                yield self._pieces[seen - 1]
            if self.result.done():
                return
            await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class SingleFlight(Generic[Opening, Piece, Result]):
    """The flights under way, by key."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, Flight[Opening, Piece, Result]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def under_way(self) -> list[Flight[Opening, Piece, Result]]:
        """Return the flights that are under way."""
        return list(self._flights.values())

    @contextlib.asynccontextmanager
    async def join(
        self, key: Hashable, produce: Callable[[Flight[Opening, Piece, Result]], Awaitable[None]]
    ) -> AsyncIterator[tuple[Flight[Opening, Piece, Result], bool]]:
        """Join the flight of a key, or start it; the flag says whether it was already under way."""
        flight = self._flights.get(key)
        joined = flight is not None
        if flight is None:
            flight = self._flights[key] = Flight()
            flight.task = asyncio.create_task(self._fly(key, flight, produce))
        flight.passengers += 1
        try:
            yield flight, joined
        finally:
            flight.passengers -= 1
            if flight.passengers == 0 and flight.task is not None and not flight.task.done():
                self._forget(key, flight)
                flight.task.cancel()

    async def _fly(
        self,
        key: Hashable,
        flight: Flight[Opening, Piece, Result],
        produce: Callable[[Flight[Opening, Piece, Result]], Awaitable[None]],
    ) -> None:
        try:
            await produce(flight)
        except asyncio.CancelledError as error:
            flight.crash(error)
            raise
        except Exception as error:  # each caller raises it
            flight.crash(error)
        finally:
            self._forget(key, flight)

    def _forget(self, key: Hashable, flight: Flight[Opening, Piece, Result]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
