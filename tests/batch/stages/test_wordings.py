"""Wordings and fences of a run: from the team's files and from the log of rulings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from batch.plan import RunPlan
from batch.selection.release_wordings import collection_texts
from batch.stages.anticipate import anticipate
from batch.stores.parquet import read_rows
from beforehand.run_plan import without_model
from rag.credentials import SecretAddress
from rag.errors import ConfigurationError
from rag.identity import query_key
from tests.corpus_project import Project, ReadingLlm
from warehouse.editorial.decisions import Decision, append_decisions
from warehouse.editorial.wordings import Ruling, append_rulings
from warehouse.tables import AnswerWordingRow, FenceRow, QuestionRow, RejectRow

LONG, BACK = "How long is the warranty?", "How do I send it back?"


@pytest.fixture
def plan(tmp_path: Path, reading_llm: ReadingLlm, encoder_folder: Path) -> RunPlan:  # noqa: ARG001
    """A plan whose list has an answer with variants, and two rows that want one answer."""
    project = Project.create(tmp_path / "project", reading_llm.url)
    (project.folder / "team.csv").write_text(
        f"question,variants,answer,owner\n{LONG},guarantee period|{BACK},,ann\n"
        f"{BACK},,returns,bob\nreturning how,,returns,\nCan I swap it?,,,\n"
    )
    project.sets["collections.default.questions"] = '["team.csv"]'
    return project.plan()


def key(text: str) -> str:
    return query_key("default", text)


def test_lists_and_rulings_become_wordings_and_fences(plan: RunPlan) -> None:
    def about(answer: str, text: str, verdict: str, origin: str, *, person: bool = False) -> Ruling:
        return Ruling("default", key(answer), text, verdict, origin, "ann", person=person)  # type: ignore[arg-type]

    append_decisions(Path(plan.data), [
        Decision("default", key("no way"), "f", "reject", "ann", question="no way"),
    ])  # fmt: skip
    append_rulings(
        Path(plan.data),
        [
            about(BACK, "Can I swap it?", "wording", "review", person=True),
            about("Can I swap it?", "swapping", "wording", "journal"),
            about(LONG, "no way", "wording", "journal"),
            about(LONG, "write to ann@example.org how long", "wording", "journal"),
            about(LONG, "gone answer", "doubtful", "journal"),
            about("not asked any more", "lost", "wording", "journal"),
            about(LONG, "how long is it in meters", "fence", "model"),
            about(LONG, "guarantee period", "fence", "model"),
        ],
    )

    figures = anticipate(plan)

    folder = plan.folder("anticipate")
    asked = {row["question"] for row in read_rows(f"{folder}/questions", QuestionRow) if row["origin"] == "list"}
    assert asked == {LONG, BACK}
    wordings = {row["wording"]: row for row in read_rows(f"{folder}/wordings", AnswerWordingRow)}
    assert {text: row["query_key"] for text, row in wordings.items()} == {
        "guarantee period": key(LONG), "returning how": key(BACK), "Can I swap it?": key(BACK), "swapping": key(BACK),
    }  # fmt: skip
    assert [wordings[text]["approved_by"] for text in ("guarantee period", "returning how")] == ["ann", "bob"]
    assert [row["text"] for row in read_rows(f"{folder}/fences", FenceRow)] == ["how long is it in meters"]
    assert (figures["wordings"], figures["fences"]) == (4, 1)
    texts = collection_texts(plan)["default"]
    assert texts.fences == (("how long is it in meters", key(LONG)),)
    assert not texts.single & {key(LONG), key(BACK)}


def test_without_a_language_model_only_valid_curated_answers_are_anticipated(plan: RunPlan) -> None:
    folder = Path(plan.data).parent
    (folder / "faq.csv").write_text(
        "question,answer,variants,valid_until\nMay I bring a dog?,No.,dogs allowed,\n"
        "Is there a sale?,Yes.,any sale on,2020-01-31\n"
    )
    faq = [SecretAddress(str(folder / "faq.csv"))]
    collections = {name: each.model_copy(update={"curated": faq}) for name, each in plan.collections.items()}
    without = replace(plan, collections=collections, llm=replace(plan.llm, kind="none"))

    figures = anticipate(without)

    out = without.folder("anticipate")
    assert [row["question"] for row in read_rows(f"{out}/questions", QuestionRow)] == ["May I bring a dog?"]
    assert [row["wording"] for row in read_rows(f"{out}/wordings", AnswerWordingRow)] == ["dogs allowed"]
    why = {row["item"]: row["reason"] for row in read_rows(f"{out}/rejects", RejectRow)}
    assert set(why) == {LONG, BACK, "Can I swap it?", "Is there a sale?"}
    assert "it has no curated answer" in why[LONG]
    assert "its valid_until is over" in why["Is there a sale?"]
    assert (figures["questions"], figures["curated"]) == (1, 1)


def test_a_pair_that_is_over_is_answered_by_the_language_model_and_the_run_says_so(plan: RunPlan) -> None:
    folder = Path(plan.data).parent
    (folder / "faq.csv").write_text("question,answer,valid_until\nIs there a sale?,Yes.,2020-01-31\n")
    faq = [SecretAddress(str(folder / "faq.csv"))]
    collections = {name: each.model_copy(update={"curated": faq}) for name, each in plan.collections.items()}

    anticipate(replace(plan, collections=collections))

    out = plan.folder("anticipate")
    assert "Is there a sale?" in {row["question"] for row in read_rows(f"{out}/questions", QuestionRow)}
    why = {row["item"]: row["reason"] for row in read_rows(f"{out}/rejects", RejectRow)}
    assert why["Is there a sale?"] == (
        "faq.csv, line 2: its valid_until is over, so the language model answers the question instead"
    )


def test_what_needs_a_language_model_is_refused_where_there_is_none(plan: RunPlan) -> None:
    assert without_model(plan).settings.anticipate_misses == 0
    wanting = {name: each.model_copy(update={"wordings": 8}) for name, each in plan.collections.items()}
    with pytest.raises(ConfigurationError, match=r"\[collections.default\] wordings = 8: it needs a language model"):
        without_model(replace(plan, collections=wanting))
