"""What the questions of a run are worth, and what their answers will cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TypedDict

import pyarrow as pa
import pyarrow.compute as pc

from batch.generation.night_budget import BYTES_A_TOKEN
from batch.plan import RunPlan
from batch.rows import PROMPTS
from batch.stores.generation_store import GENERATIONS, made_by_run
from batch.stores.parquet import read_rows, read_table, read_tables, table_rows
from rag.identity import query_key
from warehouse.analysis.demand import demand_by_day
from warehouse.planning.demand import Anticipated, Asked, forecast
from warehouse.tables import QUESTIONS, AnswerWordingRow

_COLUMNS = ["query_key", "question", "collection", "origin", "weight", "expected"]


@dataclass(frozen=True)
class Prompt:
    """A prompt as far as its cost goes: its passages, and the size of its text in bytes."""

    fingerprint: str
    collection: str
    query_key: str
    chunk_ids: Sequence[str]
    size: int


@dataclass(frozen=True)
class Rates:
    """How many bytes of a prompt are a token, and how many tokens an answer has."""

    bytes_a_token: float
    answer_tokens: float

    def tokens(self, prompt: Prompt) -> int:
        """Return what the answer to a prompt costs, prompt included."""
        return round(prompt.size / self.bytes_a_token + self.answer_tokens)


class WorthRow(TypedDict):
    """The columns of the questions table that say what a question is worth."""

    query_key: str
    question: str
    collection: str
    origin: str
    weight: float
    expected: str


def read_prompts(plan: RunPlan, *, sized: bool = True) -> Iterator[Prompt]:
    """Yield the prompts of the run; their texts are read only for their size, file by file, and not kept."""
    columns = ["fingerprint", "collection", "query_key", "chunk_ids"]
    read = [*columns, "messages"] if sized else columns
    for table in read_tables(f"{plan.folder('retrieve')}/prompts/*.parquet", PROMPTS, read):
        sizes = pc.binary_length(table["messages"]).to_pylist() if sized else [0] * len(table)
        rows = zip(*(table[name].to_pylist() for name in columns), sizes, strict=True)
        yield from (Prompt(*row) for row in rows)


def worth_rows(plan: RunPlan) -> list[WorthRow]:
    """Return the questions of the run."""
    table = read_table(f"{plan.folder('anticipate')}/questions", QUESTIONS, _COLUMNS)
    return table_rows(table, WorthRow)


def always_answered(plan: RunPlan, rows: Iterable[WorthRow]) -> frozenset[str]:
    """Return the keys of the audit's questions: without an answer to them no release could be checked."""
    golden = {each.query_key for each in plan.golden}
    return frozenset(
        row["query_key"]
        for row in rows
        if row["origin"] in ("golden", "canary") or row["expected"] or row["query_key"] in golden
    )


def anticipated(plan: RunPlan, rows: Iterable[WorthRow]) -> list[Anticipated]:
    """Return the questions with their wordings, and how often all that they stand for was asked."""
    wordings: dict[str, list[str]] = {}
    for row in read_rows(f"{plan.folder('anticipate')}/wordings", AnswerWordingRow):
        wordings.setdefault(row["query_key"], []).append(row["wording_key"])
    times = {query_key(each.collection, each.question, plan.asked_with(each)): each.times for each in plan.misses}
    return [
        Anticipated(
            row["query_key"],
            row["origin"],
            1.0 if row["weight"] is None else row["weight"],
            times.get(row["query_key"], 0),
            tuple(wordings.get(row["query_key"], ())),
        )
        for row in rows
    ]


def asked(plan: RunPlan) -> Asked:
    """Return how often each question was asked, by day."""
    return demand_by_day(Path(plan.data))


def tomorrow() -> date:
    """Return the day that the run is for."""
    return datetime.now(UTC).date() + timedelta(days=1)


def expected_hits(plan: RunPlan, rows: Sequence[WorthRow]) -> Mapping[str, float]:
    """Return what each question is expected to be asked a day, by key."""
    return forecast(anticipated(plan, rows), asked(plan), tomorrow(), going_on=True).hits


def dear_rates(plan: RunPlan) -> Rates:
    """Return rates that err on the dear side."""
    return Rates(BYTES_A_TOKEN, plan.sampling.max_tokens)


def known_rates(plan: RunPlan, prompts: Iterable[Prompt]) -> Rates | None:
    """Return the rates of the run's prompts that have an answer already, None if none has."""
    sizes = {each.fingerprint: each.size for each in prompts}
    table = read_table(plan.answer_store, GENERATIONS, ["fingerprint", "prompt_tokens", "completion_tokens"])
    table = table.filter(pc.is_in(table["fingerprint"], pa.array(list(sizes), pa.string())))
    size = sum(sizes[each] for each in table["fingerprint"].to_pylist())
    return _rates(size, pc.sum(table["prompt_tokens"]).as_py(), pc.sum(table["completion_tokens"]).as_py(), len(table))


def rates_of_run(plan: RunPlan, prompts: Iterable[Prompt]) -> Rates | None:
    """Return the rates of what this run has generated so far, None if nothing."""
    made, tokens = made_by_run(plan.answer_store, plan.run_id)
    size = sum(each.size for each in prompts if each.fingerprint in made)
    return _rates(size, tokens["prompt_tokens"], tokens["completion_tokens"], len(made))


def _rates(size: int, prompt_tokens: int | None, answer_tokens: int | None, count: int) -> Rates | None:
    if not (size and prompt_tokens and count):
        return None
    return Rates(size / prompt_tokens, (answer_tokens or 0) / count)
