"""How many tokens a run may still spend: one budget for the night, of which the help for retrieval has its part.

`[batch] budget_tokens` limits all that the language model reads and writes in a run. What it does before answers are
generated (proposals, wordings, verdicts, questions about chunks) may take half of it, so that the night does not end
without answers; `[retrieval] offline_tokens` limits that help further.
"""

from __future__ import annotations

from batch.plan import RETRIEVAL_STORES, RunPlan
from batch.stores.generation_store import made_by_run

BYTES_A_TOKEN = 3
"""Bytes of a prompt that are a token at least: in UTF-8 English has four, Chinese three."""

_HELP = 0.5  # of the budget


def tokens_left(plan: RunPlan) -> int | None:
    """Return the tokens that the run may still spend, None without a limit."""
    budget = plan.settings.budget_tokens
    return None if budget is None else max(0, budget - answer_tokens(plan) - _help_spent(plan))


def answer_tokens(plan: RunPlan) -> int:
    """Return the tokens that the run has spent on answers so far."""
    return _spent(plan, plan.answer_store)


def help_left(plan: RunPlan) -> int | None:
    """Return the tokens that may still be spent on what is no answer, None without a limit."""
    limits = []
    if plan.retrieval.offline_tokens is not None:
        limits.append(plan.retrieval.offline_tokens - retrieval_tokens(plan))
    if (left := tokens_left(plan)) is not None:
        limits.append(min(left, proposals_left(plan) or 0))
    return max(0, min(limits)) if limits else None


def proposals_left(plan: RunPlan) -> int | None:
    """Return the tokens that may still be spent on proposals, None without a limit."""
    budget = plan.settings.budget_tokens
    return None if budget is None else max(0, int(budget * _HELP) - _help_spent(plan))


def _help_spent(plan: RunPlan) -> int:
    return retrieval_tokens(plan) + _spent(plan, plan.proposal_store)


def retrieval_tokens(plan: RunPlan) -> int:
    """Return the tokens that the run has spent on retrieval and wordings so far."""
    return sum(_spent(plan, plan.retrieval_store(kind)) for kind in RETRIEVAL_STORES)


def _spent(plan: RunPlan, store: str) -> int:
    tokens = made_by_run(store, plan.run_id)[1]
    return tokens["prompt_tokens"] + tokens["completion_tokens"]
