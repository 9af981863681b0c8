"""Vary: other wordings of each answer's question, written by the language model, for collections that want them.

A wording is kept if it leads back to its answer (no other answer is nearly as near), no guard objects, and the judge
confirms it. Look-alikes and wordings that the judge refuses are fences: questions near an answer that must not get it.
What is neither is dropped. The rulings are recorded, so that the answer has them in later releases too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from batch.generation.asking import ask, tokens_of
from batch.generation.chats import Task
from batch.plan import Figures, RunPlan
from batch.stores.parquet import read_table
from batch.wordings.court import Court
from batch.wordings.nearest_answers import Near, NearestAnswers, Place, embed_texts, exams_of, place_folder
from batch.wordings.prepared_answers import PreparedAnswer, answers_of_run
from batch.wordings.ruling import Ruled, opposed, record, ruling
from batch.wordings.variations import Variation, variation_chats, variations
from rag.identity import normalise, query_key
from warehouse.editorial.wordings import Ruling
from warehouse.tables import QUESTIONS

STAGE = "vary"
_TASK = Task(f"{STAGE}/wordings", "variations", "questions", "it keeps the wordings that it has")
_STORES = ("variations", "answer_judgements")
_MARGIN = 0.05  # cosine: how much nearer its own answer must be than the next other one
_LEAST_SIMILARITY = 0.4
_ANSWERS = 8  # nearest ones; what is farther from its answer is not near it


def wants_variations(plan: RunPlan) -> bool:
    """Whether any collection wants wordings that the language model writes."""
    return any(each.wordings for each in plan.collections.values())


def vary(plan: RunPlan) -> Figures:
    """Have wordings and look-alikes written, filter and judge them, and record what is left."""
    before = tokens_of(plan, _STORES)
    answers = answers_of_run(plan)
    wanting = [each for each in answers if plan.collections[each.collection].wordings]
    replies = ask(plan, _TASK, [variation_chats(plan, each) for each in wanting])
    written = [each for answer in wanting for each in variations(plan, answer, replies.texts)]
    places = _places(plan, answers, wanting)
    near = _besides(plan, places, _unambiguous(plan, written))
    court = Court(plan, STAGE, partial(ask, plan), exams_of(plan, STAGE, places))
    ruled, figures = court.rule("verdicts", [(each.text, found) for each, found in near])
    made = (_ruling(each, found, verdict) for (each, found), verdict in zip(near, ruled, strict=True))
    rulings = [each for each in made if each is not None]
    recorded = record(Path(plan.data), rulings)
    tokens = {kind: count - before[kind] for kind, count in tokens_of(plan, _STORES).items()}
    return {
        "written": len(written),
        "dropped": len(written) - len(rulings),
        "wordings": sum(each.verdict == "wording" for each in recorded),
        "fences": sum(each.verdict == "fence" for each in recorded),
        "judged": figures["judged"],
        "asked": replies.figures["asked"] + figures["asked"],
        "rejects": replies.figures["rejects"] + figures["rejects"],
        "left_out": replies.figures["left_out"] + figures["left_out"],
        **tokens,
    }


def _places(
    plan: RunPlan, answers: Sequence[PreparedAnswer], wanting: Sequence[PreparedAnswer]
) -> Mapping[Place, NearestAnswers]:
    """Index all answers of the places in which wordings are wanted."""
    found: dict[Place, list[PreparedAnswer]] = {(each.collection, each.filters): [] for each in wanting}
    for each in answers:
        found.get((each.collection, each.filters), []).append(each)
    return {
        place: NearestAnswers.build(plan, f"{place_folder(plan, STAGE, place)}/answers", mine)
        for place, mine in found.items()
    }


def _unambiguous(plan: RunPlan, written: Sequence[Variation]) -> list[Variation]:
    """Return what is no question of its own, and was written as a wording for one answer only."""
    asked = set(read_table(f"{plan.folder('anticipate')}/questions", QUESTIONS, ["query_key"])["query_key"].to_pylist())
    owners: dict[str, set[str]] = {}
    for each in written:
        if each.kind == "visitors":
            owners.setdefault(_key(each), set()).add(each.answer.query_key)
    return [
        each
        for each in written
        if normalise(each.text)
        and _key(each) not in asked
        and (each.kind == "lookalikes" or len(owners[_key(each)]) == 1)
        and (each.kind == "visitors" or each.answer.query_key not in owners.get(_key(each), ()))
    ]


def _key(variation: Variation) -> str:
    return query_key(variation.answer.collection, variation.text, variation.answer.filters)


def _besides(
    plan: RunPlan, places: Mapping[Place, NearestAnswers], written: Sequence[Variation]
) -> list[tuple[Variation, Near]]:
    """Return what is near its answer: wordings that lead back to it, and look-alikes."""
    found: list[tuple[Variation, Near]] = []
    for place, index in places.items():
        mine = [each for each in written if (each.answer.collection, each.answer.filters) == place]
        vectors = embed_texts(plan, f"{place_folder(plan, STAGE, place)}/written", [each.text for each in mine])
        for each, near in zip(mine, index.nearest(vectors, _ANSWERS), strict=True):
            own = next((one for one in near if one.answer is each.answer), None)
            if own is not None and _is_worth_a_verdict(each, own, near):
                found.append((each, own))
    return found


def _is_worth_a_verdict(variation: Variation, own: Near, near: Sequence[Near]) -> bool:
    if own.similarity < _LEAST_SIMILARITY:
        return False
    return variation.kind == "lookalikes" or (_leads_back(near, own) and not opposed(variation.text, own))


def _leads_back(near: Sequence[Near], own: Near) -> bool:
    others = [one.similarity for one in near if one is not own]
    return own.similarity - max(others, default=-1.0) >= _MARGIN


def _ruling(variation: Variation, near: Near, ruled: Ruled) -> Ruling | None:
    """Return what is recorded: a confirmed wording, or a fence; a doubt about rubbish is nobody's work."""
    if ruled.verdict == "fence":
        return ruling(variation.text, near, ruled, "model" if variation.kind == "lookalikes" else "judge")
    confirmed = ruled.verdict == "wording" and variation.kind == "visitors"
    return ruling(variation.text, near, ruled, "model") if confirmed else None
