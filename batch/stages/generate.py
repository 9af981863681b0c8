"""Generate: prompts into answers.

Only what the answer store does not know is generated, or knows too old an answer to (`max_age`), and not what the team
answered itself. The prompts are ordered by shared prefix here (`batch.generation.prompt_order`), of which the keys
suffice, and their texts go into files in that order (`batch.generation.prompt_files`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from batch import progress
from batch.generation.answer_stream import GenerationTask
from batch.generation.generating import generate_ordered
from batch.generation.prompt_order import order_by_prefix
from batch.generation.rounds import MOST_ROUNDS, Leftover, generate_within_budget, has_budget
from batch.generation.submissions import take_imported
from batch.generation.worth import (
    Prompt,
    WorthRow,
    always_answered,
    expected_hits,
    known_rates,
    read_prompts,
    worth_rows,
)
from batch.plan import Figures, RunPlan
from batch.rows import CURATED
from batch.stores.generation_store import generated_since, known_fingerprints, made_by_run
from batch.stores.parquet import empty_folder, read_table, rows_to_table, write_table
from warehouse.planning.budget import Candidate
from warehouse.tables import SetAsideRow

STAGE = "generate"
_NAMED = 3


def generate(plan: RunPlan) -> Figures:
    """Generate the answers that are not known, as far as the budget goes, and count what was generated and reused."""
    take_imported(plan, plan.answer_store)
    pending, needed = plan_prompts(plan)
    for folder in ("set_aside", "rejects", *(f"{number}/rejects" for number in range(1, MOST_ROUNDS + 1))):
        empty_folder(f"{plan.folder(STAGE)}/{folder}")  # of an attempt with another budget
    if has_budget(plan):
        leftover = _within_budget(plan, pending)
        postponed, rejected = len(leftover.left), leftover.rejected
    else:
        postponed, rejected = 0, _generate(plan, STAGE, in_order(plan, pending))
    made, tokens = made_by_run(plan.answer_store, plan.run_id)
    generated = len(needed & made)
    reused = len(needed) - generated - rejected - postponed
    return {"generated": generated, "reused": reused, "postponed": postponed, "rejects": rejected, **tokens}


def task_of(plan: RunPlan, stage: str = STAGE) -> GenerationTask:
    """Return the task of generating a plan's answers; `stage` names the folder of its files."""
    return GenerationTask(stage, plan.answer_store, plan.sampling, plan.run_id, plan.llm)


def prompts_folder(plan: RunPlan) -> str:
    """Return the folder of the plan's prompts tables."""
    return f"{plan.folder('retrieve')}/prompts"


def _generate(plan: RunPlan, stage: str, order: Sequence[str]) -> int:
    return generate_ordered(plan, prompts_folder(plan), order, task_of(plan, stage), "answers")


def _within_budget(plan: RunPlan, pending: Sequence[Prompt]) -> Leftover:
    """Generate what is worth most, and write and tell what waits for the next night."""
    rows = worth_rows(plan)
    rates = known_rates(plan, read_prompts(plan))

    def generate_round(chosen: Sequence[Prompt], number: int) -> int:
        return _generate(plan, f"{STAGE}/{number}", in_order(plan, chosen))

    hits = expected_hits(plan, rows)
    leftover = generate_within_budget(plan, pending, hits, always_answered(plan, rows), rates, generate_round)
    waiting = set_aside_rows(rows, leftover.left)
    table = rows_to_table(waiting, SetAsideRow)
    write_table(f"{plan.folder(STAGE)}/set_aside/set_aside.parquet", table)
    if waiting:
        progress.warn([_waiting(waiting)])
    return leftover


def set_aside_rows(rows: Sequence[WorthRow], left: Sequence[Candidate]) -> list[SetAsideRow]:
    """Return what is beyond the budget as rows of the table `set_aside`."""
    questions = {row["query_key"]: row for row in rows}
    return [
        {
            "collection": questions[each.query_key]["collection"],
            "query_key": each.query_key,
            "question": questions[each.query_key]["question"],
            "origin": questions[each.query_key]["origin"],
            "reason": "budget",
            "expected_hits": each.hits,
            "tokens": each.tokens,
            "since": None,
            "last_asked": None,
        }
        for each in left
    ]


def _waiting(waiting: Sequence[SetAsideRow]) -> str:
    first = "; ".join(row["question"] for row in waiting[:_NAMED])
    count = f"{len(waiting):,} question{'' if len(waiting) == 1 else 's'}"
    return f"{count} beyond the budget wait for the next run, the table set_aside names them: {first}"


def plan_prompts(plan: RunPlan) -> tuple[list[Prompt], frozenset[str]]:
    """Return the prompts whose answers are not known, and the fingerprints of all answers that the run needs."""
    curated = curated_keys(plan)
    known = _young_enough(plan)
    needed: set[str] = set()
    pending: dict[str, Prompt] = {}
    for each in read_prompts(plan, sized=has_budget(plan)):
        if each.query_key not in curated:
            needed.add(each.fingerprint)
            if each.fingerprint not in known[each.collection]:
                pending[each.fingerprint] = each
    return list(pending.values()), frozenset(needed)


def in_order(plan: RunPlan, prompts: Sequence[Prompt]) -> list[str]:
    """Return the fingerprints of prompts in the order in which they are generated."""
    weights = {row["query_key"]: row["weight"] for row in worth_rows(plan)}
    order = order_by_prefix([each.chunk_ids for each in prompts], [weights[each.query_key] for each in prompts])
    return [prompts[place].fingerprint for place in order]


def _young_enough(plan: RunPlan) -> Mapping[str, set[str]]:
    """Return for each collection the fingerprints whose generation is no older than its `max_age`."""
    known = known_fingerprints(plan.answer_store)
    now = datetime.now(UTC)
    ages = {name: settings.max_age for name, settings in plan.collections.items()}
    return {
        name: known if age is None else generated_since(plan.answer_store, now - timedelta(seconds=age))
        for name, age in ages.items()
    }


def curated_keys(plan: RunPlan) -> set[str]:
    """Return the keys of the questions that the team answered."""
    return set(read_table(f"{plan.folder('anticipate')}/curated", CURATED, ["query_key"])["query_key"].to_pylist())
