"""Visitors' misses beside the answers of the release: what becomes a wording, a fence, a doubt, or stays a miss."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest

from batch import progress
from batch.plan import MissedQuestion, RunPlan
from batch.stages.join import join, left_to_anticipate, wants_joining
from batch.stores.parquet import read_rows
from batch.wordings.visitors import unjudged
from rag.identity import query_key
from tests.batch.stages.wordings_project import DESCALING, TRAY, VINEGAR, WARRANTY, JudgingLlm, ask, publish_answers
from tests.corpus_project import Project
from tests.fake_llm import served
from warehouse.editorial.decisions import Decision, append_decisions
from warehouse.editorial.withdrawal import tombstone
from warehouse.editorial.wordings import Ruling, append_rulings, standing_rulings
from warehouse.tables import RejectRow

LONG = "how many years of warranty do i get?"
LAST_WEEK = (datetime.now(UTC) - timedelta(days=7)).isoformat()
DISHWASHER = "is the drip tray dishwasher safe?"


@pytest.fixture(scope="module")
def judging() -> Iterator[JudgingLlm]:
    model = JudgingLlm()
    with served(model.app) as model.url:
        yield model


@pytest.fixture(scope="module")
def published(
    tmp_path_factory: pytest.TempPathFactory,
    judging: JudgingLlm,
    encoder_folder: Path,  # noqa: ARG001
) -> Project:
    project = Project.create(tmp_path_factory.mktemp("join") / "project", judging.url)
    project.sets["batch.batch_size"] = "64"
    publish_answers(project)
    return project


@pytest.fixture
def llm(judging: JudgingLlm) -> JudgingLlm:
    judging.again()
    return judging


@pytest.fixture
def project(published: Project, tmp_path: Path) -> Project:
    copied = published.copy(tmp_path / "project")
    copied.sets |= published.sets
    return copied


def fitting(**pairs: str):
    """Return a judge for which only what is named fits beside equal questions."""
    fits = {(prepared, asked) for asked, prepared in pairs.items()}
    return lambda prepared, asked: 0.98 if prepared == asked or (prepared, asked) in fits else 0.01


def standing(project: Project, *kinds: str) -> set[tuple[str, str, str]]:
    """Return what stands as (verdict, text, the question of the answer)."""
    questions = {query_key("default", text): text for text in (WARRANTY, DESCALING, VINEGAR, TRAY)}
    return {
        (each.verdict, each.text, questions.get(each.query_key, "?"))
        for each in standing_rulings(project.data)
        if not kinds or each.verdict in kinds
    }


def joined(project: Project, **changes: object) -> RunPlan:
    """Run the stage, and return its plan."""
    plan = replace(project.plan(), **changes)
    join(plan)
    return plan


def test_a_miss_that_an_answer_fits_becomes_its_wording_and_a_fence_of_the_others(
    project: Project, llm: JudgingLlm
) -> None:
    ask(project, LONG)
    llm.fits = fitting(**{LONG: WARRANTY})

    figures = join(project.plan())

    assert standing(project, "wording") == {("wording", LONG, WARRANTY)}
    assert {text for _, text, _ in standing(project, "fence")} <= {LONG}
    assert (figures["clusters"], figures["wordings"]) == (1, 1)
    (wording,) = [each for each in standing_rulings(project.data) if each.verdict == "wording"]
    assert (wording.origin, wording.approved_by, wording.person) == ("journal", "fake-model@unpinned", False)


@pytest.mark.parametrize(("redaction", "found"), [("redact", {("wording", LONG, WARRANTY)}), ("drop", set())])
def test_what_a_server_is_still_writing_counts_in_the_first_night_unless_texts_are_dropped(
    project: Project, llm: JudgingLlm, redaction: str, found: set[tuple[str, str, str]]
) -> None:
    project.sets["history.redaction"] = redaction
    ask(project, LONG, writing=True)
    llm.fits = fitting(**{LONG: WARRANTY})

    join(project.plan())

    assert standing(project, "wording") == found


def test_a_no_is_a_fence_and_the_question_stays_to_be_anticipated(project: Project, llm: JudgingLlm) -> None:
    ask(project, DISHWASHER)
    llm.fits = fitting()
    missed = MissedQuestion("default", DISHWASHER, 3, 3, "{}")

    plan = joined(project, misses=(missed,))

    assert ("fence", DISHWASHER, TRAY) in standing(project)
    assert standing(project, "wording", "doubtful") == set()
    assert left_to_anticipate(plan) == (missed,)


def test_what_is_doubtful_waits_for_a_person_and_is_not_judged_again(project: Project, llm: JudgingLlm) -> None:
    ask(project, DISHWASHER)
    llm.fits = lambda prepared, asked: 0.6 if asked == DISHWASHER and prepared == TRAY else float(prepared == asked)
    joined(project)
    assert standing(project, "wording", "doubtful") == {("doubtful", DISHWASHER, TRAY)}
    llm.requests.clear()

    joined(project)

    assert llm.requests == []


def test_a_guard_makes_a_yes_to_a_look_alike_doubtful(project: Project, llm: JudgingLlm) -> None:
    lookalike = "May I not descale the machine with vinegar?"
    ask(project, lookalike)
    llm.fits = fitting(**{lookalike: VINEGAR})

    joined(project)

    assert standing(project, "wording", "doubtful") == {("doubtful", lookalike, VINEGAR)}


@pytest.mark.parametrize(("said", "words"), [(0.99, True), (0.01, False)], ids=["always yes", "always no"])
def test_the_word_of_a_judge_that_fails_its_exam_counts_for_nothing(
    project: Project, llm: JudgingLlm, said: float, words: bool
) -> None:
    ask(project, LONG)
    llm.fits, llm.words = (lambda *_: said), words

    joined(project)

    assert standing_rulings(project.data) == []


def test_a_judge_without_probabilities_votes(project: Project, llm: JudgingLlm) -> None:
    ask(project, LONG)
    llm.fits, llm.words = fitting(**{LONG: WARRANTY}), True

    joined(project)

    assert standing(project, "wording") == {("wording", LONG, WARRANTY)}
    assert llm.judged.count((WARRANTY, LONG)) == 5


def test_the_other_phrasings_of_a_cluster_are_judged_beside_the_answer_that_fits(
    project: Project, llm: JudgingLlm
) -> None:
    """Three visitors ask in three ways, and one of them wants something else."""
    other, astray = "how many years of warranty do i have", "how many years of warranty do i get in france?"
    for number, text in enumerate((LONG, other, astray)):
        ask(project, text, askers=1, times=3 - number, first=number)
    llm.fits = fitting(**{LONG: WARRANTY, other: WARRANTY})

    figures = join(project.plan())

    assert figures["clusters"] == 1
    assert standing(project, "wording") == {("wording", LONG, WARRANTY), ("wording", other, WARRANTY)}
    assert ("fence", astray, WARRANTY) in standing(project)


def test_one_phrasing_stands_for_a_cluster_that_no_answer_fits(project: Project, llm: JudgingLlm) -> None:
    first, other = "how heavy is the coffee machine?", "how heavy is the coffee machine please"
    ask(project, first, times=2)
    ask(project, other)
    llm.fits = fitting()
    misses = (MissedQuestion("default", other, 3, 3, "{}"), MissedQuestion("default", "who made it?", 9, 9, "{}"))

    plan = joined(project, misses=misses)

    left = {each.question: (each.times, each.askers) for each in left_to_anticipate(plan)}
    assert left == {"who made it?": (9, 9), first: (9, 3)}


def test_too_few_askers_and_what_is_personal_reach_no_judge(project: Project, llm: JudgingLlm) -> None:
    ask(project, LONG, askers=2, times=9)
    ask(project, "how long does the warranty of Karl Lindqvist in 12 Baker Street last?")
    llm.fits = lambda *_: 0.99

    figures = join(project.plan())

    assert (figures["clusters"], figures["personal"]) == (0, 1)
    assert llm.requests == []
    assert standing_rulings(project.data) == []


def test_what_is_personal_is_not_written_among_what_is_left_to_anticipate(project: Project, llm: JudgingLlm) -> None:
    personal = "how long does the warranty of Karl Lindqvist in 12 Baker Street last?"
    ask(project, personal, askers=5)
    llm.fits = fitting()
    missed = MissedQuestion("default", personal, 5, 5, "{}")

    plan = joined(project, misses=(missed,))

    assert left_to_anticipate(plan) == ()
    (reject,) = read_rows(f"{plan.folder('join')}/personal/rejects", RejectRow)
    assert (reject["item"], "5 askers" in reject["reason"]) == (query_key("default", personal), True)
    files = [each for each in Path(plan.folder("join")).rglob("*") if each.is_file()]
    assert not any(b"Lindqvist" in each.read_bytes() for each in files)


def test_a_semantic_hit_that_did_not_help_is_judged_as_a_miss_is(project: Project, llm: JudgingLlm) -> None:
    ask(project, DISHWASHER, source="semantic", helpful=False)
    ask(project, LONG, source="semantic", helpful=True)
    llm.fits = fitting(**{LONG: WARRANTY})

    plan = joined(project)

    assert ("fence", DISHWASHER, TRAY) in standing(project)
    assert [each.question for each in left_to_anticipate(plan)] == [DISHWASHER], "it needs an answer of its own"
    assert LONG not in {text for _, text, _ in standing(project)}


def test_a_wording_that_did_not_help_waits_for_a_person(project: Project) -> None:
    """Visitors who were helped are more, so that only one of the two wordings is in doubt."""
    wordings = {DISHWASHER: query_key("default", TRAY), LONG: query_key("default", WARRANTY)}
    append_rulings(
        project.data,
        [Ruling("default", key, text, "wording", "journal", "m@1", since=LAST_WEEK) for text, key in wordings.items()],
    )
    publish_answers(project, worded=wordings)
    ask(project, DISHWASHER, source="exact", helpful=False)
    ask(project, LONG, source="exact", helpful=True)

    figures = join(project.plan())

    assert standing(project) == {("doubtful", DISHWASHER, TRAY), ("wording", LONG, WARRANTY)}
    assert figures["doubtful"] == 1


def test_one_visitor_alone_puts_no_wording_in_doubt(project: Project) -> None:
    key = query_key("default", TRAY)
    append_rulings(project.data, [Ruling("default", key, DISHWASHER, "wording", "journal", "m@1", since=LAST_WEEK)])
    publish_answers(project, worded={DISHWASHER: key})
    ask(project, DISHWASHER, askers=1, times=5, source="exact", helpful=False)

    join(project.plan())

    assert standing(project) == {("wording", DISHWASHER, TRAY)}


def test_a_yes_to_what_was_reported_as_a_false_hit_is_doubtful(project: Project, llm: JudgingLlm) -> None:
    ask(project, LONG)
    llm.fits = fitting(**{LONG: WARRANTY})
    tombstone(project.data, query_key("default", LONG), query_key("default", WARRANTY), "reported with request r1")

    joined(project)

    assert standing(project, "wording", "doubtful") == {("doubtful", LONG, WARRANTY)}


def test_a_judge_that_people_contradict_makes_no_wording_and_no_fence(project: Project, llm: JudgingLlm) -> None:
    ask(project, LONG)
    ask(project, DISHWASHER)
    llm.fits = fitting(**{LONG: WARRANTY})
    texts = [f"may I descale it {number} times?" for number in range(20)]
    about = Ruling(
        "default", query_key("default", DESCALING), "", "doubtful", "journal", "fake-model@unpinned", confidence=0.7
    )
    append_rulings(project.data, [replace(about, text=each) for each in texts])
    by_ada = replace(about, verdict="fence", approved_by="Ada", person=True, confidence=None)
    append_rulings(project.data, [replace(by_ada, text=each) for each in texts])

    joined(project)

    ours = {each for each in standing(project) if each[1] in (LONG, DISHWASHER)}
    assert ours == {("doubtful", LONG, WARRANTY)}


def test_a_persons_ruling_stays_and_a_wording_is_no_miss_any_more(project: Project, llm: JudgingLlm) -> None:
    ask(project, LONG)
    ask(project, DISHWASHER)
    llm.fits = fitting(**{LONG: WARRANTY, DISHWASHER: TRAY})
    key = query_key("default", TRAY)
    append_rulings(project.data, [Ruling("default", key, DISHWASHER, "fence", "journal", "Ada", person=True)])

    joined(project)

    assert standing(project, "wording") == {("wording", LONG, WARRANTY)}
    assert ("fence", DISHWASHER, TRAY) in standing(project)


@pytest.mark.parametrize(
    ("tokens", "told"), [("100000", "has not passed its exam"), ("1000", "was cut off, by the budget or by the server")]
)
def test_an_exam_that_the_budget_cut_off_is_not_told_as_a_failure_of_the_model(
    project: Project, llm: JudgingLlm, monkeypatch: pytest.MonkeyPatch, tokens: str, told: str
) -> None:
    ask(project, LONG)
    llm.fits = lambda *_: 0.99
    project.sets["retrieval.offline_tokens"] = tokens
    warnings: list[str] = []
    monkeypatch.setattr(progress, "warn", warnings.extend)

    joined(project)

    assert [told in each for each in warnings] == [True]


def test_the_budget_leaves_out_what_it_does_not_suffice_for(project: Project, llm: JudgingLlm) -> None:
    ask(project, LONG)
    llm.fits = fitting(**{LONG: WARRANTY})
    project.sets["retrieval.offline_tokens"] = "0"

    figures = join(project.plan())

    assert figures["left_out"] > 0
    assert llm.requests == []
    assert standing_rulings(project.data) == []


def test_what_a_night_left_out_is_judged_the_next_night_though_it_is_anticipated(
    project: Project, llm: JudgingLlm
) -> None:
    publish_answers(project, asked=[LONG])  # the night before had no tokens for the judge
    ask(project, DISHWASHER)
    llm.fits = fitting(**{LONG: WARRANTY})

    plan = joined(project)

    assert standing(project, "wording") == {("wording", LONG, WARRANTY)}
    assert [each.question for each in left_to_anticipate(plan)] == [DISHWASHER]


def test_a_night_without_misses_asks_the_judge_nothing(project: Project, llm: JudgingLlm) -> None:
    publish_answers(project, asked=[LONG])

    joined(project)

    assert llm.requests == []


def test_two_questions_of_visitors_that_wait_for_a_judge_are_not_put_to_each_other(
    project: Project, llm: JudgingLlm
) -> None:
    other = LONG.replace("years", "months")
    publish_answers(project, asked=[LONG, other])
    ask(project, DISHWASHER)
    llm.fits = lambda prepared, asked: 0.98 if asked in (LONG, other) or prepared == asked else 0.01

    joined(project)

    assert not {(LONG, other), (other, LONG)} & set(llm.judged)
    assert {text for _, text, _ in standing(project, "doubtful", "wording")} == {LONG, other}
    assert "?" not in {answer for *_, answer in standing(project, "doubtful", "wording")}


@pytest.mark.parametrize(("said", "waiting"), [("nothing", 1), ("fence", 0), ("doubtful", 0), ("approve", 0)])
def test_a_question_of_visitors_waits_for_a_judge_until_somebody_has_said_something_about_it(
    project: Project, said: Literal["nothing", "fence", "doubtful", "approve"], waiting: int
) -> None:
    publish_answers(project, asked=[LONG])
    if said == "approve":
        append_decisions(project.data, [Decision("default", query_key("default", LONG), "f", "approve", "ada")])
    elif said != "nothing":
        append_rulings(project.data, [Ruling("default", query_key("default", TRAY), LONG, said, "journal", "m@1")])

    assert len(unjudged(project.plan())) == waiting


def test_it_is_wanted_where_there_is_a_release_and_misses_count(project: Project) -> None:
    assert wants_joining(project.plan())
    project.sets["batch.join_misses"] = "false"
    assert not wants_joining(project.plan())
    project.sets |= {"batch.join_misses": "true", "batch.anticipate_misses": "0"}
    assert not wants_joining(project.plan())
    project.sets["batch.anticipate_misses"] = "2"
    shutil.rmtree(project.data / "releases")
    assert not wants_joining(project.plan())
