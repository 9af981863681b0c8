"""Generate: prompts into answers.

Only what the answer store does not know is generated, or knows too old an answer to (`max_age`), and not what the team
answered itself. The prompts are ordered by shared prefix here (`batch.generation.prompt_order`), of which the keys
suffice, and their texts go into files in that order (`batch.generation.prompt_files`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from batch.generation.answer_stream import GenerationTask
from batch.generation.generating import generate_ordered
from batch.generation.prompt_order import order_by_prefix
from batch.generation.submissions import take_imported
from batch.plan import Figures, RunPlan
from batch.rows import CURATED, PROMPTS
from batch.stores.generation_store import generated_since, known_fingerprints, made_by_run
from batch.stores.parquet import read_table
from warehouse.tables import QUESTIONS

STAGE = "generate"


def generate(plan: RunPlan) -> Figures:
    """Generate the answers that are not known, and count what was generated and reused."""
    take_imported(plan, plan.answer_store)
    pending, needed = plan_prompts(plan)
    rejected = generate_ordered(plan, prompts_folder(plan), pending, task_of(plan), "answers")
    made, tokens = made_by_run(plan.answer_store, plan.run_id)
    generated = len(needed & made)
    return {"generated": generated, "reused": len(needed) - generated - rejected, "rejects": rejected, **tokens}


def task_of(plan: RunPlan) -> GenerationTask:
    """Return the task of generating a plan's answers."""
    return GenerationTask(STAGE, plan.answer_store, plan.sampling, plan.run_id, plan.llm)


def prompts_folder(plan: RunPlan) -> str:
    """Return the folder of the plan's prompts tables."""
    return f"{plan.folder('retrieve')}/prompts"


def plan_prompts(plan: RunPlan) -> tuple[list[str], frozenset[str]]:
    """Return the fingerprints of the prompts that are not known, in order, and of all answers that the run needs."""
    columns = ["collection", "query_key", "fingerprint", "chunk_ids"]
    table = read_table(prompts_folder(plan), PROMPTS, columns)
    curated = curated_keys(plan)
    rows = zip(*(table[name].to_pylist() for name in columns), strict=True)
    needed = {fingerprint: (name, key, ids) for name, key, fingerprint, ids in rows if key not in curated}
    known = _young_enough(plan)
    pending = [fingerprint for fingerprint, (name, _, _) in needed.items() if fingerprint not in known[name]]
    weights = _weights(plan)
    order = order_by_prefix([needed[each][2] for each in pending], [weights[needed[each][1]] for each in pending])
    return [pending[place] for place in order], frozenset(needed)


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
