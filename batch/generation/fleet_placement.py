"""Which prompt goes to which server of a fleet.

A prompt goes home, to the server that had its first passage before, if that has a place; else to the server that would
answer it soonest. At the end of a run a slow server is left out as soon as the others would finish without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from batch.generation.fleet_member import Member
from rag.llm.protocol import Completion, Message, Sampling

_SUSPICIONS = 3  # deaths of servers that had a prompt, after which it is asked alone
_LOOKAHEAD = 64  # prompts that wait, among which a server is given one whose passage it has seen


@dataclass(eq=False)
class Call:
    """A prompt until its outcome: how often it failed, and the servers that have it now, since when."""

    messages: list[Message]
    sampling: Sampling
    prefix: str
    outcome: asyncio.Future[Completion]
    tries: int = 0
    suspicions: int = 0
    failed_alone: int = 0
    failed_at: set[Member] = field(default_factory=set)
    running: dict[Member, float] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def alone(self) -> bool:
        """Whether it must be the only prompt that its server has."""
        return self.suspicions >= _SUSPICIONS

    def has_failed_everywhere(self, members: Sequence[Member]) -> bool:
        """Whether no server that is well is left that has not failed with it."""
        return all(member.away or member in self.failed_at for member in members)

    def settle(self, outcome: Completion | Exception) -> None:
        """Give the outcome, unless there is one."""
        if self.outcome.done():
            return
        if isinstance(outcome, Exception):
            self.outcome.set_exception(outcome)
        else:
            self.outcome.set_result(outcome)


Waiting = Sequence[tuple[Call, asyncio.Future[Member]]]
"""Prompts that wait for a place, the first one first."""


def match(
    waiting: Waiting, members: Sequence[Member], homes: Mapping[str, Member], *, finishing: bool
) -> tuple[int, Member] | None:
    """Return which waiting prompt goes to which server: the first with a place at home, else the first.

    `finishing` says that no prompts will come but those that wait.
    """
    free = [member for member in members if member.free]
    worth = [each for each in free if not finishing or _is_worth_it(each, members, len(waiting))]
    spill: tuple[int, Member] | None = None
    for number, (call, _) in enumerate(islice(waiting, _LOOKAHEAD)):
        if call.alone:
            if (empty := _emptied(call, members)) is not None:
                return number, empty
            continue
        if not free:
            continue
        home = None if call.failed_at else homes.get(call.prefix)
        if home is not None and home in worth:
            return number, home
        able = _able(call, free, members) if call.failed_at else worth
        if able:
            soonest = min(able, key=lambda member: (member.finishes_in(), member.outstanding))
            if home is None:
                return number, soonest
            spill = spill or (number, soonest)
    return spill


def _able(call: Call, free: Sequence[Member], members: Sequence[Member]) -> list[Member]:
    """Return the servers for a prompt that has failed: others than before, as long as there are any."""
    everywhere = call.has_failed_everywhere(members)
    return [member for member in free if everywhere or member not in call.failed_at]


def _is_worth_it(member: Member, members: Sequence[Member], waiting: int) -> bool:
    """Whether one more prompt at a server ends no later than the others would end with all that is left."""
    now = asyncio.get_running_loop().time()
    others = [each for each in members if each is not member and each.away is None and each.rate and each.responds(now)]
    if not others or not member.rate:
        return True
    left = waiting + sum(each.outstanding for each in others)
    end = max(left / sum(each.rate for each in others), min(each.finishes_in(0) for each in others))
    return member.finishes_in() <= end


def _emptied(call: Call, members: Sequence[Member]) -> Member | None:
    """Return the server that was emptied for a prompt; where there is none, one is emptied from now on."""
    for member in members:
        if member.reserved is call and member.away is not None:
            member.reserved = None
    mine = [member for member in members if member.reserved is call]
    able = mine or [member for member in members if member.away is None and member.reserved is None]
    if not able:
        return None
    chosen = min(able, key=lambda member: (member in call.failed_at, member.outstanding))
    chosen.reserved = call
    return None if chosen.outstanding else chosen
