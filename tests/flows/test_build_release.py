"""Builds: what they publish, what they keep, what they record, and what they take from the journal."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rag.errors import ConfigurationError
from rag.identity import query_key
from rag.retrieval.vector_index import VectorIndex
from tests.corpus_project import Project, ReadingLlm
from warehouse.editorial.unlisted import unlisted_questions
from warehouse.editorial.withdrawal import withdraw
from warehouse.errors import AuditFailedError, BuildInProgressError
from warehouse.lease import Lease
from warehouse.releases.release import current, current_id, failed_builds, verify


def ask(project: Project, question: str, source: str, times: int, number: int = 0, askers: int = 3) -> None:
    """Write journal records as the service would; some visitors ask in turn."""
    folder = project.data / "journal"
    folder.mkdir(exist_ok=True)
    at = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    key = query_key("default", question)
    records = [
        {"kind": "request", "request_id": f"{source}-{number}-{each}", "at": at, "collection": "default",
         "route": "/v1/answers", "question": question, "query_key": key, "source": source, "status": 200,
         "total_seconds": 0.1, "asker": f"visitor-{each % askers}"}
        for each in range(times)
    ]  # fmt: skip
    (folder / f"segment-{source}-{number}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))


def test_a_release_is_complete_and_records_how_it_was_made(base_project: Project) -> None:
    release = current(base_project.data)

    verify(release)
    assert {"warehouse.duckdb", "serving.lmdb", "prompt.txt", "collections", "encoder", "manifest.json"} <= {
        path.name for path in release.path.iterdir()
    }
    assert release.manifest["model"] == "fake-model@unpinned"
    assert all(check["passed"] for check in release.manifest["audit"])
    run = base_project.query("SELECT documents, questions, generated, reused, rejected FROM runs")
    assert run == [(11, 11, 11, 0, 0)]
    stages = [stage for (stage,) in base_project.query("SELECT stage FROM run_stages ORDER BY started_at")]
    assert stages[:4] == ["prepare", "index", "anticipate", "retrieve"]


def test_a_curated_answer_whose_document_is_gone_is_withheld_and_not_searched_for(project: Project) -> None:
    pairs = [
        {"question": "Who sells descaler?", "answer": "Every shop.", "documents": ["warranty.html"]},
        {"question": "Who sells filters?", "answer": "We do.", "documents": ["setup.md", "misspelt.md"]},
    ]
    (project.folder / "curated.jsonl").write_text("".join(json.dumps(each) + "\n" for each in pairs))
    project.sets["collections.default.curated"] = '["curated.jsonl"]'
    withdraw(project.data, "default", "warranty.html", "recalled")

    project.build()

    told = dict(project.query("SELECT answer, withheld_reason FROM answers WHERE origin = 'curated'"))
    assert told == {
        "Every shop.": "names documents that are not there: warranty.html",
        "We do.": "names documents that are not there: misspelt.md",
    }
    searched = list(VectorIndex.load(current(project.data).path / "collections" / "default" / "questions").ids)
    served = project.query("SELECT query_key FROM answers WHERE status = 'served' ORDER BY query_key")
    assert sorted(searched) == [key for (key,) in served]


def test_frequent_misses_are_anticipated_and_stay_so(project: Project, llm: ReadingLlm) -> None:
    missed = "How heavy is the machine?"
    ask(project, missed, "live", times=3)
    ask(project, "How loud is the pump?", "live", times=1, number=1)

    project.build()

    assert llm.asked() == [missed], "what was asked once is not anticipated"
    origin = project.query("SELECT origin FROM questions WHERE question = ?", missed)
    assert origin == [("journal",)]
    llm.requests.clear()
    project.build()

    assert project.query("SELECT origin FROM questions WHERE question = ?", missed) == origin, "a hit is no miss"
    assert project.changes()[missed] == ("reused", None)
    assert llm.requests == []


def test_visitors_put_in_no_secret_of_anyone_and_stop_no_release(project: Project) -> None:
    """One who asks in many forms, several who slander, and a dozen questions that the documents don't answer."""
    before = current_id(project.data)
    alone = "Is the neighbour of the shop a fraud?"
    ask(project, alone, "live", times=9, askers=1)
    ask(project, alone.upper(), "refused", times=9, number=1, askers=1)
    slander = "Did Karl Lindqvist of 12 Baker Street steal it, see https://evil.example and 030 555 7391?"
    ask(project, slander, "live", times=9, number=2, askers=5)
    poems = [f"write me a poem about the moon and {animal}" for animal in "cats dogs owls bats rats ants bees cows "
             "hens pigs eels frogs".split()]  # fmt: skip
    for number, poem in enumerate(poems, start=3):
        ask(project, poem, "live", times=6, number=number)

    release = project.build().release_id

    assert release != before
    origins = dict(project.query("SELECT question, origin FROM questions WHERE origin = 'journal'"))
    assert set(origins) == set(poems)
    assert {status for (status,) in project.query(
        "SELECT a.status FROM answers a JOIN questions q USING (query_key) WHERE q.origin = 'journal'"
    )} == {"withheld"}  # fmt: skip
    tables = [name for (name,) in project.query("SELECT table_name FROM duckdb_tables()")]
    published = " ".join(str(project.query(f"FROM {table}")) for table in tables).lower()
    for canary in ("lindqvist", "baker street", "evil.example", "555 7391", "neighbour"):
        assert canary not in published
    assert {each.question for each in unlisted_questions(project.data)} == set(poems)


def expect_a_unicorn(project: Project) -> None:
    """Add a golden question that no release answers correctly."""
    project.sets["audit.golden"] = '["golden.jsonl"]'
    (project.folder / "golden.jsonl").write_text(
        json.dumps({"question": project.questions[0], "collection": "default", "expected": ["a unicorn"]}) + "\n"
    )
    project.sets["audit.least_golden"] = "1"


def test_a_failed_audit_keeps_the_build_for_inspection_and_publishes_nothing(project: Project) -> None:
    before = current_id(project.data)
    expect_a_unicorn(project)

    with pytest.raises(AuditFailedError, match=r"is not published; it is kept as \S+ for inspection"):
        project.build()

    assert current_id(project.data) == before
    assert len(failed_builds(project.data)) == 1
    assert list((project.data / "releases").glob(".building-*")) == []
    abandoned = Lease.acquire(project.data / "releases" / ".lease", "next")
    abandoned.release()


def test_a_release_knows_the_runs_that_failed_before_it(project: Project, llm: ReadingLlm) -> None:
    project.sets["sampling.max_tokens"] = "77"
    expect_a_unicorn(project)
    with pytest.raises(AuditFailedError):
        project.build()
    generated = len(llm.requests)
    project.sets["audit.least_golden"] = "0"

    project.build()

    runs = project.query("SELECT status, generated FROM runs ORDER BY started_at")
    assert runs[-2:] == [("failed its audit", generated), ("published", 0)]
    assert {change for change, _ in project.changes().values()} == {"restored"}


def test_a_build_that_another_one_blocks_changes_nothing(project: Project, llm: ReadingLlm) -> None:
    lease = Lease.acquire(project.data / "releases" / ".lease", "the other run")
    try:
        with pytest.raises(BuildInProgressError, match="the other run"):
            project.build()
    finally:
        lease.release()

    assert llm.requests == []
    assert len(list((project.data / "runs").iterdir())) == 1


def test_runs_older_than_the_last_few_are_removed_and_releases_stay_whole(project: Project) -> None:
    runs = project.data / "runs"
    for number in range(9):
        (runs / f"20250101T00000{number}-aaaa" / "prepare").mkdir(parents=True)
    project.sets["releases.keep_runs"] = "2"

    outcome = project.build()

    kept = sorted(path.name for path in runs.iterdir())
    assert len(kept) == 3
    assert kept[0] == "20250101T000008-aaaa"
    assert kept[-1] == outcome.run_id
    verify(current(project.data))


def test_the_summary_says_what_became_of_the_answers(project: Project) -> None:
    from flows.reporting.artifacts import stages

    outcome = project.build()

    said = stages(outcome.run_id, outcome.ledger.seconds, outcome.ledger.figures)
    assert "| changes |" in said
    assert "11 reused" in said
    assert "11 chunks" not in said


def test_a_single_stage_runs_only_on_a_known_run_and_not_beside_a_build(project: Project) -> None:
    from flows.build_release import run_one_stage
    from flows.errors import UnknownStageError

    plan = project.plan("20260101T000000-none")
    with pytest.raises(UnknownStageError, match="no such run"):
        run_one_stage("cite", plan)
    with pytest.raises(UnknownStageError, match="prepare, index, enrich, propose, weigh, join, anticipate"):
        run_one_stage("polish", plan)
    run = next((project.data / "runs").iterdir()).name
    lease = Lease.acquire(project.data / "releases" / ".lease", "a build")
    try:
        with pytest.raises(BuildInProgressError):
            run_one_stage("cite", project.plan(run))
    finally:
        lease.release()
    run_one_stage("cite", project.plan(run))
    assert list(Path(project.plan(run).folder("cite"), "answers").glob("*.parquet"))


def test_a_reranker_orders_passages_in_the_batch_and_is_part_of_the_release(
    project: Project, reranker_source: Path, tmp_path: Path
) -> None:
    from batch.models.pull import pull
    from online.release.opening import open_release
    from rag.settings import RetrievalSettings

    fused = project.query("SELECT query_key, chunk_id FROM retrievals WHERE in_prompt ORDER BY query_key, rank")
    project.sets["retrieval.reranker"] = str(pull(str(reranker_source), tmp_path / "models").path)
    project.sets |= {"retrieval.rerank_candidates": "2", "retrieval.passage_order": "relevance"}

    project.build()

    reranked = project.query("SELECT query_key, chunk_id FROM retrievals WHERE in_prompt ORDER BY query_key, rank")
    assert reranked != fused
    assert {reason for change, reason in project.changes().values() if change == "regenerated"} == {"passages"}
    assert project.query("SELECT count(*) FROM models WHERE kind = 'reranker'") == [(1,)]
    release = current(project.data)
    opened = open_release(
        release.release_id,
        release.path,
        release.manifest["checksums"],
        {"default": RetrievalSettings(rerank_candidates=2, passage_tokens=0, passage_order="relevance")},
    )
    question, key = project.query("SELECT question, query_key FROM questions LIMIT 1")[0]
    live = opened.collections["default"].retriever.retrieve(
        question, opened.encoder.embed([question])[0], opened.stored_chunk
    )
    assert [passage.chunk.chunk_id for passage in live] == [chunk for other, chunk in reranked if other == key]
    opened.retire()


def test_a_model_that_is_not_a_cross_encoder_is_refused_as_a_reranker(project: Project, encoder_folder: Path) -> None:
    project.sets["retrieval.reranker"] = str(encoder_folder)

    with pytest.raises(ConfigurationError, match="is no cross-encoder"):
        project.plan()
