"""Wordings that the language model writes: kept is what leads back to its answer and what the judge confirms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from batch.plan import RunPlan
from batch.questions.question_files import named_question
from batch.rows import question_row
from batch.stages.vary import vary, wants_variations
from batch.stores.parquet import rows_to_table, write_table
from rag.collection_settings import CollectionSettings
from rag.identity import query_key
from tests.batch.stages.wordings_project import ANSWERS, RETURNING, TRAY, VINEGAR, WARRANTY, JudgingLlm
from tests.corpus_project import Project
from tests.fake_llm import served
from warehouse.editorial.wordings import standing_rulings
from warehouse.tables import AnswerRow, CitationRow, QuestionRow

GOOD = {
    WARRANTY: ["how long is the warranty", "how many years of warranty do i get"],
    TRAY: ["is the drip tray dishwaser safe"],
}
RUBBISH = {
    WARRANTY: [TRAY, "how often do i have to descale it", "Sure! Here are some questions:", "???", "asdf"],
    TRAY: ["Can the drip tray not go into the dishwasher?", "the machine"],
    VINEGAR: ["May I descale the machine with lemon juice?"],
    RETURNING: ["Within how many days may I return a new machine?", "how long is the warranty?"],
}
LOOKALIKES = {VINEGAR: ["May I clean the machine with vinegar?"], WARRANTY: ["how long is the warranty"]}


@pytest.fixture(scope="module")
def judging() -> Iterator[JudgingLlm]:
    model = JudgingLlm()
    with served(model.app) as model.url:
        yield model


@pytest.fixture
def llm(judging: JudgingLlm) -> JudgingLlm:
    judging.again()
    return judging


@pytest.fixture
def plan(tmp_path: Path, llm: JudgingLlm, encoder_folder: Path) -> RunPlan:  # noqa: ARG001
    """A run whose five answers are made."""
    project = Project.create(tmp_path / "project", llm.url)
    project.sets |= {"collections.default.wordings": "4", "batch.batch_size": "64"}
    plan = project.plan()
    questions = [question_row(named_question("default", text, "list", "questions.txt")) for text in ANSWERS]
    answers = [answer_row(text, said) for text, said in ANSWERS.items()]
    for folder, table in (
        (f"{plan.folder('anticipate')}/questions", rows_to_table(questions, QuestionRow)),
        (f"{plan.folder('cite')}/answers", rows_to_table(answers, AnswerRow)),
        (f"{plan.folder('cite')}/citations", rows_to_table([], CitationRow)),
    ):
        write_table(f"{folder}/part.parquet", table)
    return plan


def answer_row(question: str, answer: str) -> AnswerRow:
    key = query_key("default", question)
    return {
        "collection": "default", "query_key": key, "fingerprint": f"f-{key}", "answer": answer, "origin": "generated",
        "status": "served", "withheld_reason": None, "model_id": "m", "template_id": "t", "sampling": "{}",
        "passages_hash": "p", "finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 1, "cached_tokens": 0,
        "support": 1.0, "invalid_citations": 0, "run_id": "r1", "generated_at": datetime.now(UTC), "seconds": 0.0,
        "filters": {},
    }  # fmt: skip


def written(wordings: dict[str, list[str]], lookalikes: dict[str, list[str]] | None = None):
    """Return a model that writes these wordings and look-alikes, numbered, by question."""

    def writes(question: str, want_lookalikes: bool) -> str:
        texts = (lookalikes or {} if want_lookalikes else wordings).get(question, [])
        return "\n".join(f"{number}. {text}" for number, text in enumerate(texts, start=1))

    return writes


def truth(prepared: str, asked: str) -> float:
    """Judge rightly: an answer fits its own question and its good wordings."""
    return 0.99 if asked == prepared or asked in GOOD.get(prepared, ()) else 0.01


def standing(plan: RunPlan, verdict: str) -> dict[str, set[str]]:
    questions = {query_key("default", text): text for text in ANSWERS}
    found: dict[str, set[str]] = {}
    for each in standing_rulings(Path(plan.data)):
        if each.verdict == verdict:
            found.setdefault(questions[each.query_key], set()).add(each.text)
    return found


def test_good_wordings_are_kept_with_their_origin_and_cost_nothing_again(plan: RunPlan, llm: JudgingLlm) -> None:
    llm.writes, llm.fits = written(GOOD), truth

    figures = vary(plan)

    assert standing(plan, "wording") == {question: set(texts) for question, texts in GOOD.items()}
    assert {(each.origin, each.approved_by) for each in standing_rulings(Path(plan.data))} == {
        ("model", "fake-model@unpinned")
    }
    assert (figures["written"], figures["wordings"], figures["dropped"]) == (3, 3, 0)
    llm.requests.clear()
    vary(plan)
    assert llm.requests == []


@pytest.mark.parametrize("judge", ["right", "yes to everything"])
def test_nothing_of_a_model_that_writes_rubbish_becomes_a_wording(plan: RunPlan, llm: JudgingLlm, judge: str) -> None:
    llm.writes = written(RUBBISH)
    llm.fits = truth if judge == "right" else lambda *_: 0.99

    figures = vary(plan)

    assert figures["dropped"] == figures["written"] - figures["fences"] > 0
    assert standing(plan, "wording") == {}
    assert standing(plan, "doubtful") == {}
    if judge == "right":
        assert "Within how many days may I return a new machine?" in standing(plan, "fence")[RETURNING]


def test_a_look_alike_is_a_fence_only_if_the_judge_refuses_it(plan: RunPlan, llm: JudgingLlm) -> None:
    llm.writes, llm.fits = written({}, LOOKALIKES), truth

    vary(plan)

    assert standing(plan, "fence") == {VINEGAR: {"May I clean the machine with vinegar?"}}
    assert standing(plan, "wording") == {}
    assert [each.origin for each in standing_rulings(Path(plan.data))] == ["model"]


def test_it_is_off_by_default(plan: RunPlan) -> None:
    quiet = {name: each.model_copy(update={"wordings": 0}) for name, each in plan.collections.items()}

    assert wants_variations(plan)
    assert not wants_variations(replace(plan, collections=quiet))
    assert CollectionSettings(documents=[]).wordings == 0
