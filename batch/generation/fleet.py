"""A fleet of servers of one model: each prompt goes to a server that has a place, and none is lost.

The prompt's first passage decides first: it goes where that passage went before, since the keys and values are in that
server's cache, unless the server is full. Else it goes to the one with the fewest requests outstanding. Failures count
against both: a server that fails opens its circuit (`batch.generation.fleet_member`), and a prompt that fails again and
again on servers that answer otherwise is refused. When no prompt is left to send, those that wait for a slow server are
asked of a quick one too, and the first answer counts. An engine in this process is a fleet of one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from itertools import islice

from batch.generation.fleet_member import START, Member, at_its_gate
from rag.errors import LlmError, LlmRefusedError, LlmUnavailableError
from rag.llm.protocol import Completion, Llm, Message, Sampling

TRIES = 4  # of a prompt: so many servers, or all that are well, have failed with it
_DOUBTS = 3  # failures of a prompt that its server did not survive
_PAUSE, _LONGEST_PAUSE = 0.1, 1.0  # seconds, doubled with each try, before a server gets a prompt that it failed with

_LOOKAHEAD = 64  # prompts that wait, among which a server is given one whose passage it has seen
_HOMES = 4096  # first passages whose servers are remembered
_PATIENCE = 9  # failed probes of each server before a fleet that has answered is given up: a minute
_SLOW = 2.0  # times what an answer takes elsewhere


@dataclass(eq=False)
class _Call:
    """A prompt until its outcome: how often it failed, and the servers that have it now, since when."""

    messages: list[Message]
    sampling: Sampling
    prefix: str
    outcome: asyncio.Future[Completion]
    tries: int = 0
    doubts: int = 0
    failed_at: set[Member] = field(default_factory=set)
    running: dict[Member, float] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def settle(self, outcome: Completion | Exception) -> None:
        """Give the outcome, unless there is one."""
        if self.outcome.done():
            return
        if isinstance(outcome, Exception):
            self.outcome.set_exception(outcome)
        else:
            self.outcome.set_result(outcome)


class Fleet:
    """Several servers as one. `places` is how many requests each may have at once.

    `slow_start` begins with a few; `patience` is how many probes may fail before a fleet that has never answered is
    given up.
    """

    def __init__(
        self,
        llms: Sequence[Llm],
        places: int,
        time_limit: float | None = None,
        *,
        slow_start: bool = True,
        patience: int = 3,
    ) -> None:
        start = min(START, places) if slow_start else places
        self._members = [Member(llm, places, start, time_limit) for llm in llms]
        self._patience = patience
        self._waiting: deque[tuple[_Call, asyncio.Future[Member]]] = deque()
        self._homes: OrderedDict[str, Member] = OrderedDict()
        self._calls: dict[_Call, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._recovering: set[Member] = set()
        self._given_up: LlmUnavailableError | None = None

    @property
    def window(self) -> int:
        """How many prompts to hand over at once: those in flight, and as many that wait for the right server."""
        return sum(member.places for member in self._members) * min(2, len(self._members))

    async def complete(self, messages: list[Message], sampling: Sampling, prefix: str = "") -> Completion:
        """Answer one chat; prompts with the same `prefix` go to the same server, as far as its places reach.

        Raises:
            LlmRefusedError: the prompt is refused, or fails wherever it is tried.
            LlmMisconfiguredError: a server rejects the key, or doesn't know the model.
            LlmUnavailableError: no server answers.
        """
        call = _Call(messages, sampling, prefix, asyncio.get_running_loop().create_future())
        self._calls[call] = None
        self._start(self._serve(call), call)
        try:
            return await call.outcome
        finally:
            del self._calls[call]
            for task in call.tasks:
                task.cancel()

    def finishing(self) -> None:
        """Say that no further prompt comes: what waits for a slow server is asked of a quick one too."""
        if len(self._members) > 1:
            self._start(self._chase())

    async def aclose(self) -> None:
        """End what still runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[object, object, None], call: _Call | None = None) -> None:
        task = asyncio.create_task(work)
        for tasks in (self._tasks, *([call.tasks] if call else [])):
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    # -- a prompt's way ---------------------------------------------------------------------------------------------

    async def _serve(self, call: _Call) -> None:
        """Try the prompt until it has an outcome."""
        try:
            while not call.outcome.done():
                if call.tries and self._has_failed_everywhere(call):
                    await asyncio.sleep(min(_LONGEST_PAUSE, _PAUSE * 2.0**call.tries))
                await self._try(call, await self._place(call))
        except Exception as error:
            call.settle(error)

    async def _try(self, call: _Call, member: Member) -> None:
        """Ask a server that has a place taken for this prompt."""
        answered, started = member.answered, asyncio.get_running_loop().time()
        call.running[member] = started
        try:
            completion = await member.complete(call.messages, call.sampling)
        except LlmUnavailableError as error:
            await self._failed(call, member, error, answered)
        except LlmError as error:
            member.failures = 0  # it read the request, so it is well
            call.settle(error)
        else:
            member.succeeded(asyncio.get_running_loop().time() - started)
            call.settle(completion)
        finally:
            del call.running[member]
            self._leave(member)

    async def _failed(self, call: _Call, member: Member, error: LlmUnavailableError, answered: int) -> None:
        """Decide whether the server or the prompt is to blame; `answered` counts its answers before this request."""
        if member.failed(error):
            self._recover(member)
        if at_its_gate(error):
            return
        call.tries += 1
        call.failed_at.add(member)
        if call.tries < TRIES or not (self._has_failed_everywhere(call) or len(call.failed_at) >= TRIES):
            return
        if member.answered == answered and not await self._is_well(member):
            call.doubts += 1  # the server may have failed by itself, or because of this prompt
            if call.doubts < _DOUBTS:
                return
        call.settle(LlmRefusedError(f"it failed {call.tries} times, the last time so: {error}"))

    # -- the places -------------------------------------------------------------------------------------------------

    async def _place(self, call: _Call) -> Member:
        """Wait for a place at a server, and take it."""
        if self._given_up:
            raise self._given_up
        place: asyncio.Future[Member] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, place))
        self._dispatch()
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and not place.exception():
                self._leave(place.result())
            raise

    def _leave(self, member: Member) -> None:
        member.outstanding -= 1
        self._dispatch()

    def _dispatch(self) -> None:
        """Give places to prompts that wait, as long as there are both."""
        while self._waiting and (pair := self._match()):
            number, member = pair
            call, place = self._waiting[number]
            del self._waiting[number]
            if place.done():  # its caller is gone
                continue
            member.outstanding += 1
            if call.prefix and call.prefix not in self._homes:
                self._homes[call.prefix] = member
                if len(self._homes) > _HOMES:
                    self._homes.popitem(last=False)
            place.set_result(member)

    def _match(self) -> tuple[int, Member] | None:
        """Return which waiting prompt goes to which server: the first with a place at home, else the first."""
        free = [member for member in self._members if member.free]
        spill: tuple[int, Member] | None = None
        for number, (call, _) in enumerate(islice(self._waiting, _LOOKAHEAD if free else 0)):
            home = None if call.failed_at else self._homes.get(call.prefix)
            if home is not None and home.free:
                return number, home
            able = free if self._has_failed_everywhere(call) else [each for each in free if each not in call.failed_at]
            if able:
                least = min(able, key=lambda member: member.outstanding)
                if home is None:
                    return number, least
                spill = spill or (number, least)
        return spill

    def _has_failed_everywhere(self, call: _Call) -> bool:
        """Whether no server that is well is left that has not failed with this prompt."""
        return all(member.away or member in call.failed_at for member in self._members)

    # -- health -----------------------------------------------------------------------------------------------------

    async def _is_well(self, member: Member) -> bool:
        """Whether a server answers a probe; its circuit opens if not."""
        if member.away is not None:
            return False
        if await member.probe():
            return True
        self._recover(member)
        return False

    def _recover(self, member: Member) -> None:
        if member not in self._recovering:
            self._recovering.add(member)
            self._start(self._probe(member))

    async def _probe(self, member: Member) -> None:
        """Probe a server whose circuit is open until it answers; give the fleet up if none does for long."""
        try:
            while True:
                self._give_up_if_all_are_away()
                await asyncio.sleep(member.pause())
                if await member.probe():
                    break
        finally:
            self._recovering.discard(member)
        self._given_up = None
        self._dispatch()

    def _give_up_if_all_are_away(self) -> None:
        has_answered = any(member.answered for member in self._members)
        errors = []
        for member in self._members:
            patience = _PATIENCE if has_answered or (member.away and member.away.busy) else self._patience
            if member.away is None or member.probes < patience:
                return
            errors.append(member.away)
        self._given_up = next((error for error in errors if error.reached), errors[-1])  # it says more
        while self._waiting:
            place = self._waiting.popleft()[1]
            if not place.done():
                place.set_exception(self._given_up)

    # -- the end ----------------------------------------------------------------------------------------------------

    async def _chase(self) -> None:
        """Ask a quick server too for what waits long at another one."""
        while True:
            quick = min((member.seconds for member in self._members if member.seconds), default=1.0)
            await asyncio.sleep(min(0.5, max(0.005, quick / 2)))
            if not self._waiting:
                now = asyncio.get_running_loop().time()
                for call in list(self._calls):
                    self._ask_a_second(call, now)

    def _ask_a_second(self, call: _Call, now: float) -> None:
        able = [
            member
            for member in self._members
            if member.free and member.seconds and member not in call.running and member not in call.failed_at
        ]
        if len(call.running) != 1 or not able:
            return
        quickest = min(able, key=lambda member: member.seconds)
        if now - min(call.running.values()) > _SLOW * quickest.seconds:
            quickest.outstanding += 1
            self._start(self._try(call, quickest), call)
