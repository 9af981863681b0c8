"""Join: visitors' questions that nobody had anticipated, to the prepared answers that answer them.

The misses of the journal are clustered, and the phrasing that stands for a cluster is put to the judge beside the
nearest answers of the current release. A yes makes it, and each other phrasing of the cluster that the judge confirms,
a wording in the release that is being built; a no makes a fence; what is doubtful waits for a person. A cluster that
no answer fits stays to be anticipated, once. Writes the table misses below `<out>`: what is left to anticipate.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from batch.generation.asking import ask, tokens_of
from batch.plan import Figures, MissedQuestion, RunPlan
from batch.reading.personal_data import refuse_personal
from batch.rows import MissRow
from batch.stores.parquet import read_rows, rows_to_table, write_table
from batch.wordings.clusters import clusters
from batch.wordings.court import Beside, Court
from batch.wordings.nearest_answers import Near, NearestAnswers, Place, embed_texts, exams_of, place_folder
from batch.wordings.prepared_answers import PreparedAnswer, answers_of_release
from batch.wordings.ruling import Ruled, record, ruling
from batch.wordings.visitors import (
    Phrasing,
    askers_of,
    personal_in,
    refused_miss,
    unanswered,
    unhelpful_wordings,
    unjudged,
)
from rag.errors import QuestionError
from rag.identity import query_key
from warehouse.editorial.wordings import Ruling, RulingKind, standing_rulings
from warehouse.releases.changes import previous_database
from warehouse.tables import RejectRow

STAGE = "join"
_ANSWERS = 3  # nearest ones that a cluster is put to
_LEAST_SIMILARITY = 0.35  # below, no answer is near


@dataclass(frozen=True)
class Asked:
    """Phrasings that seem to ask the same; `first` stands for them, `alike` say it in nearly the same words."""

    first: Phrasing
    others: tuple[Phrasing, ...]
    alike: frozenset[str]

    @property
    def all(self) -> tuple[Phrasing, ...]:
        """All phrasings."""
        return (self.first, *self.others)

    @property
    def times(self) -> int:
        """How often it was asked."""
        return sum(each.asked for each in self.all)


def wants_joining(plan: RunPlan) -> bool:
    """Whether visitors' misses are put to the answers of a release."""
    often = plan.settings.anticipate_misses
    return bool(often and plan.settings.join_misses) and previous_database(Path(plan.data)) is not None


def join(plan: RunPlan) -> Figures:
    """Judge what visitors asked in vain, record what follows, and write what is left to anticipate."""
    before = tokens_of(plan, ("answer_judgements",))
    phrasings, personal = unanswered(plan)
    answers = answers_of_release(Path(plan.data)) if phrasings else []  # they come with all their passages
    settled = _settled(plan, answers, "wording", "doubtful")
    asked = _clustered(plan, [each for each in phrasings if each.query_key not in settled])
    # a night without news asks the judge nothing, not even its exam
    waiting = _anticipated(plan, answers, unjudged(plan)) if asked else []
    rulings, figures = _judged(plan, [*asked, *waiting], answers)
    recorded = record(Path(plan.data), [*rulings, *unhelpful_wordings(plan)])
    _write_left(plan, asked, _settled(plan, answers, "wording"))
    counts = {kind: sum(each.verdict == kind for each in recorded) for kind in ("wording", "fence", "doubtful")}
    tokens = {kind: count - before[kind] for kind, count in tokens_of(plan, ("answer_judgements",)).items()}
    return {
        "clusters": len(asked),
        "wordings": counts["wording"],
        "fences": counts["fence"],
        "doubtful": counts["doubtful"],
        "personal": personal,
        **figures,
        **tokens,
    }


def left_to_anticipate(plan: RunPlan) -> tuple[MissedQuestion, ...]:
    """Return the misses of a run after the stage: one phrasing stands for a cluster that no answer fits."""
    rows = read_rows(f"{plan.folder(STAGE)}/misses", MissRow)
    return tuple(MissedQuestion(**row) for row in rows)


def _settled(plan: RunPlan, answers: Sequence[PreparedAnswer], *kinds: RulingKind) -> set[str]:
    """Return the keys of the texts about which such rulings stand, beside the answers that there are."""
    filters = {each.query_key: each.filters for each in answers}
    return {
        query_key(each.collection, each.text, filters[each.query_key])
        for each in standing_rulings(Path(plan.data))
        if each.verdict in kinds and each.query_key in filters
    }


def _clustered(plan: RunPlan, phrasings: Sequence[Phrasing]) -> list[Asked]:
    """Return the clusters that enough different askers asked for, in each place."""
    by_place: dict[Place, list[Phrasing]] = {}
    for each in phrasings:
        by_place.setdefault((each.collection, each.filters), []).append(each)
    found: list[Asked] = []
    for place, mine in by_place.items():
        texts = [each.text for each in mine]
        vectors = embed_texts(plan, f"{place_folder(plan, STAGE, place)}/phrasings", texts)
        for cluster in clusters(texts, vectors):
            others = tuple(mine[number] for number in cluster.others)
            asked = Asked(mine[cluster.first], others, frozenset(mine[number].query_key for number in cluster.alike))
            if _counts(plan, asked):
                found.append(asked)
    return found


def _anticipated(plan: RunPlan, answers: Sequence[PreparedAnswer], waiting: Collection[str]) -> list[Asked]:
    """Return visitors' questions that wait for a judge, each alone, though they have answers of their own meanwhile."""
    return [
        Asked(Phrasing(each.collection, each.question, each.filters, 0, frozenset()), (), frozenset())
        for each in answers
        if each.query_key in waiting and each.collection in plan.collections
    ]


def _counts(plan: RunPlan, asked: Asked) -> bool:
    enough = asked.times >= plan.settings.anticipate_misses
    return enough and askers_of(asked.all) >= plan.settings.least_askers


def _judged(plan: RunPlan, asked: Sequence[Asked], answers: Sequence[PreparedAnswer]) -> tuple[list[Ruling], Figures]:
    """Judge the first phrasing of each cluster, then the others beside the answer that fits it."""
    near = _near(plan, asked, answers)
    court = Court(plan, STAGE, partial(ask, plan), exams_of(plan, STAGE, near.places))
    firsts = [(each.first.text, answer) for each in asked for answer in near.of(each.first)]
    ruled, figures = court.rule("clusters", firsts)
    fitting = _fitting(firsts, ruled)
    others = [
        (other.text, found)
        for each in asked
        for other in each.others
        for found in near.of(other)
        if found.answer is fitting.get(_asked_where(each.first.text, found))
    ]
    ruled_others, more = court.rule("phrasings", others)
    rulings = [
        ruling(text, found, each, "journal")
        for (text, found), each in zip(firsts, ruled, strict=True)
        # of several answers that fit, the best one alone gets it
        if each.verdict == "fence" or fitting.get(_asked_where(text, found)) is found.answer
    ]
    rulings += [ruling(*beside, each, "journal") for beside, each in zip(others, ruled_others, strict=True)]
    total = {name: count + more[name] for name, count in figures.items()}
    return [each for each in rulings if each is not None], total


@dataclass(frozen=True)
class _NearAnswers:
    """The answers of each place, and those near each phrasing."""

    places: Mapping[Place, NearestAnswers]
    found: Mapping[str, Sequence[Near]]

    def of(self, phrasing: Phrasing) -> Sequence[Near]:
        """Return the answers near a phrasing, best first."""
        return self.found.get(phrasing.query_key, ())


def _near(plan: RunPlan, asked: Sequence[Asked], answers: Sequence[PreparedAnswer]) -> _NearAnswers:
    """Find the answers near all phrasings; an answer is near only what is asked with its own filters.

    A question that has an answer of its own is put to others than visitors', or two would be wordings of each other.
    """
    anticipated = {each.query_key for each in answers}
    phrasings: dict[Place, list[Phrasing]] = {}
    for each in asked:
        phrasings.setdefault((each.first.collection, each.first.filters), []).extend(each.all)
    places: dict[Place, NearestAnswers] = {}
    found: dict[str, Sequence[Near]] = {}
    for place, mine in phrasings.items():
        theirs = [each for each in answers if (each.collection, each.filters) == place]
        folder = place_folder(plan, STAGE, place)
        if theirs:
            places[place] = NearestAnswers.build(plan, f"{folder}/answers", theirs)
            vectors = embed_texts(plan, f"{folder}/asked", [each.text for each in mine])
            for phrasing, near in zip(mine, places[place].nearest(vectors, _ANSWERS), strict=True):
                found[phrasing.query_key] = [
                    each
                    for each in near
                    if each.similarity >= _LEAST_SIMILARITY
                    and not (phrasing.query_key in anticipated and each.answer.origin == "journal")
                ]
    return _NearAnswers(places, found)


def _fitting(cases: Sequence[Beside], ruled: Sequence[Ruled]) -> Mapping[tuple[Place, str], PreparedAnswer]:
    """Return the answer that fits each text of a place best: a wording before a doubt, then the surest."""
    best: dict[tuple[Place, str], tuple[tuple[bool, float], PreparedAnswer]] = {}
    for (text, near), each in zip(cases, ruled, strict=True):
        if each.verdict in ("wording", "doubtful"):
            where, rank = _asked_where(text, near), (each.verdict == "wording", each.confidence or 0.0)
            if where not in best or rank > best[where][0]:
                best[where] = (rank, near.answer)
    return {where: answer for where, (_, answer) in best.items()}


def _asked_where(text: str, near: Near) -> tuple[Place, str]:
    return (near.answer.collection, near.answer.filters), text


def _write_left(plan: RunPlan, asked: Sequence[Asked], joined: Collection[str]) -> None:
    """Write what is left to anticipate: the misses, and of each cluster that no answer fits one phrasing alone.

    `joined` are the keys of what is a wording of an answer now. A miss that holds something personal is a reject.
    """
    harmless, rejects = _without_personal(plan)
    unjoined = [each for each in asked if each.first.query_key not in joined]
    alike = {key for each in unjoined for key in each.alike}
    misses = {plan.key_of(each): each for each in harmless}
    misses = {key: each for key, each in misses.items() if key not in alike and key not in joined}
    for each in unjoined:
        filters = json.dumps(dict(each.first.filters))
        misses[each.first.query_key] = MissedQuestion(
            each.first.collection, each.first.text, each.times, askers_of(each.all), filters
        )
    rows: list[MissRow] = [
        {
            "collection": each.collection,
            "question": each.question,
            "times": each.times,
            "askers": each.askers,
            "filters": each.filters,
        }
        for each in misses.values()
    ]
    write_table(f"{plan.folder(STAGE)}/misses/misses.parquet", rows_to_table(rows, MissRow))
    write_table(f"{plan.folder(STAGE)}/personal/rejects/rejects.parquet", rows_to_table(rejects, RejectRow))


def _without_personal(plan: RunPlan) -> tuple[list[MissedQuestion], list[RejectRow]]:
    """Return the misses in which nothing personal was found, and rejects for the others, whose text is not written."""
    harmless: list[MissedQuestion] = []
    rejects: list[RejectRow] = []
    typed = [(each.question, plan.asked_with(each)) for each in plan.misses]
    for each, found in zip(plan.misses, personal_in(plan, typed), strict=True):
        try:
            refuse_personal(found)
            harmless.append(each)
        except QuestionError as error:
            rejects.append(refused_miss(plan, STAGE, each, error))
    return harmless, rejects
