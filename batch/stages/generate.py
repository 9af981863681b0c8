"""Generate: prompts into answers.

Only what the answer store does not know is generated, or knows too old an answer to (`max_age`), and not what the team
answered itself. The prompts are ordered by shared prefix and cut into batches here (`batch.generation.prompt_order`),
since a batch's composition decides the speed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from batch.generation.prompt_batches import GenerationTask, PromptBatch, generate_batches
from batch.generation.prompt_order import batches, order_by_prefix
from batch.plan import Figures, RunPlan
from batch.rows import CURATED, PromptRow
from batch.stores.generation_store import generated_since, known_fingerprints, made_by_run
from batch.stores.parquet import read_rows, read_table
from warehouse.tables import QUESTIONS

STAGE = "generate"


def generate(plan: RunPlan) -> Figures:
    """Generate the answers that are not known, and count what was generated and reused."""
    pending, needed = plan_batches(plan)
    task = GenerationTask(STAGE, plan.answer_store, plan.sampling, plan.run_id, plan.llm)
    rejected = generate_batches(plan, pending, task, "answers")
    made, tokens = made_by_run(plan.answer_store, plan.run_id)
    generated = len(needed & made)
    return {"generated": generated, "reused": len(needed) - generated - rejected, "rejects": rejected, **tokens}


def plan_batches(plan: RunPlan) -> tuple[list[PromptBatch], frozenset[str]]:
    """Order and cut the prompts that are not known; also return the fingerprints of all answers that the run needs."""
    rows = read_rows(f"{plan.folder('retrieve')}/prompts", PromptRow)
    curated = curated_keys(plan)
    needed = {row["fingerprint"]: row for row in rows if row["query_key"] not in curated}
    known = _young_enough(plan)
    pending = [row for fingerprint, row in needed.items() if fingerprint not in known[row["collection"]]]
    weights = _weights(plan)
    order = order_by_prefix([row["chunk_ids"] for row in pending], [weights[row["query_key"]] for row in pending])
    cut = batches([pending[place] for place in order], plan.settings.batch_size)
    return [PromptBatch(tuple(each)) for each in cut], frozenset(needed)


def _weights(plan: RunPlan) -> dict[str, float]:
    """Return what the questions are worth, by their keys."""
    table = read_table(f"{plan.folder('anticipate')}/questions", QUESTIONS, ["query_key", "weight"])
    return dict(zip(table["query_key"].to_pylist(), table["weight"].to_pylist(), strict=True))


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
