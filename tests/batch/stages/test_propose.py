"""Proposed questions: what the model is asked, what is kept, and what a second run does not ask again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batch.plan import RunPlan
from batch.stages.anticipate import anticipate
from batch.stages.index import index
from batch.stages.prepare import prepare
from batch.stages.propose import propose
from batch.stages.weigh import fusion_facts, weigh
from batch.stores.parquet import read_table
from tests.corpus_project import ASTRAY, Project, ReadingLlm
from warehouse.tables import CHUNKS, QUESTIONS


@pytest.fixture(scope="module")
def indexed(
    tmp_path_factory: pytest.TempPathFactory,
    reading_llm: ReadingLlm,
    encoder_folder: Path,  # noqa: ARG001
) -> Project:
    project = Project.create(tmp_path_factory.mktemp("propose") / "project", reading_llm.url)
    for stage in (prepare, index):
        stage(project.plan())
    return project


@pytest.fixture
def project(indexed: Project, llm: ReadingLlm, tmp_path: Path) -> Project:  # noqa: ARG001
    return indexed.copy(tmp_path / "project")


def planned(project: Project, proposals: int) -> RunPlan:
    project.sets["collections.default.proposals"] = str(proposals)
    return project.plan()


def questions(plan: RunPlan, stage: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_table(f"{plan.folder(stage)}/questions", QUESTIONS).to_pylist()
    return found


def test_questions_that_lead_back_to_their_chunk_are_anticipated(project: Project) -> None:
    plan = planned(project, 100)
    figures = propose(plan)
    anticipate(plan)

    chunks = read_table(f"{plan.folder('prepare')}/chunks", CHUNKS).to_pylist()
    text = {row["chunk_id"]: row["text"] for row in chunks}
    found = [row for row in questions(plan, "anticipate") if row["origin"] == "corpus"]
    assert figures["passages_read"] == len(chunks)
    assert len(found) == figures["kept"] > len(chunks) / 2
    assert all(row["question"].removeprefix("Is it true that ")[:-1] in text[row["detail"]] for row in found)


def test_without_golden_questions_the_rankings_are_weighed_by_all_that_was_proposed(project: Project) -> None:
    plan = planned(project, 100)
    figures = propose(plan)

    weigh(plan)

    facts = fusion_facts(plan)["default"]
    assert isinstance(facts, dict)
    assert (facts["source"], facts["questions"]) == ("proposed", figures["proposed"])
    assert facts["figures"]["learned"]["recall@10"] >= facts["figures"]["dense"]["recall@10"]


def test_proposals_that_do_not_lead_back_are_dropped(project: Project) -> None:
    plan = planned(project, 100)
    propose(plan)

    assert ASTRAY not in {row["question"] for row in questions(plan, "propose")}


def test_no_more_are_kept_than_wanted_and_each_document_has_its_turn(project: Project, llm: ReadingLlm) -> None:
    plan = planned(project, 4)
    propose(plan)

    chunks = read_table(f"{plan.folder('prepare')}/chunks", CHUNKS).to_pylist()
    document = {row["chunk_id"]: row["document_id"] for row in chunks}
    sources = [document[row["detail"]] for row in questions(plan, "propose")]
    assert len(llm.requests) == 4
    assert 0 < len(sources) <= 4
    assert len(set(sources)) == len(sources)


def test_the_model_is_never_asked_twice_about_a_chunk(project: Project, llm: ReadingLlm) -> None:
    first = planned(project, 100)
    propose(first)
    asked = len(llm.requests)
    before = {row["question"] for row in questions(first, "propose")}
    again = project.plan("20261125T000000-next")
    for stage in (prepare, index, propose):
        stage(again)

    assert len(llm.requests) == asked
    assert {row["question"] for row in questions(again, "propose")} == before


def test_a_withdrawn_document_is_not_asked_about(project: Project, llm: ReadingLlm) -> None:
    plan = replace(planned(project, 100), withdrawn=frozenset({("default", "setup.md")}))
    propose(plan)

    chunks = read_table(f"{plan.folder('prepare')}/chunks", CHUNKS).to_pylist()
    withdrawn = {row["chunk_id"] for row in chunks if row["document_id"] == "setup.md"}
    assert withdrawn
    assert len(llm.requests) == len(chunks) - len(withdrawn)
    assert not withdrawn & {row["detail"] for row in questions(plan, "propose")}


def test_a_release_serves_what_the_corpus_proposed_beside_what_the_team_lists(
    project: Project,
    prefect_api: str,  # noqa: ARG001
) -> None:
    project.sets["collections.default.proposals"] = "5"
    project.build()

    origins = dict(
        project.query("SELECT q.origin, count(*) FROM questions q JOIN answers a USING (query_key) GROUP BY ALL")
    )
    assert 0 < origins["corpus"] <= 5
    assert origins["list"] == len(project.questions)
    (costs,) = project.query("SELECT completion_tokens FROM runs ORDER BY started_at DESC LIMIT 1")
    (answers,) = project.query("SELECT sum(completion_tokens) FROM answers WHERE origin = 'generated'")
    assert costs[0] > answers[0] > 0  # what was proposed took tokens too
