"""The verifier and the language model as one judge of texts beside the answers that are near them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from batch import progress
from batch.generation.chats import Ask
from batch.plan import Figures, RunPlan
from batch.stores.generation_store import GenerationRow, find_generations
from batch.wordings.answer_judge import Judge
from batch.wordings.cases import Case, Exam, Trust
from batch.wordings.ruling import Ruled, by_model, by_verifier, doubted
from batch.wordings.sittings import Judged, put
from rag.errors import ModelError
from rag.identity import query_key
from rag.paraphrase.verifier import Verifier
from warehouse.analysis.connection import connect
from warehouse.editorial.withdrawal import Tombstones
from warehouse.errors import NoReleaseError
from warehouse.releases.release import current
from warehouse.sql import sql_text

if TYPE_CHECKING:
    from batch.wordings.nearest_answers import Near

Beside = tuple[str, "Near"]
"""A text, and an answer that is near it."""
_ENOUGH = 20  # decisions of people


@dataclass(frozen=True)
class Court:
    """The judge in one stage of a run; `exams` by collection, `ask` asks the language model."""

    plan: RunPlan
    stage: str
    ask: Ask
    exams: Mapping[str, Exam]

    def rule(self, name: str, cases: Sequence[Beside]) -> tuple[list[Ruled], Figures]:
        """Return what is ruled about each case; `name` is that of the round."""
        verifier = _certified_verifier(self.plan)
        ruled = [by_verifier(verifier, text, near, self._tolerated(near)) for text, near in cases]
        unsettled = [
            Case(text, near.answer) for (text, near), each in zip(cases, ruled, strict=True) if each.verdict is None
        ]
        said = self._asked(name, unsettled)
        ruled = [
            _by_model(said, text, near) if each.verdict is None else each
            for (text, near), each in zip(cases, ruled, strict=True)
        ]
        disputed = disputed_judges(self.plan) if cases else set()
        reported = Tombstones(Path(self.plan.data)).pairs() if cases else frozenset()
        return [
            doubted(each)
            if (near.answer.collection, each.by) in disputed
            or (each.verdict == "wording" and _pair(text, near) in reported)
            else each
            for (text, near), each in zip(cases, ruled, strict=True)
        ], said.figures

    def _asked(self, name: str, cases: Sequence[Case]) -> Judged:
        judge = Judge(self.plan.llm.model_id, self.plan.run_id, self.ask, partial(_earlier, self.plan))
        found = put(judge, f"{self.stage}/{name}", self.exams if cases else {}, cases)
        if found.examined:
            failed = {name: each for name, each in found.trust.items() if not each.counts_wholly}
            progress.warn([_told(judge.model, name, each, name in found.cut_off) for name, each in failed.items()])
        return found

    def _tolerated(self, near: Near) -> float:
        return self.plan.collections[near.answer.collection].tolerated_error


def _pair(text: str, near: Near) -> frozenset[str]:
    """Return the keys of a text and an answer, as they are in the log of pairs that were reported as false hits."""
    answer = near.answer
    return frozenset((query_key(answer.collection, text, answer.filters), answer.query_key))


def _by_model(said: Judged, text: str, near: Near) -> Ruled:
    case = Case(text, near.answer)
    return by_model(said.verdicts.model, said.verdicts.of(case), said.trust[near.answer.collection], text, near)


def _told(model: str, collection: str, trust: Trust, cut_off: bool) -> str:
    """Return the warning about a judge whose word does not count wholly, since it failed or was not examined yet."""
    ignored = " and ".join(word for word, counts in (("yes", trust.yes), ("no", trust.no)) if not counts)
    if cut_off:
        return (
            f"The exam of the model {model} as a judge of wordings in the collection {collection} was cut off, by the "
            f"budget or by the server; its {ignored} will be ignored there until a later run has finished the exam."
        )
    return (
        f"As a judge of wordings the model {model} has not passed its exam in the collection {collection}; "
        f"its {ignored} will be ignored there."
    )


def _earlier(plan: RunPlan, keys: Collection[str]) -> Mapping[str, GenerationRow]:
    """Return what earlier runs stored of some verdicts."""
    rows = find_generations(plan.retrieval_store("answer_judgements"), keys)
    return {key: row for key, row in rows.items() if row["run_id"] != plan.run_id}


def disputed_judges(plan: RunPlan) -> set[tuple[str, str]]:
    """Return the judges, by collection, whom people contradict too often."""
    try:
        with closing(connect(Path(plan.data), described=False)) as session:
            rows = session.execute(sql_text("disputed_judges.sql"), [_ENOUGH, plan.settings.least_agreement]).fetchall()
    except NoReleaseError:
        return set()
    return {(str(collection), str(judge)) for collection, judge in rows}


def _certified_verifier(plan: RunPlan) -> Verifier | None:
    """Return the current release's own verifier; this run's is trained later, from what is collected now."""
    try:
        release = current(Path(plan.data))
        path = release.path / "verifier.json"
        same_encoder = release.manifest["encoder"]["id"] == plan.encoder_id
        return Verifier.load(path) if path.exists() and same_encoder else None
    except (NoReleaseError, ModelError):  # there is none, or one of another version: the language model judges alone
        return None
