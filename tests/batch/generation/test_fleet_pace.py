"""How a fleet spreads prompts, on a clock that jumps: the figures are those of the fleet alone, on any machine."""

from __future__ import annotations

import asyncio
import math
import re
import selectors
from collections.abc import Sequence

import pytest

from batch.generation.fleet import Fleet
from batch.generation.fleet_member import Member
from rag.errors import LlmError, LlmUnavailableError
from rag.llm.protocol import Completion, Delta, Message, Sampling

PLACES = 8


class JumpingSelector(selectors.DefaultSelector):
    """Waits for nothing: time goes on by what there was to wait."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += max(0.0, timeout or 0.0)
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = JumpingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


class Server:
    """Takes `seconds` for an answer, in eight places; `dies` times it loses all that it has, the first prompt too.

    It may also die all by itself, every so many seconds, and fail in another way than by closing its connections.
    """

    model = "m"

    def __init__(self, seconds: float, dies: int = 0, every: float = math.inf, *, lost: bool = True) -> None:
        self.seconds = seconds
        self.dies = dies
        self.every = every
        self.lost = lost
        self.next = every
        self.places = asyncio.Semaphore(PLACES)
        self.death = asyncio.Event()

    async def complete(self, messages: Sequence[Message], _sampling: Sampling) -> Completion:
        async with self.places:
            if self.dies and messages[0].content == "prompt 0":
                asyncio.get_running_loop().call_later(self.seconds / 2, self._die)
            death = self.death
            if math.isfinite(self.next):
                asyncio.get_running_loop().call_at(self.next, self._die)
                self.next = math.inf
            try:
                async with asyncio.timeout(self.seconds):
                    await death.wait()
            except TimeoutError:
                return Completion("Yes.", "stop", 1, 1, "m")
        raise LlmUnavailableError("connection reset" if self.lost else "answered 500", lost=self.lost)

    def _die(self) -> None:
        self.dies -= 1
        self.next = asyncio.get_running_loop().time() + self.every
        self.death.set()
        self.death = asyncio.Event()

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> Delta:
        raise NotImplementedError


class Busy(Server):
    """Refuses every other request, whatever it has to do, and asks to wait so many seconds."""

    def __init__(self, wait: float | None) -> None:
        super().__init__(0.3)
        self.wait = wait
        self.asked = 0

    async def complete(self, messages: Sequence[Message], sampling: Sampling) -> Completion:
        self.asked += 1
        if self.asked % 2:
            raise LlmUnavailableError("answered 429", self.wait, busy=True)
        return await super().complete(messages, sampling)


def answered(servers: Sequence[Server], prompts: int, in_flight: int) -> tuple[float, list[LlmError]]:
    """Ask all prompts; return the seconds on the jumping clock, and the failures."""
    failures: list[LlmError] = []

    async def run() -> float:
        fleet = Fleet(servers, in_flight, 60.0)  # type: ignore[arg-type]
        room = asyncio.Semaphore(fleet.window)

        async def one(number: int) -> None:
            try:
                await fleet.complete([Message("user", f"prompt {number}")], Sampling(), f"passage {number // 4}")
            except LlmError as error:
                failures.append(error)
            room.release()

        async with asyncio.TaskGroup() as group:
            for number in range(prompts):
                await room.acquire()
                group.create_task(one(number))
            fleet.finishing()
        seconds = asyncio.get_running_loop().time()
        await fleet.aclose()
        return seconds

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(run()), failures


def ideal(paces: Sequence[float], prompts: int) -> float:
    """Return the least time in which the places finish so many whole answers."""
    moments = sorted({round(pace * number, 6) for pace in paces for number in range(1, prompts // PLACES + 2)})
    return next(end for end in moments if sum(PLACES * math.floor(end / pace + 1e-6) for pace in paces) >= prompts)


@pytest.mark.parametrize("in_flight", [8, 64])
@pytest.mark.parametrize(
    ("paces", "prompts"),
    [
        ((0.01, 0.1, 1.0), 200),
        ((0.3, 0.4, 0.5), 200),
        ((1.0, 2.0, 4.0), 500),
        ((0.02, 3.0), 300),
        ((0.1, 0.1, 0.1), 200),
    ],
)
def test_servers_of_any_speeds_come_near_the_ideal(paces: tuple[float, ...], prompts: int, in_flight: int) -> None:
    servers = [Server(pace) for pace in paces]

    seconds, failures = answered(servers, prompts, in_flight)

    assert not failures
    assert seconds <= 1.15 * ideal(paces, prompts)


@pytest.mark.parametrize(("wait", "most"), [(None, 0.6), (1.0, 1.4)])
def test_a_server_that_refuses_every_other_request_answers_all_prompts(wait: float | None, most: float) -> None:
    server = Busy(wait)

    seconds, failures = answered([server], 60, 8)

    assert not failures
    assert server.asked <= 2 * 60
    assert seconds <= 60 * most


def test_a_prompt_that_was_there_whenever_a_server_died_is_answered() -> None:
    server = Server(0.3, dies=5)

    _, failures = answered([server], 60, 8)

    assert not failures and server.dies == 0


@pytest.mark.parametrize("lost", [True, False], ids=["resets", "500"])
@pytest.mark.parametrize("count", [1, 3])
def test_servers_that_die_all_the_time_by_themselves_cost_no_prompt(count: int, lost: bool) -> None:
    servers = [Server(0.3, every=0.7 + number / 10, lost=lost) for number in range(count)]

    _, failures = answered(servers, 100, 8)

    assert not failures
    assert all(server.dies < -2 for server in servers)


def test_a_prompt_that_a_server_always_dies_of_is_refused_and_no_other() -> None:
    server = Server(0.3, dies=1000)

    _, failures = answered([server], 60, 8)

    (failure,) = failures
    assert re.fullmatch("it failed [67] times, the last time so: connection reset", str(failure))


class Broken(Server):
    """Fails with the first prompt, and after how many seconds."""

    def __init__(self, seconds: float, fails_after: float) -> None:
        super().__init__(seconds)
        self.fails_after = fails_after

    async def complete(self, messages: Sequence[Message], sampling: Sampling) -> Completion:
        if messages[0].content != "prompt 0":
            return await super().complete(messages, sampling)
        async with self.places:
            await asyncio.sleep(self.fails_after)
            raise LlmUnavailableError("answered 500")


@pytest.mark.parametrize("paces", [(0.01, 0.05), (0.05, 0.01), (0.05, 0.05)])
@pytest.mark.parametrize("fails_after", [0.001, 0.1])
@pytest.mark.parametrize("prompts", [1, 8, 40])
def test_a_prompt_that_fails_everywhere_is_refused_though_both_servers_had_it_at_once(
    paces: tuple[float, float], fails_after: float, prompts: int
) -> None:
    _, failures = answered([Broken(pace, fails_after) for pace in paces], prompts, 8)

    (failure,) = failures
    assert re.fullmatch(r"it failed \d times, the last time so: answered 500", str(failure))


def test_failures_together_are_told_from_others_however_late_one_looks_back() -> None:
    member = Member(Server(1.0), PLACES, 8.0)  # type: ignore[arg-type]

    seconds = [member.lose(prompt, when) for prompt, when in [("first", 0.0), ("second", 0.05), ("third", 0.3)]]

    assert seconds == [False, True, False]
    assert member.lost_others("first", 0.0) and member.lost_others("second", 0.05)
    assert not member.lost_others("third", 0.3)
