"""One server of a fleet: how many requests it gets at once, how soon it would answer, and whether it is well.

It begins with a few requests at once and gets one more with each answer (slow start), so a slow server has taken few
prompts when that shows; once it has asked to wait, that grows slowly. After some failures in a row, or when it can't be
reached or asks to wait, its circuit opens: it gets no prompts until a probe, a chat of one word, has been answered. One
that asked to wait gets a prompt as its probe: it is well, and a chat of one word would take what it has room for.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

from rag.errors import LlmError, LlmRefusedError, LlmUnavailableError
from rag.llm.protocol import Completion, Llm, Message, Sampling

TOGETHER = 0.1  # seconds between connections that break off for one reason
START = 8  # requests at once, to begin with
_OPEN_AFTER = 3  # failures in a row
_SLOW_GROWTH = 0.1  # requests at once more for each round of answers, above `steep`
_SHARE = 0.2  # of the newest answer in the average time of an answer
_FORGETTING = 60.0  # seconds of work after which older work counts half
_OVERDUE = 3.0  # times what an answer takes, without any answer
_EASING = 1.02  # with each answer the quickest one is taken for a little slower
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 30.0  # seconds between probes
_LONGEST_WAIT = 60.0  # seconds, for a server that asks to wait
_REMEMBERED = 5.0  # seconds: a busy event loop looks back later than after `TOGETHER`
_SECOND = 2
_PROBE = [Message("user", "Say yes.")]


@dataclass(eq=False)
class Member:
    """A server with `places` for requests at once; `limit` is how many of them it may use now.

    Up to `steep` it grows by one an answer. `probes` counts the probes without an answer in a row, `seconds` is what an
    answer takes on average. A request without an end fails after `time_limit` seconds. A server that is `reserved` is
    emptied for one prompt. `losses` are the prompts that failed lately, and when; `broke_off` says that it closed a
    connection before the answer. `heard` is when it last answered, or got something to do.
    """

    llm: Llm
    places: int
    limit: float
    time_limit: float | None = None
    outstanding: int = 0
    steep: float = field(default=math.inf)
    answered: int = 0
    seconds: float = 0.0
    failures: int = 0
    probes: int = 0
    away: LlmUnavailableError | None = field(default=None)
    reserved: object | None = field(default=None)
    losses: dict[object, float] = field(default_factory=dict)
    broke_off: bool = False
    heard: float = 0.0
    quickest: float = field(default=math.inf)
    _at_work: float = 0.0  # seconds, and the answers in them
    _answers: float = 0.0
    _since: float = 0.0

    @property
    def free(self) -> bool:
        """Whether it may get one more request."""
        return self.away is None and self.reserved is None and self.outstanding < int(self.limit)

    @property
    def rate(self) -> float:
        """Answers a second while it has something to do; 0 before the first."""
        return self._answers / self._at_work if self._at_work else 0.0

    def finishes_in(self, outstanding: int | None = None) -> float:
        """Return the seconds in which it would answer one more request; infinite where it has not answered any."""
        before = self.outstanding if outstanding is None else outstanding
        return max(self.quickest, (before + 1) / self.rate) if self.rate else math.inf

    def left_of(self, waited: float) -> float:
        """Return the seconds that a request will probably take yet; a late one takes as long again as it took."""
        return self.seconds - waited if waited < self.seconds else waited

    def responds(self, now: float) -> bool:
        """Whether it answers at its pace, as far as it has something to do."""
        return not self.outstanding or now - self.heard < _OVERDUE * self.seconds

    def enter(self, now: float) -> None:
        """Note a request that takes a place."""
        self._note_work(now)
        if not self.outstanding:
            self.heard = now
        self.outstanding += 1

    def leave(self, now: float) -> None:
        """Note that a request has left its place."""
        self._note_work(now)
        self.outstanding -= 1

    def _note_work(self, now: float) -> None:
        if self.outstanding:
            self._at_work += now - self._since
        self._since = now
        if self._at_work > _FORGETTING:
            self._at_work /= 2
            self._answers /= 2

    async def complete(self, messages: list[Message], sampling: Sampling) -> Completion:
        """Ask it, within the time limit.

        Raises:
            LlmError: as `rag.llm.protocol.Llm`.
        """
        try:
            async with asyncio.timeout(self.time_limit):
                return await self.llm.complete(messages, sampling)
        except TimeoutError:
            raise LlmUnavailableError(f"an answer took longer than {self.time_limit:g} s") from None

    def succeeded(self, seconds: float, now: float) -> None:
        """Note an answer: it is well, and may get one more request at once."""
        self.answered += 1
        self.heard = now
        self._answers += 1
        self.failures = self.probes = 0
        self.limit = min(self.places, self.limit + (1 if self.limit < self.steep else _SLOW_GROWTH / self.limit))
        self.seconds = seconds if not self.seconds else (1 - _SHARE) * self.seconds + _SHARE * seconds
        self.quickest = min(seconds, self.quickest * _EASING)

    def failed(self, error: LlmUnavailableError) -> bool:
        """Note a failure; return whether it opened the circuit."""
        self.failures += 1
        return (at_its_gate(error) or self.failures >= _OPEN_AFTER) and self.open(error)

    def open(self, error: LlmUnavailableError) -> bool:
        """Open the circuit because of an error; return whether it was closed."""
        if self.away is not None:
            return False
        self.away = error
        if error.busy:
            self.steep = max(1.0, self.limit // 2)
        self.limit = 1
        return True

    def admit(self) -> bool:
        """Close the circuit if the server asked to wait: the next prompt is its probe; return whether it is closed."""
        if self.away is None or not (self.away.busy or self.away.retry_after is not None):
            return False
        self.away = None
        self.failures = 0
        self.probes += 1
        return True

    def lose(self, prompt: object, now: float) -> bool:
        """Note that a prompt failed; return whether it is the second of those that failed together."""
        self.losses = {each: when for each, when in self.losses.items() if now - when < _REMEMBERED} | {prompt: now}
        return sum(now - when < TOGETHER for when in self.losses.values()) == _SECOND

    def lost_others(self, prompt: object, then: float) -> bool:
        """Whether other prompts failed together with a prompt that failed then, as where a server dies."""
        return any(abs(when - then) < TOGETHER for each, when in self.losses.items() if each is not prompt)

    def pause(self) -> float:
        """Return the seconds until the next probe."""
        asked_for = (self.away.retry_after if self.away else None) or 0.0
        return min(_LONGEST_WAIT, max(asked_for, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**self.probes)))

    async def probe(self) -> bool:
        """Ask for one word; return whether it answered, which closes its circuit."""
        try:
            await self.complete(_PROBE, Sampling(max_tokens=1))
        except LlmRefusedError:
            pass  # it reads its requests, so it is well
        except LlmUnavailableError as error:
            self.away = error
            self.probes += 1
            return False
        except LlmError as error:
            self.away = LlmUnavailableError(str(error))
            self.probes += 1
            return False
        self.away = None
        self.failures = self.probes = 0
        return True


def at_its_gate(error: LlmUnavailableError) -> bool:
    """Whether a server failed before it looked at the request, so whatever the request was."""
    return not error.reached or error.busy or error.retry_after is not None
