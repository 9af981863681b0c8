"""What the language model does for retrieval in a run: other wordings, verdicts, questions about chunks.

A fake model over HTTP does it well, badly, or not at all.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batch.generation.night_budget import retrieval_tokens
from batch.plan import Assistance, RunPlan
from batch.retrieval.assisted_ranking import rank_assisted
from batch.retrieval.help_gain import help_warnings, read_gains
from batch.retrieval.prepared_chunks import load_chunks
from batch.retrieval.question_ranking import load_encoder
from batch.rows import PROMPTS, WORDINGS
from batch.stages.anticipate import anticipate
from batch.stages.assess import assess
from batch.stages.enrich import enrich
from batch.stages.index import index
from batch.stages.judge import judge
from batch.stages.prepare import prepare
from batch.stages.retrieve import retrieve
from batch.stages.reword import reword
from batch.stores.parquet import read_rows, read_table
from rag.retrieval.key_index import KeyIndex
from rag.retrieval.lexical_index import LexicalIndex
from rag.retrieval.vector_index import VectorIndex
from tests.corpus_project import Project
from tests.fake_llm import Behaviour, FakeLlm, served
from warehouse.tables import QuestionRow, RejectRow, RetrievalRow

DESCALED = "How do I get rid of the white crust inside?"  # the corpus says "descale"


class ScriptedLlm(FakeLlm):
    """Says what `says` returns for a prompt; with `yes`, the probabilities of yes and no beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.says: Callable[[str], str] = lambda _: ""
        self.yes: Callable[[str], float] | None = None

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        answer = super()._answer(body)
        prompt = body["messages"][-1]["content"]
        answer["choices"][0]["message"]["content"] = self.says(prompt)
        if self.yes is not None and body.get("logprobs"):
            likeliest = [
                {"token": " Yes", "logprob": _log(self.yes(prompt))},
                {"token": "no", "logprob": _log(1 - self.yes(prompt))},
            ]
            answer["choices"][0]["logprobs"] = {"content": [{"token": " Yes", "top_logprobs": likeliest}]}
        return answer


def _log(probability: float) -> float:
    return math.log(max(probability, 1e-9))


@pytest.fixture(scope="module")
def scripted() -> Iterator[ScriptedLlm]:
    model = ScriptedLlm()
    with served(model.app) as model.url:
        yield model


@pytest.fixture(scope="module")
def indexed(
    tmp_path_factory: pytest.TempPathFactory,
    scripted: ScriptedLlm,
    encoder_folder: Path,  # noqa: ARG001
) -> Project:
    project = Project.create(tmp_path_factory.mktemp("assistance") / "project", scripted.url)
    project.questions = [DESCALED, "How long does the warranty last?", "Can the drip tray go into the dishwasher?"]
    for stage in (prepare, index, anticipate, retrieve):
        stage(project.plan())
    return project


@pytest.fixture
def llm(scripted: ScriptedLlm) -> ScriptedLlm:
    scripted.requests.clear()
    scripted.behaviour = Behaviour()
    scripted.says, scripted.yes = lambda _: "", None
    return scripted


@pytest.fixture
def project(indexed: Project, llm: ScriptedLlm, tmp_path: Path) -> Project:  # noqa: ARG001
    return indexed.copy(tmp_path / "project")


def planned(project: Project, **sets: object) -> RunPlan:
    project.sets |= {f"retrieval.{name}": str(value).lower() for name, value in sets.items()}
    return project.plan()


def asked(plan: RunPlan) -> list[QuestionRow]:
    return read_rows(f"{plan.folder('anticipate')}/questions", QuestionRow)


def first_chunks(plan: RunPlan, assistance: Assistance | None = None) -> dict[str, list[str]]:
    """Return the documents of the first three candidates of each question."""
    rows, chunks = asked(plan), load_chunks(plan.folder("prepare"), "default")
    found = rank_assisted(plan, "default", rows, chunks.get, assistance)
    return {
        row["question"]: [each.chunk_id for each in ranked.ranked[:3]] for row, ranked in zip(rows, found, strict=True)
    }


def plain(project: Project) -> dict[str, list[str]]:
    """Return the ranking without any help."""
    return first_chunks(project.plan(), Assistance())


def rejects(plan: RunPlan, stage: str) -> list[str]:
    return [row["reason"] for row in read_rows(f"{plan.folder(stage)}/rejects", RejectRow)]


# -- wordings ----------------------------------------------------------------------------------------------


def test_a_question_is_searched_for_in_other_words_too(project: Project, llm: ScriptedLlm) -> None:
    before = plain(project)
    llm.says = lambda prompt: (
        "1. How do I descale the machine?\n2. How often should it be descaled?" if DESCALED in prompt else ""
    )
    plan = planned(project, rewordings=2)

    figures = reword(plan)

    after = first_chunks(plan)
    text = load_chunks(plan.folder("prepare"), "default")
    assert figures["wordings"] == 2
    assert "descal" in text[after[DESCALED][0]].text.lower()
    assert {key: found for key, found in after.items() if key != DESCALED} == {
        key: found for key, found in before.items() if key != DESCALED
    }


def test_a_sketched_answer_is_searched_for_and_neither_is_asked_for_twice(project: Project, llm: ScriptedLlm) -> None:
    llm.says = lambda prompt: "Descale it with citric acid." if "sentences of a manual" in prompt else "What cleans it?"
    plan = planned(project, rewordings=1, sketch=True)
    reword(plan)
    once = len(llm.requests)

    again = reword(plan)

    texts = set(read_table(f"{plan.folder('reword')}/wordings", WORDINGS)["question"].to_pylist())
    assert texts == {"Descale it with citric acid.", "What cleans it?"}
    assert once == len(llm.requests) == 2 * len(asked(plan))
    assert again["asked"] == 0


def test_a_model_that_is_away_is_counted_and_costs_nothing_else(project: Project, llm: ScriptedLlm) -> None:
    before = plain(project)
    llm.behaviour.fail_with = 500
    plan = planned(project, rewordings=2, judge=5)

    reworded, judged = reword(plan), judge(plan)

    assert reworded["rejects"] == len(asked(plan))
    assert judged["rejects"] == judged["candidates"] > 0
    assert first_chunks(plan) == before
    (reason,) = rejects(plan, "reword")
    assert reason.startswith("it is searched for in its own words only: ")


def test_the_tokens_of_a_run_are_limited_and_what_is_left_out_is_told(project: Project, llm: ScriptedLlm) -> None:
    llm.says = lambda _: "What is it?"
    plan = planned(project, rewordings=1, judge=5, offline_tokens=300)

    figures, judged = reword(plan), judge(plan)

    assert 0 < figures["asked"] < len(asked(plan))
    assert figures["left_out"] == len(asked(plan)) - figures["asked"]
    assert judged["asked"] == 0
    assert retrieval_tokens(plan) <= 300
    assert any("[retrieval] offline_tokens = 300 is spent" in reason for reason in rejects(plan, "reword"))


def test_a_collection_has_its_own_switches(project: Project) -> None:
    project.sets["collections.default.judge"] = "0"

    plan = planned(project, judge=10, rewordings=1)

    assert plan.assistance("default") == Assistance(rewordings=1)


# -- the judge ---------------------------------------------------------------------------------------------


def test_candidates_are_ranked_again_by_the_probability_of_a_yes(project: Project, llm: ScriptedLlm) -> None:
    before = plain(project)
    third = {question: found[2] for question, found in before.items()}
    plan = planned(project, judge=3)
    chunks = load_chunks(plan.folder("prepare"), "default")
    llm.says = lambda _: "Yes"
    llm.yes = lambda prompt: (
        0.9 if any(question in prompt and chunks[best].text in prompt for question, best in third.items()) else 0.2
    )

    judge(plan)
    retrieve(plan)

    after = first_chunks(plan)
    assert {question: found[0] for question, found in after.items()} == third
    assert {question: found[1:] for question, found in after.items()} == {
        question: found[:2] for question, found in before.items()
    }
    prompts = read_table(f"{plan.folder('retrieve')}/prompts", PROMPTS).to_pylist()
    assert all(third[row["question"]] in row["chunk_ids"] for row in prompts)


def test_a_passage_comes_first_in_the_prompt_and_its_chats_together(project: Project, llm: ScriptedLlm) -> None:
    llm.says = lambda _: "no"

    judge(planned(project, judge=20))

    prompts = [body["messages"][-1]["content"] for body in llm.requests]
    passages = [prompt.partition("</passage>")[0] for prompt in prompts]
    assert all(prompt.startswith("<passage>") and "</passage>\n\nQuestion: " in prompt for prompt in prompts)
    assert len(set(passages)) < len(prompts)


def test_a_judge_that_talks_rubbish_changes_nothing(project: Project, llm: ScriptedLlm) -> None:
    before = plain(project)
    rubbish = itertools.cycle(["Perhaps", "", "<think>yes", "\ufffd\ufffd 42", "Yesterday"])
    llm.says = lambda _: next(rubbish)
    plan = planned(project, judge=10)

    figures = judge(plan)

    assert figures["unclear"] == figures["candidates"] > 10
    assert first_chunks(plan) == before


def test_a_server_without_probabilities_is_asked_for_the_word(project: Project, llm: ScriptedLlm) -> None:
    refused: list[bool] = []

    async def complete(request: Any) -> Any:
        body = await request.json()
        refused.append(bool(body.get("logprobs")))
        llm.behaviour.fail_with = 400 if body.get("logprobs") else None
        return await FakeLlm._complete(llm, request)

    llm.says = lambda _: "Yes."
    route = llm.app.routes[0]
    original, route.app = route.app, _as_app(complete)  # type: ignore[attr-defined]
    try:
        figures = judge(planned(project, judge=2))
    finally:
        route.app = original  # type: ignore[attr-defined]

    assert figures["judged"] == figures["candidates"] > 0
    assert {True, False} == set(refused)


def _as_app(endpoint: Any) -> Any:
    from starlette.routing import request_response

    return request_response(endpoint)


# -- what help gains on golden questions -------------------------------------------------------------------


def golden_plan(project: Project, questions: int, **sets: object) -> RunPlan:
    """Return a plan with golden questions, each answered by the passage that is found first without help."""
    project.questions = [f"How long does the warranty last on model {n}?" for n in range(questions)]
    project.sets["audit.golden"] = '["golden.jsonl"]'
    rows = [{"question": each, "document": "warranty.html"} for each in project.questions]
    (project.folder / "golden.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    plan = planned(project, **sets)
    anticipate(plan)
    return plan


def judge_badly(llm: ScriptedLlm) -> None:
    llm.says, llm.yes = (
        (lambda _: "Yes"),
        (lambda prompt: 0.1 if "warranty" in prompt.partition("</passage>")[0].lower() else 0.9),
    )


def test_a_judge_that_judges_badly_is_told_and_not_used(project: Project, llm: ScriptedLlm) -> None:
    plan = golden_plan(project, 12, judge=5)
    judge_badly(llm)
    judge(plan)

    figures = assess(plan)

    retrieve(plan)
    (warning,) = help_warnings(plan)
    (gain,) = read_gains(plan).values()
    first = {row["query_key"]: row["chunk_id"] for row in stored(plan) if row["rank"] == 1}
    assert figures == {"golden questions": 12, "switched off": 1}
    assert "judge does harm" in warning and "the run ranks without it" in warning and "judge = 0" in warning
    assert gain.figures["judge"]["mrr"] < gain.figures["plain"]["mrr"] == 1.0
    assert {row["question"]: first[row["query_key"]] for row in asked(plan)} == {
        question: found[0] for question, found in plain(project).items()
    }


def test_few_golden_questions_tell_of_harm_but_switch_nothing_off(project: Project, llm: ScriptedLlm) -> None:
    plan = golden_plan(project, 2, judge=5)
    judge_badly(llm)
    judge(plan)

    assert assess(plan) == {"golden questions": 2, "switched off": 0}
    assert help_warnings(plan)[0].startswith("default: [retrieval] judge does harm")


def test_each_help_is_measured_alone_and_with_the_others(project: Project, llm: ScriptedLlm) -> None:
    plan = golden_plan(project, 2, rewordings=1, sketch=True)
    llm.says = lambda prompt: "How is the drip tray washed?" if "sentences of a manual" in prompt else "What warranty?"
    reword(plan)

    assess(plan)

    (gain,) = read_gains(plan).values()
    assert list(gain.figures) == ["plain", "rewordings", "sketch", "all"]
    assert gain.figures["rewordings"] == gain.figures["plain"]
    assert gain.figures["sketch"]["mrr"] < 1.0


def stored(plan: RunPlan) -> list[RetrievalRow]:
    return read_rows(f"{plan.folder('retrieve')}/retrievals", RetrievalRow)


# -- questions about chunks --------------------------------------------------------------------------------


def test_questions_that_lead_back_become_keys_of_their_chunk_live_too(project: Project, llm: ScriptedLlm) -> None:
    crust = "Which sachet removes the white crust inside the boiler?"
    llm.says = lambda prompt: f"1. {crust}\n" if "Use Marlow descaler" in prompt else "no question"
    plan = planned(project, chunk_questions=1)

    figures = enrich(plan)

    folder = Path(plan.index_folder("default"))
    chunks = load_chunks(plan.folder("prepare"), "default")
    keys = KeyIndex.load(folder, VectorIndex.load(folder / "passages").ids)
    assert keys is not None
    ((chunk_id, _),) = keys.search(load_encoder(plan.encoder, plan.encoder_spec).embed([crust]), 40)[0]
    assert figures["kept"] == 1
    assert "Use Marlow descaler" in chunks[chunk_id].text
    assert chunk_id in [id_ for id_, _ in LexicalIndex.load(folder / "lexical").search("crust", 5)]


def test_questions_that_stray_are_no_keys_and_nothing_is_asked_twice(
    project: Project, llm: ScriptedLlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batch.stages.enrich._NEAR", 1)  # in so small a corpus every chunk is among ten
    before = plain(project)
    crust = "1. Which sachet of Marlow descaler removes the white crust inside the boiler?"
    llm.says = lambda prompt: "no question" if "Use Marlow descaler" in prompt else crust
    plan = planned(project, chunk_questions=2)
    enrich(plan)
    once = len(llm.requests)

    figures = enrich(plan)

    assert (figures["asked"], len(llm.requests)) == (0, once)
    assert figures["kept"] == 0
    assert first_chunks(plan) == before
