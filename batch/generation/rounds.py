"""Generating within a budget: the prompts that are worth most first, in rounds.

What an answer costs is known only afterwards. So the first round is chosen by estimates (those of the answers that are
known, or dear ones), each further one by what the rounds before it took, until the next question doesn't fit. A budget
in minutes becomes tokens at the pace of the round before; the first round is then as much as is in flight at once.
Within a round prompts go by shared prefix, as without a budget.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from batch.generation.night_budget import answer_tokens, tokens_left
from batch.generation.worth import Prompt, Rates, dear_rates, rates_of_run
from batch.plan import RunPlan
from warehouse.planning.budget import Candidate, affordable, by_worth

MOST_ROUNDS = 8
_CAUTION = 0.8  # of the time left is planned with: the pace is not steady, and a round ends with its slowest answer

Generate = Callable[[Sequence[Prompt], int], int]
"""Generates the prompts of the round of that number, and returns how many were rejected."""


@dataclass(frozen=True)
class Leftover:
    """What a budget did not suffice for, the most valuable first, and how many prompts were rejected."""

    left: Sequence[Candidate]
    rejected: int


def has_budget(plan: RunPlan) -> bool:
    """Whether the run has a budget for its answers."""
    return plan.settings.budget_tokens is not None or plan.settings.budget_minutes is not None


def generate_within_budget(
    plan: RunPlan,
    pending: Sequence[Prompt],
    hits: Mapping[str, float],
    always: frozenset[str],
    rates: Rates | None,
    generate: Generate,
) -> Leftover:
    """Generate the prompts that the budget suffices for, and those that are `always` generated."""
    left = {each.query_key: each for each in pending}
    rates = rates or dear_rates(plan)
    began, rejected = time.monotonic(), 0
    pace: float | None = None  # tokens a second
    for number in range(1, _rounds(plan) + 1):
        ordered = _ordered(left, hits, rates)
        chosen = [each for each in left.values() if number == 1 and each.query_key in always]
        room = _room(plan, began, pace, ordered) - sum(rates.tokens(each) for each in chosen)
        others = [each for each in ordered if each.query_key not in always]
        chosen += [left[each.query_key] for each in others[: affordable(others, room)]]
        if not chosen:
            break
        before, started = answer_tokens(plan), time.monotonic()
        rejected += generate(chosen, number)
        pace = (answer_tokens(plan) - before) / max(time.monotonic() - started, 1e-3)
        done = {each.query_key for each in chosen}
        left = {key: each for key, each in left.items() if key not in done}
        rates = rates_of_run(plan, pending) or rates
    return Leftover(_ordered(left, hits, rates), rejected)


def _rounds(plan: RunPlan) -> int:
    """Return how many rounds there are at most: one where answers come a day later or by hand, and none after it."""
    if not _comes_later(plan):
        return MOST_ROUNDS
    return 0 if answer_tokens(plan) else 1


def _comes_later(plan: RunPlan) -> bool:
    return plan.settings.generate_with in ("batch_api", "batch_files")


def _ordered(left: Mapping[str, Prompt], hits: Mapping[str, float], rates: Rates) -> list[Candidate]:
    return by_worth(Candidate(key, hits.get(key, 0.0), rates.tokens(each)) for key, each in left.items())


def _room(plan: RunPlan, began: float, pace: float | None, ordered: Sequence[Candidate]) -> float:
    """Return the tokens of the next round."""
    tokens, minutes = tokens_left(plan), plan.settings.budget_minutes
    room = float("inf") if tokens is None else float(tokens)
    if minutes is None or _comes_later(plan):
        return room
    if pace is None:
        at_once = plan.window.in_flight * max(1, len(plan.llm.endpoints))
        return min(room, sum(each.tokens for each in ordered[:at_once]))
    return min(room, max(0.0, 60 * minutes - (time.monotonic() - began)) * pace * _CAUTION)
