"""Weigh: learn for each collection how its dense and lexical rankings and late interaction are joined.

It learns from the golden questions whose passages are known, otherwise from the questions proposed about chunks: all of
them, since those that lead back to their chunk were found with the configured weights. Without either, and with too
few, the configured weights stay.

Writes `<out>/<collection>/fusion.json`, which the release carries beside the collection's indexes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam

from batch.pipeline import running_pipeline
from batch.plan import Figures, RunPlan
from batch.retrieval.fusion_learning import LEAST_QUESTIONS, Sought, learn
from batch.retrieval.prepared_chunks import load_chunks
from batch.retrieval.question_ranking import load_encoder
from batch.stores.local_folders import local_copy, local_output
from batch.stores.parquet import read_rows
from rag.filters import Filters, filters_from
from rag.retrieval.collection_fusion import CollectionFusion, configured_weights, read_fusion
from rag.retrieval.fusion import FusionWeights
from rag.retrieval.retriever import Retriever
from warehouse.audit.golden_places import locate
from warehouse.tables import QuestionRow

STAGE = "weigh"
_MOST_QUESTIONS = 300  # evenly taken of more: each costs two passes through the encoder
_BOTH_HALVES = FusionWeights(1.0, 1.0)

Located = tuple[str, Filters, frozenset[str]]
"""A question, its filters and the chunks that answer it."""


def can_weigh(plan: RunPlan) -> bool:
    """Whether there may be questions to learn from."""
    return plan.retrieval.learn_fusion and bool(
        plan.golden or any(each.proposals for each in plan.collections.values())
    )


def weigh(plan: RunPlan) -> Figures:
    """Learn the weights of each collection."""
    with running_pipeline(plan) as pipeline:
        _ = pipeline | "Collections" >> beam.Create(list(plan.collections)) | "Learn" >> beam.Map(_weigh, plan)
    return {}


def fusion_facts(plan: RunPlan) -> dict[str, object]:
    """Return for each collection how its rankings are joined, and on what that rests."""
    configured = configured_weights(plan.retrieval)
    nothing = CollectionFusion(configured, configured, "the configured weights: there was nothing to learn from")
    facts: dict[str, object] = {}
    for name in plan.collections:
        with local_copy(f"{plan.folder(STAGE)}/{name}") as folder:
            facts[name] = (read_fusion(folder) or nothing).facts()
    return facts


def _weigh(collection: str, plan: RunPlan) -> None:
    golden, unlocated = _golden(plan, collection)
    proposed = _proposed(plan, collection) if len(golden) < LEAST_QUESTIONS else []
    source, located = ("proposed", proposed) if len(proposed) >= LEAST_QUESTIONS else ("golden", golden)
    with local_output(f"{plan.folder(STAGE)}/{collection}") as folder:
        _learned(plan, collection, source, located, unlocated).save(Path(folder))


def _golden(plan: RunPlan, collection: str) -> tuple[list[Located], int]:
    """Return the golden questions whose chunks are known, and how many others there are."""
    golden = [each for each in plan.golden if each.collection == collection]
    places = locate(golden, load_chunks(plan.folder("prepare"), collection).values()) if golden else []
    found = [(each.question, each.filters, place) for each, place in zip(golden, places, strict=True) if place]
    return found, len(golden) - len(found)


def _proposed(plan: RunPlan, collection: str) -> list[Located]:
    """Return the questions that were proposed about chunks, if any were."""
    rows = read_rows(f"{plan.folder('propose')}/candidates", QuestionRow)
    return [
        (row["question"], filters_from(row["filters"]), frozenset([row["detail"]]))
        for row in rows
        if row["collection"] == collection
    ]


def _learned(
    plan: RunPlan, collection: str, source: str, located: Sequence[Located], unlocated: int
) -> CollectionFusion:
    configured = configured_weights(plan.retrieval)
    if min(configured.dense, configured.lexical) <= 0:
        return CollectionFusion(configured, configured, "the configured weights: one half is switched off")
    step = -(-len(located) // _MOST_QUESTIONS) or 1
    encoder = load_encoder(plan.encoder, plan.encoder_spec)
    with local_copy(plan.index_folder(collection)) as folder:
        retriever = Retriever.load(folder, plan.retrieval, None, encoder.token_states)
        sought = []
        for question, filters, right in located[::step]:
            ((dense, lexical),) = retriever.halves([question], encoder.embed([question]), _BOTH_HALVES, filters)
            late = retriever.late_scores(question, sorted({name for name, _ in dense + lexical}))
            sought.append(Sought(dense, lexical, late, right))
    return learn(sought, configured, plan.retrieval.late_candidates, source, unlocated)
