"""Measures the language model's help for retrieval: golden questions ranked without it, with each kind, with all.

A model that is too small does harm: its judge puts wrong passages first, its wordings ask for something else. So a
help with which fewer right passages come first than without is not used, where there are enough golden questions to
tell. Questions about chunks are an exception: they are in the indexes that the release carries, and are only reported.

The judge read the first candidates of the ranking with all other help; alone, it ranks those that it read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from batch.plan import Assistance, RunPlan
from batch.retrieval.assisted_ranking import RankedQuestion, rank_assisted
from batch.retrieval.help_gain import ALL, HELPS, PLAIN, HelpGain
from batch.retrieval.prepared_chunks import load_chunks
from batch.rows import WORDINGS
from batch.stores.parquet import has_columns, list_files, read_rows
from rag.evaluation import reciprocal_rank, summarise
from warehouse.audit.golden_places import locate
from warehouse.tables import QuestionRow

LEAST_QUESTIONS = 12  # golden questions, below which no help is switched off
_MOST_QUESTIONS = 300  # evenly taken of more: each is searched for several times
_DEPTHS = (1, 3, 5, 10)


def measure_help(plan: RunPlan, collection: str) -> HelpGain | None:
    """Rank the golden questions of a collection with and without help; None where there is nothing to compare."""
    configured, nothing = plan.assistance(collection), Assistance()
    helps = [name for name in HELPS if getattr(configured, name) and _is_there(plan, collection, name)]
    wanted = replace(nothing, **{name: getattr(configured, name) for name in helps})
    golden = _golden(plan, collection)
    if not helps or not golden:
        return None
    kinds = {PLAIN: nothing} | {name: replace(nothing, **{name: getattr(wanted, name)}) for name in helps}
    figures = {name: _figures(plan, collection, golden, each) for name, each in (kinds | {ALL: wanted}).items()}
    harmful = [name for name in helps if figures[name]["mrr"] < figures[PLAIN]["mrr"] and name != "chunk_questions"]
    return HelpGain(len(golden), figures, tuple(harmful) if len(golden) >= LEAST_QUESTIONS else ())


def _is_there(plan: RunPlan, collection: str, name: str) -> bool:
    """Whether the run has what the language model wrote for a help, as this version writes it."""
    if name == "chunk_questions":
        return bool(list_files(f"{plan.folder('enrich')}/{collection}/**"))
    if name == "judge":
        return bool(list_files(f"{plan.folder('judge')}/verdicts/*.parquet"))
    files = list_files(f"{plan.folder('reword')}/wordings/*.parquet")
    return bool(files) and has_columns(files[0], WORDINGS)


def _golden(plan: RunPlan, collection: str) -> list[tuple[QuestionRow, frozenset[str]]]:
    """Return the golden questions that the run anticipated, each with the chunks that answer it."""
    golden = [each for each in plan.golden if each.collection == collection]
    places = locate(golden, load_chunks(plan.folder("prepare"), collection).values()) if golden else []
    right = {each.query_key: place for each, place in zip(golden, places, strict=True) if place}
    rows = read_rows(f"{plan.folder('anticipate')}/questions", QuestionRow) if right else []
    asked = [row for row in rows if row["query_key"] in right and row["origin"] != "curated"]
    step = -(-len(asked) // _MOST_QUESTIONS) or 1
    return [(row, right[row["query_key"]]) for row in asked[::step]]


def _figures(
    plan: RunPlan, collection: str, golden: Sequence[tuple[QuestionRow, frozenset[str]]], assistance: Assistance
) -> Mapping[str, float]:
    chunks = load_chunks(plan.folder("prepare"), collection)
    found = rank_assisted(plan, collection, [row for row, _ in golden], chunks.get, assistance)
    return summarise([_scores(each, right) for each, (_, right) in zip(found, golden, strict=True)]).means


def _scores(found: RankedQuestion, right: frozenset[str]) -> dict[str, float]:
    ids = [each.chunk_id for each in found.ranked]
    scores = {f"recall@{depth}": float(not right.isdisjoint(ids[:depth])) for depth in _DEPTHS}
    return scores | {"mrr": reciprocal_rank(ids, right)}
