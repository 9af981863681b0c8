"""Which questions of a run retire: what nobody asked for `retire_after` nights, and may be left out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from batch.plan import RunPlan
from batch.questions.question_files import CuratedPair, Question
from batch.stores.parquet import read_rows, read_table
from warehouse.analysis.demand import demand_by_day
from warehouse.editorial.decisions import Decisions
from warehouse.editorial.listing import Listings
from warehouse.planning.retirement import Unasked, note_anticipated, retired
from warehouse.tables import QUESTIONS, AnswerWordingRow, SetAsideRow


def retired_questions(plan: RunPlan) -> Mapping[str, Unasked]:
    """Return the questions that nobody asked for so many nights, by key, but for those that people decided about."""
    nights = _nights(plan)
    if not nights:
        return {}
    data = Path(plan.data)
    found = retired(data, demand_by_day(data), nights, datetime.now(UTC).date())
    kept = {*Decisions(data).standing(), *Listings(data).approved()}
    kept |= {each.query_key for each in plan.golden}
    return {key: unasked for key, unasked in found.items() if key not in kept}


def may_retire(question: Question | CuratedPair) -> bool:
    """Whether a question is of a kind that retires: not what the team answered itself or what the audit asks."""
    if isinstance(question, CuratedPair) or question.expected:
        return False
    return question.origin in ("list", "journal", "corpus")


def retired_row(question: Question | CuratedPair, unasked: Unasked) -> SetAsideRow:
    """Return a retired question's row of the table `set_aside`."""
    return {
        "collection": question.collection,
        "query_key": question.query_key,
        "question": question.question,
        "origin": question.origin,
        "reason": "retired",
        "expected_hits": None,
        "tokens": None,
        "since": unasked.since,
        "last_asked": unasked.last_asked,
    }


def note_questions(plan: RunPlan) -> None:
    """Record the run's questions and their wordings, so that a later run knows since when they are anticipated."""
    nights = _nights(plan)
    if not nights:
        return
    out = plan.folder("anticipate")
    table = read_table(f"{out}/questions", QUESTIONS, ["collection", "query_key"])
    rows = zip(table["collection"].to_pylist(), table["query_key"].to_pylist(), strict=True)
    away = [(row["collection"], row["query_key"]) for row in read_rows(f"{out}/set_aside", SetAsideRow)]
    anticipated = [each for each in [*rows, *away] if each[0] in nights]
    wordings: dict[str, list[str]] = {}
    for row in read_rows(f"{out}/worded", AnswerWordingRow):  # those of retired questions are among them
        wordings.setdefault(row["query_key"], []).append(row["wording_key"])
    note_anticipated(Path(plan.data), anticipated, nights, datetime.now(UTC).date(), wordings)


def _nights(plan: RunPlan) -> dict[str, int]:
    """Return after how many nights the questions of each collection retire, for those that want it."""
    usual = plan.settings.retire_after
    wanted = {
        name: usual if each.retire_after is None else each.retire_after for name, each in plan.collections.items()
    }
    return {name: nights for name, nights in wanted.items() if nights is not None}
