"""Each stage alone on a small corpus: what it writes, rejects and reuses."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch import memory
from batch.plan import MissedQuestion, RunPlan
from batch.questions.question_files import parse_questions
from batch.reading.document import Document
from batch.reading.documents import parse
from batch.rows import CURATED, PROMPTS
from batch.sources.source_files import SourceFile
from batch.stages.anticipate import anticipate
from batch.stages.cite import cite
from batch.stages.generate import generate
from batch.stages.index import index
from batch.stages.prepare import prepare, with_link
from batch.stages.retrieve import retrieve
from batch.stores.generation_store import known_fingerprints
from batch.stores.parquet import read_table
from rag.errors import ConfigurationError, LlmMisconfiguredError, LlmUnavailableError
from rag.identity import query_key
from rag.retrieval.token_vectors import TokenVectors
from rag.retrieval.vector_index import VectorIndex
from tests.corpus_project import ROOT, Project, ReadingLlm
from warehouse.audit.golden import Golden
from warehouse.editorial.decisions import Decision, append_decisions
from warehouse.planning.retirement import note_anticipated
from warehouse.tables import ANSWERS, CHUNKS, CITATIONS, DOCUMENTS, JOURNAL, QUESTIONS, REJECTS, RETRIEVALS, SET_ASIDE

BAD = ROOT / "tests" / "corpus_bad"


@pytest.fixture(scope="module")
def retrieved(
    tmp_path_factory: pytest.TempPathFactory,
    reading_llm: ReadingLlm,
    encoder_folder: Path,  # noqa: ARG001
) -> Project:
    """A project whose run has reached the prompts."""
    project = Project.create(tmp_path_factory.mktemp("stages") / "project", reading_llm.url)
    plan = project.plan()
    for stage in (prepare, index, anticipate, retrieve):
        stage(plan)
    return project


@pytest.fixture
def project(retrieved: Project, llm: ReadingLlm, tmp_path: Path) -> Project:  # noqa: ARG001
    return retrieved.copy(tmp_path / "project")


def rows(plan: RunPlan, stage: str, table: str, schema: object) -> list[dict[str, object]]:
    found: list[dict[str, object]] = read_table(f"{plan.folder(stage)}/{table}", schema).to_pylist()
    return found


def test_an_index_without_room_is_refused_before_anything_is_embedded(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = project.plan()
    monkeypatch.setattr(memory, "_CODE", 1e9)
    small = replace(plan, settings=plan.settings.model_copy(update={"memory_gb": 0.5}))

    with pytest.raises(ConfigurationError, match=r"memory_gb = 0\.5: the index of the collection \w+ has \d+ vectors"):
        index(small)


def test_prepare_reads_every_kind_of_document_and_cuts_it(project: Project) -> None:
    plan = project.plan()
    documents = rows(plan, "prepare", "documents", DOCUMENTS)
    chunks = rows(plan, "prepare", "chunks", CHUNKS)

    assert {"setup.md", "warranty.html", "returns.txt"} <= {row["document_id"] for row in documents}
    assert {row["media_type"] for row in documents} >= {"text/markdown", "text/html", "text/plain"}
    assert {row["document_id"] for row in chunks} == {row["document_id"] for row in documents}
    assert len({row["chunk_id"] for row in chunks}) == len(chunks)


@pytest.mark.parametrize(
    ("name", "text", "link"),
    [
        ("guide/a.md", "---\nurl: https://own.example/a\n---\n# A\n\nText.", "https://own.example/a"),
        ("a.html", "<link rel=canonical href='/a/'><h1>A</h1><p>Text.</p>", "https://docs.example/a/"),
        ("guide/a.md", "# A\n\nText.", "https://docs.example/guide/a"),
        ("a.csv", "id,text,link\n1,Text.,https://own.example/1\n", "https://own.example/1"),
        ("a.csv", "id,text\n1,Text.\n", ""),
    ],
)
def test_a_document_leads_to_where_readers_find_it(name: str, text: str, link: str) -> None:
    [document] = parse(name, text.encode(), "default")
    assert isinstance(document, Document)

    found = with_link(
        document, SourceFile("default", name, f"/srv/{name}"), "https://docs.example/{path_without_ending}"
    )

    assert found.url == link


def test_prepare_rejects_what_it_cannot_read_and_goes_on(project: Project) -> None:
    project.sets["collections.default.documents"] = json.dumps([str(BAD), "documents"])

    figures = prepare(project.plan())

    rejects = rows(project.plan(), "prepare", "rejects", REJECTS)
    assert figures["documents"] >= 11
    assert figures["rejects"] == len(rejects) > 0
    assert "empty.md" in {row["item"] for row in rejects}
    assert all(row["reason"] and row["collection"] == "default" for row in rejects)


def test_prepare_tells_of_hidden_text_and_of_files_that_it_skips(project: Project) -> None:
    folder = project.folder / "more"
    folder.mkdir()
    (folder / "refunds.html").write_text("<p>Paid in 14 days.</p><p hidden>Refunds are never paid.</p>")
    (folder / "latin.txt").write_bytes("Größe".encode("cp1252"))
    (folder / "picture.png").write_bytes(b"\x89PNG")
    project.sets["collections.default.documents"] = '["more"]'
    project.sets["collections.default.encoding"] = "cp1252"

    figures = prepare(project.plan())

    rejects = {row["item"]: str(row["reason"]) for row in rows(project.plan(), "prepare", "rejects", REJECTS)}
    assert (figures["documents"], figures[".png skipped"]) == (2, 1)
    assert "Refunds are never paid." in rejects["refunds.html"]
    assert "Refunds are never paid." not in str(rows(project.plan(), "prepare", "chunks", CHUNKS))


def test_prepare_survives_an_unforeseen_error_of_a_reader(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(name: str, *rest: object) -> object:
        return 1 / 0 if name == "setup.md" else parse(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("batch.stages.prepare.parse", failing)

    prepare(project.plan())

    assert [row["reason"] for row in rows(project.plan(), "prepare", "rejects", REJECTS)] == [
        "setup.md: reading it failed (ZeroDivisionError: division by zero); fix it or leave it out"
    ]


def test_anticipate_survives_an_unforeseen_error_of_a_reader(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.folder / "more.txt").write_text("Is it loud?\n")
    project.sets["collections.default.questions"] = '["questions.txt", "more.txt"]'

    def failing(name: str, *rest: object) -> object:
        return 1 / 0 if name == "questions.txt" else parse_questions(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("batch.stages.anticipate.parse_questions", failing)

    anticipate(project.plan())

    assert [row["question"] for row in rows(project.plan(), "anticipate", "questions", QUESTIONS)] == ["Is it loud?"]
    assert [row["item"] for row in rows(project.plan(), "anticipate", "rejects", REJECTS)] == ["questions.txt"]


def test_text_that_no_table_can_hold_is_rejected_without_ending_the_run(project: Project) -> None:
    (project.folder / "documents" / os.fsdecode(b"caf\xe9.md")).write_text("# Café\n\nCoffee.")
    (project.folder / "more.jsonl").write_text(
        json.dumps({"custom_id": "a\ud800", "body": {"messages": [{"role": "user", "content": "\ud800?"}]}})
    )
    project.sets["collections.default.questions"] = '["questions.txt", "more.jsonl"]'

    prepare(project.plan())
    anticipate(project.plan())

    assert [row["item"] for row in rows(project.plan(), "prepare", "rejects", REJECTS)] == ["caf\\xe9.md"]
    assert [row["item"] for row in rows(project.plan(), "anticipate", "rejects", REJECTS)] == [
        "more.jsonl, line 1, a\ufffd"
    ]


def test_a_stage_that_runs_again_replaces_what_it_wrote(project: Project) -> None:
    plan = project.plan()
    folder = Path(plan.folder("prepare")) / "documents"
    before = len(rows(plan, "prepare", "documents", DOCUMENTS))
    part = next(folder.glob("*.parquet"))
    part.rename(folder / "part-00003-of-00004.parquet")  # like a leftover of an earlier attempt with more parts

    prepare(plan)

    assert len(rows(plan, "prepare", "documents", DOCUMENTS)) == before


def test_a_withdrawn_document_is_left_out_and_rejected(project: Project) -> None:
    plan = replace(project.plan(), withdrawn=frozenset({("default", "setup.md")}))

    prepare(plan)

    assert "setup.md" not in {row["document_id"] for row in rows(plan, "prepare", "documents", DOCUMENTS)}
    assert ["is withdrawn" in str(row["reason"]) for row in rows(plan, "prepare", "rejects", REJECTS)] == [True]


def test_index_carries_every_chunk_and_embeds_none_twice(project: Project) -> None:
    plan = project.plan()
    chunks = {row["chunk_id"] for row in rows(plan, "prepare", "chunks", CHUNKS)}
    carried = VectorIndex.load(Path(plan.folder("index")) / "default" / "passages")

    assert set(carried.ids) == chunks
    assert set(TokenVectors.load(Path(plan.folder("index")) / "default" / "tokens").ids) == chunks
    assert index(plan)["embedded"] == 0


def golden(question: str) -> Golden:
    return Golden("default", query_key("default", question), question, ("steel",), None, "golden.jsonl:1")


def test_anticipate_keeps_each_question_once_the_team_s_answer_first(project: Project) -> None:
    project.questions = ["How heavy is it?", "HOW HEAVY IS IT", "How long does it last?", "???", "x" * 3000]
    (project.folder / "curated.jsonl").write_text(
        json.dumps({"question": "how heavy is it", "answer": "7.4 kg.", "documents": ["specifications.txt"]}) + "\n"
    )
    project.sets["collections.default.curated"] = '["curated.jsonl"]'
    seen = MissedQuestion("default", "How long does it last", 9, 3)
    typed = MissedQuestion("default", "!!!", 4, 3)  # visitors type anything
    plan = replace(
        project.plan(),
        misses=(seen, MissedQuestion("default", " Is it\nblue?", 3, 3), typed),
        canaries=("Who shaves the moon?",),
        golden=(golden("Is it made of steel?"), golden("HOW HEAVY IS IT")),
    )

    figures = anticipate(plan)

    questions = rows(plan, "anticipate", "questions", QUESTIONS)
    assert {(row["question"], row["origin"]) for row in questions} == {
        ("how heavy is it", "curated"),
        ("How long does it last?", "list"),
        ("Is it blue?", "journal"),
        ("Who shaves the moon?", "canary"),
        ("Is it made of steel?", "golden"),
    }
    assert [row["answer"] for row in rows(plan, "anticipate", "curated", CURATED)] == ["7.4 kg."]
    reasons = " ".join(str(row["reason"]) for row in rows(plan, "anticipate", "rejects", REJECTS))
    assert figures["rejects"] == 5
    assert reasons.count("asks the same as") == 2
    assert "too long" in reasons
    assert "punctuation only" in reasons
    assert "the journal, asked 4 times" in reasons


def test_a_visitor_takes_no_canary_from_the_audit_and_no_golden_question(project: Project) -> None:
    project.questions = ["How heavy is it?"]
    canary, checked = "Who shaves the moon?", "Is it made of steel?"
    asked = tuple(MissedQuestion("default", each, 9, 9) for each in (canary, checked))
    anticipate(plan := replace(project.plan(), misses=asked, canaries=(canary,), golden=(golden(checked),)))
    origins = {row["question"]: row["origin"] for row in rows(plan, "anticipate", "questions", QUESTIONS)}
    assert origins == {"How heavy is it?": "list", canary: "canary", checked: "golden"}


def test_a_visitors_question_with_something_personal_is_refused_and_its_text_is_written_nowhere(
    project: Project,
) -> None:
    project.questions = ["How heavy is it?"]
    asked = [
        "Did Karl Lindqvist of 12 Baker Street steal the machine?",
        "Call me back at 030 1234567 please",
        "Where can I buy at https://evil.example cheaply?",
    ]
    harmless = "How long is the warranty?"
    plan = replace(project.plan(), misses=tuple(MissedQuestion("default", each, 9, 9) for each in [*asked, harmless]))
    anticipate(plan)
    assert [
        row["question"] for row in rows(plan, "anticipate", "questions", QUESTIONS) if row["origin"] == "journal"
    ] == [harmless]
    rejects = rows(plan, "anticipate", "rejects", REJECTS)
    assert [row["item"] for row in rejects].count(query_key("default", asked[0])) == 1
    assert sum("something personal" in row["reason"] for row in rejects) == 3
    written = b"".join(path.read_bytes() for path in Path(plan.folder("anticipate")).rglob("*.parquet"))
    for canary in (b"Lindqvist", b"Baker", b"1234567", b"evil"):
        assert canary not in written


def test_retrieve_gives_each_question_its_passages_and_its_prompt(project: Project) -> None:
    plan = project.plan()
    prompts = rows(plan, "retrieve", "prompts", PROMPTS)
    retrievals = rows(plan, "retrieve", "retrievals", RETRIEVALS)
    chunks = {row["chunk_id"]: row for row in rows(plan, "prepare", "chunks", CHUNKS)}

    assert {row["question"] for row in prompts} == set(project.questions)
    assert len({row["fingerprint"] for row in prompts}) == len(prompts)
    for prompt in prompts:
        own = [row for row in retrievals if row["query_key"] == prompt["query_key"]]
        assert [row["rank"] for row in sorted(own, key=lambda row: row["rank"])] == list(range(1, len(own) + 1))  # type: ignore[arg-type, return-value]
        assert {row["chunk_id"] for row in own if row["in_prompt"]} == set(prompt["chunk_ids"])  # type: ignore[call-overload]
        assert all(
            str(chunks[each]["text"])[:20] in json.loads(str(prompt["messages"]))[-1]["content"]
            for each in prompt["chunk_ids"]
        )  # type: ignore[attr-defined]
    error = next(row for row in prompts if "E4" in str(row["question"]))
    assert any("E4" in str(chunks[each]["text"]) for each in error["chunk_ids"])  # type: ignore[index]


def test_a_prompt_shows_what_stands_around_its_passages(project: Project) -> None:
    alone = {row["query_key"]: row["fingerprint"] for row in rows(project.plan(), "retrieve", "prompts", PROMPTS)}
    project.sets |= {"retrieval.passages": "1", "retrieval.passage_tokens": "600"}
    plan = project.plan()

    retrieve(plan)

    chunks = {row["chunk_id"]: row for row in rows(plan, "prepare", "chunks", CHUNKS)}
    in_prompt = {
        (row["query_key"], row["chunk_id"])
        for row in rows(plan, "retrieve", "retrievals", RETRIEVALS)
        if row["in_prompt"]
    }
    for prompt in rows(plan, "retrieve", "prompts", PROMPTS):
        shown = [chunk_id for passage in prompt["shown_ids"] for chunk_id in passage]  # type: ignore[attr-defined]
        asked = json.loads(str(prompt["messages"]))[-1]["content"]
        assert {(prompt["query_key"], chunk_id) for chunk_id in shown} == {
            each for each in in_prompt if each[0] == prompt["query_key"]
        }
        assert all(str(chunks[chunk_id]["text"])[:20] in asked for chunk_id in shown)
        assert len(shown) > 1
        assert prompt["fingerprint"] != alone[prompt["query_key"]]


def test_generate_asks_what_is_not_known_with_the_sampling_that_was_set(project: Project, llm: ReadingLlm) -> None:
    project.sets |= {"sampling.max_tokens": "77", "sampling.temperature": "0.5", "sampling.frequency_penalty": "0.2"}
    plan = project.plan()
    retrieve(plan)

    figures = generate(plan)

    assert (figures["generated"], figures["reused"], figures["rejects"]) == (len(project.questions), 0, 0)
    sent = {(body["max_tokens"], body["temperature"], body["frequency_penalty"]) for body in llm.requests}
    assert sent == {(77, 0.5, 0.2)}
    llm.requests.clear()
    again = generate(replace(plan, run_id=plan.run_id, settings=plan.settings))
    assert llm.requests == []
    assert again["generated"] == len(project.questions), "a second attempt of one run tells what the run generated"


def test_generate_makes_answers_anew_that_are_older_than_their_collection_allows(
    project: Project, llm: ReadingLlm
) -> None:
    plan = project.plan()
    generate(plan)
    llm.requests.clear()
    (name, settings), *_ = plan.collections.items()

    def with_age(seconds: int) -> RunPlan:
        aged = {**plan.collections, name: settings.model_copy(update={"max_age": seconds})}
        return replace(plan, collections=aged)

    generate(with_age(3600))
    assert llm.requests == []
    generate(with_age(0))
    assert len(llm.requests) > 0


def test_generate_keeps_what_was_answered_when_the_model_goes_away(project: Project, llm: ReadingLlm) -> None:
    plan = project.plan()
    llm.behaviour.fail_with = 500

    with pytest.raises(LlmUnavailableError, match="answered 500") as raised:
        generate(plan)

    assert "while running" not in str(raised.value)
    assert known_fingerprints(plan.answer_store) == set()
    llm.behaviour.fail_with = None
    assert generate(plan)["generated"] == len(project.questions)


def test_a_prompt_that_the_model_refuses_is_a_reject_and_the_others_go_on(project: Project, llm: ReadingLlm) -> None:
    plan = project.plan()
    llm.behaviour.fail_with = 400

    figures = generate(plan)

    rejects = rows(plan, "generate", "rejects", REJECTS)
    assert figures["generated"] == 0
    assert figures["rejects"] == len(project.questions) == len(rejects)
    assert all("400" in str(row["reason"]) for row in rejects)
    llm.behaviour.fail_with = None
    assert generate(plan) | {"rejects": 0} == generate(plan)
    assert rows(plan, "generate", "rejects", REJECTS) == []


def test_a_wrong_key_fails_the_stage_with_one_sentence_and_rejects_no_question(
    project: Project, llm: ReadingLlm
) -> None:
    plan = project.plan()
    llm.behaviour.fail_with = 401

    with pytest.raises(LlmMisconfiguredError, match=r"answered 401: broken; check \[llm\] api_key$"):
        generate(plan)

    assert rows(plan, "generate", "rejects", REJECTS) == []


def test_generate_waits_for_an_endpoint_that_asks_to_wait(project: Project, llm: ReadingLlm) -> None:
    llm.behaviour.refuse_above = 1
    llm.behaviour.seconds = 0.05
    try:
        figures = generate(project.plan())
    finally:
        llm.behaviour.refuse_above, llm.behaviour.seconds = None, 0.0

    assert figures["generated"] == len(project.questions)


def test_an_endpoint_that_is_down_leaves_its_work_to_the_others(project: Project, llm: ReadingLlm) -> None:
    project.sets["batch.endpoints"] = json.dumps(["http://127.0.0.1:9/v1", f"{llm.url}/v1"])

    assert generate(project.plan())["generated"] == len(project.questions)


def test_cite_links_answers_to_chunks_that_were_in_the_prompt(project: Project) -> None:
    plan = project.plan()
    generate(plan)

    cite(plan)

    prompts = {row["query_key"]: row for row in rows(plan, "retrieve", "prompts", PROMPTS)}
    answers = rows(plan, "cite", "answers", ANSWERS)
    citations = rows(plan, "cite", "citations", CITATIONS)
    assert {row["query_key"] for row in answers} == set(prompts) == {row["query_key"] for row in citations}
    assert all(row["finish_reason"] == "stop" and row["support"] > 0.9 for row in answers)  # type: ignore[operator]
    assert all(row["chunk_id"] in prompts[row["query_key"]]["chunk_ids"] for row in citations)  # type: ignore[operator]
    assert {row["kind"] for row in citations} == {"cited"}


def test_a_curated_answer_is_cited_to_its_documents_and_never_generated(project: Project, llm: ReadingLlm) -> None:
    (project.folder / "curated.jsonl").write_text(
        json.dumps({"question": project.questions[0], "answer": "1.8 litres.", "documents": ["setup.md"]}) + "\n"
    )
    project.sets["collections.default.curated"] = '["curated.jsonl"]'
    plan = project.plan()
    anticipate(plan)
    retrieve(plan)
    assert generate(plan)["generated"] == len(project.questions) - 1

    cite(plan)

    own = [row for row in rows(plan, "cite", "answers", ANSWERS) if row["origin"] == "curated"]
    assert [row["answer"] for row in own] == ["1.8 litres."]
    cited = [row for row in rows(plan, "cite", "citations", CITATIONS) if row["query_key"] == own[0]["query_key"]]
    assert [row["document_id"] for row in cited] == ["setup.md"]
    beginnings = {row["chunk_id"] for row in rows(plan, "prepare", "chunks", CHUNKS) if row["position"] == 0}
    assert {row["chunk_id"] for row in cited} <= beginnings
    assert project.questions[0] not in llm.asked()


def ask_yesterday(project: Project, question: str) -> str:
    """Have five visitors ask a question, and return its key."""
    key = query_key("default", question)
    requests = [{"kind": "request", "query_key": key, "source": "exact", "asker": str(n)} for n in range(5)]
    folder = project.data / "history" / f"day={datetime.now(UTC).date() - timedelta(days=1)}"
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(requests, schema=JOURNAL), folder / "history.parquet")
    return key


def test_within_a_budget_the_most_asked_comes_first_and_the_others_wait(project: Project, llm: ReadingLlm) -> None:
    often = ask_yesterday(project, project.questions[-1])
    golden = Golden("default", query_key("default", project.questions[0]), project.questions[0], ("x",), None, "test")
    project.sets["batch.budget_tokens"] = "1200"

    figures = generate(replace(project.plan(), golden=(golden,)))

    answered = {query_key("default", question) for question in llm.asked()}
    waiting = rows(project.plan(), "generate", "set_aside", SET_ASIDE)
    assert {often, golden.query_key} <= answered
    assert figures["postponed"] == len(waiting) == len(project.questions) - len(answered) > 0
    assert figures["prompt_tokens"] + figures["completion_tokens"] <= 1200
    assert all(row["reason"] == "budget" and row["question"] and row["tokens"] for row in waiting)


def test_what_waited_is_answered_by_the_next_run(project: Project, llm: ReadingLlm) -> None:
    project.sets["batch.budget_minutes"] = "0.00001"  # a first round of what is in flight at once, and no more
    first = generate(project.plan())
    project.sets["batch.budget_minutes"] = "10"

    second = generate(project.plan())

    assert (first["generated"], first["postponed"]) == (2, len(project.questions) - 2)
    assert second["postponed"] == 0
    assert sorted(llm.asked()) == sorted(project.questions)
    assert rows(project.plan(), "generate", "set_aside", SET_ASIDE) == []


def test_what_nobody_asked_for_so_many_nights_retires(project: Project) -> None:
    asked, decided, *others = project.questions
    keys = [("default", query_key("default", each)) for each in project.questions]
    note_anticipated(project.data, keys, ["default"], datetime.now(UTC).date() - timedelta(days=31))
    append_decisions(project.data, [Decision("default", query_key("default", decided), "f", "approve", "Ada")])
    ask_yesterday(project, asked)
    project.sets["batch.retire_after"] = "30"

    figures = anticipate(project.plan())

    retired = rows(project.plan(), "anticipate", "set_aside", SET_ASIDE)
    assert sorted(str(row["question"]) for row in retired) == sorted(others)
    assert (figures["questions"], figures["retired"]) == (2, len(others))
    project.sets["collections.default.retire_after"] = "60"
    assert anticipate(project.plan())["questions"] == len(project.questions)
