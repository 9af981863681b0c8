"""Assess: what the language model's help for retrieval gains on the golden questions.

Writes `<out>/help.json`, which `retrieve` reads to leave out what does harm, and the table findings, for the report.
"""

from __future__ import annotations

from pathlib import Path

from batch.plan import Assistance, Figures, RunPlan
from batch.retrieval.help_gain import HelpGain, save_gains
from batch.retrieval.help_measuring import measure_help
from batch.retrieval.question_ranking import embed_questions
from batch.stores.local_folders import local_output
from batch.stores.parquet import rows_to_table, write_table
from warehouse.tables import FindingRow

STAGE = "assess"


def can_assess(plan: RunPlan) -> bool:
    """Whether there is help to measure, and questions to measure it on."""
    return bool(plan.golden) and any(plan.assistance(name) != Assistance() for name in plan.collections)


def assess(plan: RunPlan) -> Figures:
    """Measure the help of each collection."""
    embed_questions(plan, f"{plan.folder('anticipate')}/questions")
    measured = {name: gain for name in plan.collections if (gain := measure_help(plan, name)) is not None}
    with local_output(plan.folder(STAGE)) as folder:
        save_gains(Path(folder), measured)
    found = [_finding(name, gain) for name, gain in measured.items()]
    write_table(
        f"{plan.folder(STAGE)}/findings/findings.parquet",
        rows_to_table([row for row in found if row["count"]], FindingRow),
    )
    return {
        "golden questions": sum(gain.questions for gain in measured.values()),
        "switched off": sum(len(gain.dropped) for gain in measured.values()),
    }


def _finding(collection: str, gain: HelpGain) -> FindingRow:
    found = list(gain.sentences())
    return {
        "collection": collection,
        "finding": "help for retrieval that gains nothing",
        "count": len(found),
        "whole": None,
        "examples": found,
    }
