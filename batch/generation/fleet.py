"""A fleet of servers of one model: each prompt goes to a server that has a place, and none is lost.

The prompt's first passage decides first: it goes where that passage went before, since the keys and values are in that
server's cache, unless the server is full. Else it goes to the one that would answer it soonest. When the last prompts
are being sent, a slow server gets none that the others would finish before it, and those that wait for one are asked of
a quick one too; the first answer counts. An engine in this process is a fleet of one.

A server that fails opens its circuit (`batch.generation.fleet_member`). A failure counts against a prompt only where
the server survived it: where it dies, all the prompts that it had are under suspicion, and one that was there several
times is asked alone. A prompt that fails again and again on servers that are otherwise well, or alone, is refused; the
more often servers have died without it, the more failures alone that takes.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import Coroutine, Sequence

from batch.generation.fleet_member import START, TOGETHER, Member, at_its_gate
from batch.generation.fleet_placement import Call, match
from rag.errors import LlmError, LlmRefusedError, LlmUnavailableError
from rag.llm.protocol import Completion, Llm, Message, Sampling

TRIES = 4  # of a prompt: so many servers, or all that are well, have failed with it
_ALONE, _MOST_ALONE = 3, 8  # failures of a prompt that was asked alone, one more for each death without it
_PAUSE, _LONGEST_PAUSE = 0.1, 1.0  # seconds, doubled with each try, before a server gets a prompt that it failed with

_LEAST_WINDOW = 256  # prompts at hand, so that the end of a run is seen in time
_HOMES = 4096  # first passages whose servers are remembered
_PATIENCE = 9  # failed probes of each server before a fleet that has answered is given up: a minute
_FIRST_LOOK = 0.02  # seconds between looks at what waits, before the first answer
_SLOW = 2.0  # times as long as an answer would take elsewhere


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
        self._waiting: deque[tuple[Call, asyncio.Future[Member]]] = deque()
        self._homes: OrderedDict[str, Member] = OrderedDict()
        self._calls: dict[Call, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._recovering: set[Member] = set()
        self._deaths = 0  # of servers
        self._given_up: LlmUnavailableError | None = None
        self._finishing = False

    @property
    def window(self) -> int:
        """How many prompts to hand over at once: those in flight, and as many that wait for the right server."""
        places = sum(member.places for member in self._members)
        return places if len(self._members) == 1 else max(_LEAST_WINDOW, 2 * places)

    async def complete(self, messages: list[Message], sampling: Sampling, prefix: str = "") -> Completion:
        """Answer one chat; prompts with the same `prefix` go to the same server, as far as its places reach.

        Raises:
            LlmRefusedError: the prompt is refused, or fails wherever it is tried.
            LlmMisconfiguredError: a server rejects the key, or doesn't know the model.
            LlmUnavailableError: no server answers.
        """
        call = Call(messages, sampling, prefix, asyncio.get_running_loop().create_future())
        self._calls[call] = None
        self._start(self._serve(call), call)
        try:
            return await call.outcome
        finally:
            del self._calls[call]
            for member in self._members:
                if member.reserved is call:
                    member.reserved = None
            for task in call.tasks:
                task.cancel()

    def finishing(self) -> None:
        """Say that no further prompt comes: what waits for a slow server is asked of a quick one too."""
        self._finishing = True
        if len(self._members) > 1:
            self._start(self._chase())

    async def aclose(self) -> None:
        """End what still runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[object, object, None], call: Call | None = None) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        for tasks in (self._tasks, *([call.tasks] if call else [])):
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        return task

    # -- a prompt's way ---------------------------------------------------------------------------------------------

    async def _serve(self, call: Call) -> None:
        """Try the prompt until it has an outcome."""
        try:
            while not call.outcome.done():
                if call.failed_at and call.has_failed_everywhere(self._members):
                    await asyncio.sleep(min(_LONGEST_PAUSE, _PAUSE * 2.0**call.tries))
                member = await self._place(call)
                try:
                    await self._try(call, member)
                finally:
                    self._leave(member, call)
        except Exception as error:
            call.settle(error)

    async def _try(self, call: Call, member: Member) -> None:
        """Ask a server that has a place taken for this prompt."""
        loop = asyncio.get_running_loop()
        call.running[member] = started = loop.time()
        try:
            completion = await member.complete(call.messages, call.sampling)
        except LlmUnavailableError as error:
            await self._failed(call, member, error, started)
        except LlmError as error:
            member.failures = 0  # it read the request, so it is well
            call.settle(error)
        else:
            member.succeeded(loop.time() - started, loop.time())
            call.settle(completion)
        finally:
            if call.running.get(member) == started:  # it may have been asked again while a failure was looked into
                del call.running[member]

    async def _failed(self, call: Call, member: Member, error: LlmUnavailableError, started: float) -> None:
        """Decide whether the server or the prompt is to blame for a failure of a request that `started` then."""
        if member.failed(error):
            self._recover(member)
        if at_its_gate(error):
            return
        call.failed_at.add(member)
        died = await self._died(call, member, error)
        if died and member.open(error):
            self._recover(member)
        if call.alone:
            call.failed_alone += 1
        elif not died and await self._is_otherwise_well(call, member, started):
            call.tries += 1
        else:
            call.suspicions += 1
        enough = call.tries >= TRIES and (call.has_failed_everywhere(self._members) or len(call.failed_at) >= TRIES)
        without = max(0, self._deaths - call.suspicions - call.failed_alone)
        if enough or call.failed_alone >= min(_MOST_ALONE, _ALONE + without):
            failures = call.tries + call.suspicions + call.failed_alone
            call.settle(LlmRefusedError(f"it failed {failures} times, the last time so: {error}"))

    async def _died(self, call: Call, member: Member, error: LlmUnavailableError) -> bool:
        """Whether a server seems to have died: it failed with others together, or lost the one that it had alone."""
        now = asyncio.get_running_loop().time()
        member.broke_off = member.broke_off or error.lost
        if member.lose(call, now) or (call.alone and error.lost):
            self._deaths += 1
        await asyncio.sleep(TOGETHER)
        if call.alone:
            return error.lost
        return member.lost_others(call, now) and (error.lost or member.heard <= now)

    async def _is_otherwise_well(self, call: Call, member: Member, started: float) -> bool:
        """Whether a server has answered other prompts until lately, or would, before a prompt is refused, a probe."""
        now = asyncio.get_running_loop().time()
        if member.away is None and (member.heard > (started + now) / 2 or call.tries + 1 < TRIES):
            return True
        return await self._is_well(member)

    # -- the places -------------------------------------------------------------------------------------------------

    async def _place(self, call: Call) -> Member:
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
                self._leave(place.result(), call)
            raise

    def _leave(self, member: Member, call: Call) -> None:
        if member.reserved is call:
            member.reserved = None
        member.leave(asyncio.get_running_loop().time())
        self._dispatch()

    def _dispatch(self) -> None:
        """Give places to prompts that wait, as long as there are both."""
        now = asyncio.get_running_loop().time()
        while self._waiting and (pair := match(self._waiting, self._members, self._homes, finishing=self._finishing)):
            number, member = pair
            call, place = self._waiting[number]
            del self._waiting[number]
            if place.done():  # its caller is gone
                continue
            member.enter(now)
            if call.prefix and call.prefix not in self._homes:
                self._homes[call.prefix] = member
                if len(self._homes) > _HOMES:
                    self._homes.popitem(last=False)
            place.set_result(member)

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
                if member.admit() or await member.probe():
                    break
        finally:
            self._recovering.discard(member)
        self._given_up = None
        self._dispatch()

    def _give_up_if_all_are_away(self) -> None:
        has_answered = any(member.answered for member in self._members)
        errors = []
        for member in self._members:
            was_there = member.broke_off or (member.away and member.away.busy)
            patience = _PATIENCE if has_answered or was_there else self._patience
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
            quickest = min(member.quickest for member in self._members)
            await asyncio.sleep(_FIRST_LOOK if quickest == math.inf else min(0.5, max(0.005, quickest / 4)))
            self._dispatch()
            if not self._waiting:
                now = asyncio.get_running_loop().time()
                for call in list(self._calls):
                    self._ask_a_second(call, now)

    def _ask_a_second(self, call: Call, now: float) -> None:
        able = [
            member
            for member in self._members
            if member.rate and not (member.away or member in call.running or member in call.failed_at)
        ]
        if len(call.running) != 1 or not able or call.alone:
            return
        quickest = min(able, key=Member.finishes_in)
        ((member, since),) = call.running.items()
        if quickest.free and member.left_of(now - since) > _SLOW * quickest.finishes_in():
            quickest.enter(now)
            second = self._start(self._try(call, quickest), call)
            second.add_done_callback(lambda _: self._leave(quickest, call))  # cancelled before its beginning, too
