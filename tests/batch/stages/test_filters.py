"""Filters in a batch run: what a question carries decides which documents its prompt may show."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from batch.plan import MissedQuestion, RunPlan
from batch.stages.anticipate import anticipate
from batch.stages.cite import cite
from batch.stages.index import index
from batch.stages.prepare import prepare
from batch.stages.propose import propose
from batch.stages.retrieve import retrieve
from batch.stores.parquet import read_rows
from rag.filters import filters_from, fits, marks_of
from rag.identity import query_key
from tests.corpus_project import Project, ReadingLlm
from warehouse.audit.golden import Golden
from warehouse.tables import AnswerRow, ChunkRow, CitationRow, DocumentRow, QuestionRow, RejectRow, RetrievalRow

CONFIGURATION = """
[collections.default]
documents = ["documents"]
questions = ["questions.csv"]
curated = ["curated.csv"]
filters = ["version", "audience"]
filter_defaults = { version = "2" }
key_filters = ["audience"]
proposals = 4
"""
DOCUMENTS = {
    "one.md": "---\nversion: 1\n---\n# Upload limit\n\nThe upload limit of the portal is 10 megabytes.",
    "two.md": "---\nVersion: '2'\n---\n# Upload limit\n\nThe upload limit of the portal is 50 megabytes.",
    "both.md": "---\nversion: [1, 2]\n---\n# Upload formats\n\nIt takes uploads as PDF, within the upload limit.",
    "staff.md": "---\naudience: [HR, ' Legal ']\n---\n# Upload of salaries\n\nThe upload limit for salaries is none.",
    "all.md": "# Portal\n\nThe portal is open all day, and says what its upload limit is.",
}
LIMIT = "What is the upload limit of the portal?"
QUESTIONS = f"""question,version,audience
{LIMIT},1,
{LIMIT},2,
{LIMIT},,
{LIMIT},2,hr
What is the upload limit for salary files?,,
Which formats does the portal take?,1;2,
"""


CURATED = """question,answer,documents,version
Who runs it?,We do.,one.md,1
Who pays the salaries?,HR pays them.,staff.md;all.md,
"""


@pytest.fixture(scope="module")
def plan(
    tmp_path_factory: pytest.TempPathFactory,
    reading_llm: ReadingLlm,
    encoder_folder: Path,  # noqa: ARG001
) -> RunPlan:
    """A run on documents for two versions and two audiences that has reached the prompts."""
    project = Project.create(tmp_path_factory.mktemp("filters") / "project", reading_llm.url)
    configuration = project.folder / "beforehand.toml"
    head, _, rest = configuration.read_text().partition("[collections.default]")
    configuration.write_text(head + CONFIGURATION + "[prompt]" + rest.partition("[prompt]")[2])
    for path in (project.folder / "documents").iterdir():
        path.unlink()
    for name, text in DOCUMENTS.items():
        (project.folder / "documents" / name).write_text(text)
    (project.folder / "questions.csv").write_text(QUESTIONS)
    (project.folder / "curated.csv").write_text(CURATED)
    asked = MissedQuestion("default", "Is the salary upload limited?", 9, 3, json.dumps({"audience": "hr"}))
    golden = Golden(
        "default", "key", "Is the portal open?", ("day",), None, "golden.csv:2", filters=(("version", "1"),)
    )
    plan = replace(project.plan(), misses=(asked,), golden=(golden,))
    for stage in (prepare, index, propose, anticipate, retrieve, cite):
        stage(plan)
    return plan


def _questions(plan: RunPlan) -> list[QuestionRow]:
    return read_rows(f"{plan.folder('anticipate')}/questions", QuestionRow)


def test_no_prompt_shows_a_document_that_does_not_fit_its_question(plan: RunPlan) -> None:
    marks = {
        row["document_id"]: marks_of(("version", "audience"), row["metadata"])
        for row in read_rows(f"{plan.folder('prepare')}/documents", DocumentRow)
    }
    chunks = {row["chunk_id"]: row["document_id"] for row in read_rows(f"{plan.folder('prepare')}/chunks", ChunkRow)}
    retrieved = read_rows(f"{plan.folder('retrieve')}/retrievals", RetrievalRow)

    found: dict[str, set[str]] = {}
    for row in retrieved:
        found.setdefault(row["query_key"], set()).add(chunks[row["chunk_id"]])

    questions = {row["query_key"]: filters_from(row["filters"]) for row in _questions(plan)}
    assert found.keys() == questions.keys()
    for key, documents in found.items():
        assert documents == {each for each in marks if fits(marks[each], questions[key])}


def test_the_same_words_are_a_question_for_each_of_their_values(plan: RunPlan) -> None:
    asked = {
        row["query_key"]: row["filters"]
        for row in _questions(plan)
        if row["question"] == LIMIT and row["origin"] == "list"
    }

    assert sorted(map(sorted, (each.items() for each in asked.values()))) == [
        [("audience", "hr"), ("version", "2")],
        [("version", "1")],
        [("version", "2")],
    ]
    assert query_key("default", LIMIT, (("version", "2"),)) in asked


def test_every_origin_keeps_its_filters(plan: RunPlan) -> None:
    found = {(row["origin"], row["question"]): row["filters"] for row in _questions(plan)}

    assert found["journal", "Is the salary upload limited?"] == {"audience": "hr", "version": "2"}
    assert found["golden", "Is the portal open?"] == {"version": "1"}
    assert found["curated", "Who runs it?"] == {"version": "1"}
    assert found["list", "What is the upload limit for salary files?"] == {"version": "2"}
    corpus = {question: filters for (origin, question), filters in found.items() if origin == "corpus"}
    assert {"audience": "hr", "version": "2"} in corpus.values()
    assert {"version": "1"} in corpus.values()


def test_a_curated_answer_cites_no_document_that_its_question_may_not_see(plan: RunPlan) -> None:
    answers = {row["answer"]: row for row in read_rows(f"{plan.folder('cite')}/answers", AnswerRow)}
    cited = {
        (row["query_key"], row["document_id"]) for row in read_rows(f"{plan.folder('cite')}/citations", CitationRow)
    }

    runs, pays = answers["We do."], answers["HR pays them."]
    assert (runs["status"], runs["filters"]) == ("served", {"version": "1"})
    assert (pays["status"], pays["withheld_reason"]) == (
        "withheld", "names documents that the filters of its question exclude: staff.md",
    )  # fmt: skip
    assert cited == {(runs["query_key"], "one.md"), (pays["query_key"], "all.md")}


def test_a_row_with_several_values_is_rejected(plan: RunPlan) -> None:
    rejects = [row["reason"] for row in read_rows(f"{plan.folder('anticipate')}/rejects", RejectRow)]

    assert any("several values of version (1, 2)" in reason for reason in rejects)
