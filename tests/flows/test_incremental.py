"""Incremental builds: they generate only what changed, and record why."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.corpus_project import Project, ReadingLlm

TANK = "How much water goes into the tank?"
E4 = "What does error E4 mean?"
WARRANTY = "How long does the warranty last?"


def outcomes(project: Project) -> Counter[tuple[str, str | None]]:
    return Counter(project.changes().values())


def counts(project: Project) -> tuple[int, int, int]:
    """Return how many answers the run's row says were generated, reused and dropped."""
    row = project.query("SELECT generated, reused, dropped FROM runs ORDER BY run_id DESC LIMIT 1")[0]
    return row[0], row[1], row[2]


def test_nothing_changed_generates_nothing(project: Project, llm: ReadingLlm) -> None:
    outcome = project.build()

    assert llm.requests == []
    assert outcomes(project) == {("reused", None): len(project.questions)}
    assert counts(project) == (0, len(project.questions), 0)
    assert outcome.ledger.figure("index", "embedded") == 0
    assert outcome.ledger.figure("retrieve", "embedded") == 0
    assert outcome.ledger.figure("changes", "reused") == len(project.questions)


def test_a_changed_document_regenerates_the_answers_that_rest_on_it_and_no_other(
    project: Project, llm: ReadingLlm
) -> None:
    codes = project.folder / "documents" / "error_codes.csv"
    before = dict(project.query("SELECT query_key, fingerprint FROM answers"))
    resting = {
        question
        for (question,) in project.query(
            "SELECT DISTINCT q.question FROM retrievals r JOIN questions q USING (query_key) "
            "JOIN chunks c USING (chunk_id) WHERE r.in_prompt AND c.document_id LIKE '%error-e4%'"
        )
    }
    codes.write_text(codes.read_text().replace("for 20 seconds", "for 25 seconds"))

    outcome = project.build()

    assert set(llm.asked()) == resting
    assert E4 in resting
    assert len(llm.requests) == len(resting) < len(project.questions)
    assert {q for q, (change, _) in project.changes().items() if change == "regenerated"} == resting
    assert {reason for change, reason in project.changes().values() if change == "regenerated"} == {"passages"}
    assert outcome.ledger.figure("index", "embedded") == 1, "one chunk has other words"
    assert counts(project) == (len(resting), len(project.questions) - len(resting), 0)
    changed = project.query("SELECT query_key, previous_fingerprint FROM changes WHERE change = 'regenerated'")
    assert all(before[key] == fingerprint for key, fingerprint in changed)


def test_a_new_document_regenerates_only_answers_whose_passages_it_joins(project: Project, llm: ReadingLlm) -> None:
    (project.folder / "documents" / "descaler.md").write_text(
        "# Descaler\n\nOne bottle of Marlow descaler costs six euros and lasts for four descalings.\n"
    )

    project.build()

    joined = {
        question
        for (question,) in project.query(
            "SELECT q.question FROM retrievals r JOIN questions q USING (query_key) JOIN chunks c USING (chunk_id) "
            "WHERE r.in_prompt AND c.document_id = 'descaler.md'"
        )
    }
    assert set(llm.asked()) >= joined
    assert {q for q, (change, _) in project.changes().items() if change == "regenerated"} == set(llm.asked())
    assert set(llm.asked()) < set(project.questions)


def test_a_document_that_is_gone_is_withdrawn_and_its_answers_regenerated(project: Project, llm: ReadingLlm) -> None:
    from warehouse.editorial.withdrawal import Withdrawals

    (project.folder / "documents" / "warranty.html").unlink()

    project.build()

    assert ("default", "warranty.html") in Withdrawals(project.data).documents()
    assert WARRANTY in llm.asked()
    assert project.query("SELECT count(*) FROM citations WHERE document_id = 'warranty.html'") == [(0,)]


def test_a_corpus_that_is_mostly_gone_withdraws_nothing_and_is_not_published(project: Project) -> None:
    from warehouse.editorial.withdrawal import Withdrawals
    from warehouse.errors import AuditFailedError
    from warehouse.releases.release import current_id

    before = current_id(project.data)
    for path in (project.folder / "documents").iterdir():
        if path.name != "setup.md":
            path.unlink()

    with pytest.raises(AuditFailedError, match="fewer"):
        project.build()

    assert Withdrawals(project.data).documents() == frozenset()
    assert current_id(project.data) == before


def test_a_new_question_is_the_only_one_generated(project: Project, llm: ReadingLlm) -> None:
    project.questions = [*project.questions, "How heavy is the machine?"]

    project.build()

    assert llm.asked() == ["How heavy is the machine?"]
    assert project.changes()["How heavy is the machine?"] == ("new", "new question")
    assert counts(project) == (1, len(project.questions) - 1, 0)


def test_a_removed_question_is_dropped_and_costs_nothing_when_it_comes_back(project: Project, llm: ReadingLlm) -> None:
    everything = project.questions
    answer = project.query("SELECT answer FROM answers JOIN questions q USING (query_key) WHERE q.question = ?", TANK)
    project.questions = [question for question in everything if question != TANK]
    project.build()
    assert outcomes(project)["dropped", "question removed"] == 1
    assert counts(project) == (0, len(everything) - 1, 1)
    assert project.query("SELECT count(*) FROM questions WHERE question = ?", TANK) == [(0,)]

    project.questions = everything
    project.build()

    assert llm.requests == []
    assert project.changes()[TANK] == ("new", "new question")
    assert counts(project) == (0, len(everything), 0)
    assert answer == project.query(
        "SELECT answer FROM answers JOIN questions q USING (query_key) WHERE q.question = ?", TANK
    )


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [("llm.model", "larger-model", "model"), ("prompt.template", "briefly.txt", "prompt")],
)
def test_a_setting_that_all_answers_depend_on_regenerates_all(
    project: Project, llm: ReadingLlm, setting: str, value: str, reason: str
) -> None:
    (project.folder / "briefly.txt").write_text("[user]\n{passages}\n\nQuestion: {question}\n\nBriefly:\n")
    project.sets[setting] = value

    outcome = project.build()

    assert sorted(llm.asked()) == sorted(project.questions)
    assert outcomes(project) == {("regenerated", reason): len(project.questions)}
    assert outcome.ledger.figure("changes", f"regenerated ({reason})") == len(project.questions)
    assert outcome.ledger.figure("index", "embedded") == 0


def test_other_sampling_regenerates_all_and_going_back_costs_nothing(project: Project, llm: ReadingLlm) -> None:
    project.sets["sampling.max_tokens"] = "99"
    project.build()
    assert sorted(llm.asked()) == sorted(project.questions)
    assert outcomes(project) == {("regenerated", "sampling"): len(project.questions)}
    llm.requests.clear()
    project.sets.clear()

    project.build()

    assert llm.requests == []
    assert outcomes(project) == {("restored", "sampling"): len(project.questions)}


def test_other_capitals_and_spaces_are_the_same_question(project: Project, llm: ReadingLlm) -> None:
    project.questions = [f"  {question.upper()} " for question in project.questions]

    project.build()

    assert llm.requests == []
    assert outcomes(project) == {("reused", None): len(project.questions)}
