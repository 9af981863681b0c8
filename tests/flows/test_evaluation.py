"""A release measured on golden questions: `beforehand eval` as a user types it, and what a run learns from them."""

import json
import os
import shutil

import pytest
from click.testing import CliRunner

from beforehand import cli as front_door
from warehouse.releases.release import current

GOLDEN = [
    {"question": "May I return a used machine?", "document": "returns.txt", "reference": "Within 30 days."},
    {"question": "May I descale the machine with vinegar?", "document": "cleaning.md"},
    {"question": "How long do I have to return it?", "passage": "A machine may be returned within 30 days"},
    {"question": "Is there a colour that I like?", "expected": ["the"]},
]


@pytest.fixture
def golden_project(project, monkeypatch):
    project.write_configuration('[audit]\ngolden = ["golden.jsonl"]\n')
    write_golden(project, GOLDEN)
    monkeypatch.chdir(project.folder)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    return project


def write_golden(project, rows):
    (project.folder / "golden.jsonl").write_text("\n".join(map(json.dumps, rows)))


def evaluate(*arguments, before=(), code=0):
    result = CliRunner().invoke(front_door.cli, [*before, "eval", *arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def test_an_evaluation_is_recorded_and_compared_with_the_last(golden_project):
    first = evaluate()
    again = json.loads(evaluate("--json"))

    assert "the first evaluation on record" in first
    assert "recall@10" in first and "1 left out" in first
    assert again["previous"]["retrieval"] == again["retrieval"]
    assert again["located"] == 3
    assert [each["located"] for each in again["by_question"]] == [True, True, True, False]
    assert 0 < again["retrieval"]["recall@1"] <= again["retrieval"]["recall@10"] <= 1
    assert len((golden_project.data / "evaluations.jsonl").read_text().splitlines()) == 2
    assert "+0.000" in evaluate()


def test_a_setting_of_retrieval_is_compared_and_nothing_recorded(golden_project):
    found = json.loads(evaluate("--set", "retrieval.lexical_weight=0", "--set", "retrieval.candidates=1", "--json"))

    assert found["questions"] == 3
    assert found["changed"]["recall@10"] == found["changed"]["recall@1"]
    assert not (golden_project.data / "evaluations.jsonl").exists()


def test_a_judge_says_which_answers_keep_to_their_passages(golden_project, llm):
    questions = golden_project.questions[:2]
    write_golden(golden_project, [{"question": each, "document": "setup.md"} for each in questions])
    judge = ("--set", f"evaluation.judge_endpoint={llm.url}/v1", "--set", "evaluation.judge_model=fake-model")

    found = json.loads(evaluate("--json", before=judge))

    assert found["judge"] == "fake-model"
    assert found["answers"]["unjudged"] == 2  # the model that reads says neither yes nor no


@pytest.mark.parametrize(
    ("arguments", "before", "message"),
    [
        (["--set", "llm.model=x"], [], "compares settings of retrieval"),
        (["--set", "retrieval.late_candidates=x"], [], "late_candidates"),
        (["--set", "retrieval.language=german"], [], "build another release"),
        (["no-such-release"], [], "is no release"),
        ([], ["--set", "audit.golden=[]"], "names no file of golden questions"),
        ([], ["--set", 'audit.golden=["gone.jsonl"]'], "can't be read"),
        ([], ["--set", "evaluation.judge_model=m"], "give both or neither"),
    ],
)
@pytest.mark.usefixtures("golden_project")
def test_a_mistake_is_one_sentence(arguments, before, message):
    said = evaluate(*arguments, before=before, code=2)

    assert message in said
    assert said.count("\n") == 1


def test_a_run_learns_from_golden_questions_and_its_manifest_says_so(golden_project):
    asked = ["What is a lungo?", *golden_project.questions][:12]
    write_golden(golden_project, [{"question": each, "document": "setup.md"} for each in asked])
    golden_project.sets["retrieval.judge"] = "2"

    golden_project.build()

    release = current(golden_project.data)
    manifest = json.loads((release.path / "manifest.json").read_text())
    told = "default: [retrieval] judge gains nothing on 12 golden questions"  # it answers with sentences
    assert [each.partition(";")[0] for each in manifest["warnings"]] == [told]
    assert manifest["retrieval"]["help"]["default"]["figures"].keys() == {"plain", "judge", "all"}
    switched_on = ("--set", "retrieval.judge=2")
    measured = evaluate(before=switched_on)
    assert "with judge" in measured and told in measured
    shutil.rmtree(golden_project.data / "runs")
    remembered = json.loads(evaluate("--json", before=switched_on))
    assert remembered["collections"] == remembered["previous"]["collections"]
    assert remembered["collections"]["default"].keys() == {"live", "stored", "plain", "judge", "all"}
    fusion = manifest["retrieval"]["fusion"]["default"]
    assert (fusion["source"], fusion["questions"], fusion["unlocated"]) == ("golden", 12, 0)
    assert fusion["figures"].keys() == {"dense", "lexical", "configured", "learned"}
    assert json.loads((release.path / "collections" / "default" / "fusion.json").read_text()) == fusion
