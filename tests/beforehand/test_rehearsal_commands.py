"""The commands `plan` and `impact`: a run as far as its prompts, which costs no token and touches no data."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from batch.rows import PROMPTS
from batch.stages.anticipate import anticipate
from batch.stages.cite import cite
from batch.stages.generate import generate
from batch.stages.index import index
from batch.stages.prepare import prepare
from batch.stages.retrieve import retrieve
from batch.stores.parquet import read_table
from beforehand.cli import cli
from beforehand.commands.plan import as_data, described, next_run
from flows.ledger import Ledger
from flows.publish_release import load_release
from tests.corpus_project import Project, ReadingLlm
from warehouse.releases.build import begin_build, publish, seal
from warehouse.releases.serving_index import write_serving_index

STAGES = (prepare, index, anticipate, retrieve, generate, cite)


@pytest.fixture(scope="module")
def built(
    tmp_path_factory: pytest.TempPathFactory,
    reading_llm: ReadingLlm,
    encoder_folder: Path,  # noqa: ARG001
) -> Project:
    """A project with a release, made without a flow."""
    project = Project.create(tmp_path_factory.mktemp("rehearsal") / "project", reading_llm.url)
    plan = project.plan()
    for stage in STAGES:
        stage(plan)
    build = begin_build(project.data, plan.run_id)
    load_release(plan, build, Ledger())
    write_serving_index(build.database, build.serving_index, build.release_id)
    seal(build, {"counts": {}, "encoder": {"id": "another"}})
    publish(build)
    return project


def run(project: Project, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--config", str(project.folder / "beforehand.toml"), *arguments])


def found(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, (result.output, result.exception)
    data: dict[str, Any] = json.loads(result.stdout)
    return data


def content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and "prefect" not in path.parts
    }


def test_the_impact_of_an_edit_is_what_a_run_then_does(built: Project, llm: ReadingLlm, tmp_path: Path) -> None:
    edited = tmp_path / "edits" / "setup.md"
    edited.parent.mkdir()
    edited.write_text((built.folder / "documents" / "setup.md").read_text().replace(".", ", really.", 3))
    before = content(built.data)

    told = found(run(built, "impact", str(edited.parent), "--json"))

    assert told["documents"]["changed"] == ["setup.md"]
    assert content(built.data) == before
    assert llm.requests == []
    after = built.copy(tmp_path / "after")
    (after.folder / "documents" / "setup.md").write_text(edited.read_text())
    plan = after.plan()
    for stage in (prepare, index, retrieve):  # the questions are those of the run before
        stage(plan)
    old = dict(built.query("SELECT query_key, fingerprint FROM answers"))
    new = read_table(f"{plan.folder('retrieve')}/prompts", PROMPTS, ["query_key", "fingerprint"])
    changed = {key for key, print_ in zip(*new.to_pydict().values(), strict=True) if old[key] != print_}
    assert {each["query_key"] for each in told["answers"] if each["changes"]} == changed != set()
    assert told["generated_again"] == len(changed)


def test_new_documents_those_that_go_and_unedited_ones_are_told_apart(built: Project, tmp_path: Path) -> None:
    (tmp_path / "more.md").write_text("# More\n\nNothing that anybody asks about.")
    (tmp_path / "returns.txt").write_text("")
    unedited = built.folder / "documents" / "setup.md"

    told = found(run(built, "impact", "--json", *(str(each) for each in (*tmp_path.glob("*.*"), unedited))))

    assert told["documents"] == {"changed": ["returns.txt"], "new": ["more.md"], "others": []}
    assert {name for each in told["answers"] for name in each["cites"]} == {"returns.txt"}


def test_the_plan_counts_what_is_answered_as_free_and_spends_nothing(
    built: Project, llm: ReadingLlm, tmp_path: Path
) -> None:
    project = built.copy(tmp_path / "project")
    answered = len(project.questions)
    project.questions = [*project.questions, "How heavy is the blue one?", "Who painted the red one?"]

    project.sets["batch.budget_tokens"] = "1"

    told = next_run(project.settings(), 30, 1, pace=100)

    assert llm.requests == []
    assert {told.names[each.query_key] for each in told.candidates} == set(project.questions[-2:])
    assert [told.curve.points[0].answers, told.curve.points[-1].answers] == [0, 2]
    text = "\n".join(described(told))
    assert f"{answered + 2} questions, {answered} of them answered already" in text
    assert "the budget of 1 tokens is for 0 of 2 answers" in text
    assert "all 2 pay" in text
    assert {"question", "hits", "tokens"} <= set(as_data(told)["candidates"][0])


def test_the_plan_counts_proposals_that_are_not_written_yet_by_an_estimate(built: Project, tmp_path: Path) -> None:
    project = built.copy(tmp_path / "project")
    project.sets["collections.default.proposals"] = "3"

    told = next_run(project.settings(), 30, 1, pace=100)

    assert told.unread == 3
    assert [told.names[each.query_key] for each in told.candidates] == ["a proposal that is not written yet"] * 3
    assert all(each.hits > 0 and each.tokens > 100 for each in told.candidates)
    assert told.curve.points[-1].answers == 3
    assert "3 of these are proposals that are not written yet" in "\n".join(described(told))


def test_a_path_that_two_documents_may_be_is_asked_back(built: Project, tmp_path: Path) -> None:
    project = built.copy(tmp_path / "project")
    for folder in ("a", "b"):
        (project.folder / "documents" / folder).mkdir()
        (project.folder / "documents" / folder / "same.md").write_text(f"# {folder}\n\nText.")
    (tmp_path / "same.md").write_text("# c\n\nText.")

    told = run(project, "impact", str(tmp_path / "same.md"))

    assert told.exit_code == 2
    assert "which document is it, a/same.md, b/same.md?" in told.stderr


def test_a_run_that_could_not_look_for_personal_data_is_refused_before_it_begins(built: Project) -> None:
    told = CliRunner().invoke(
        cli, ["--config", str(built.folder / "beforehand.toml"), "--set", "batch.pii_model=en_none", "plan"]
    )

    assert told.exit_code == 2
    assert '[batch] pii_model = "en_none": ' in told.stderr
