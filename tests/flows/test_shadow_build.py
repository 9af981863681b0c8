"""A shadow build with another model and other retrieval: kept apart, logged as a shadow, and paid for once."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from beforehand.cli import cli
from tests.corpus_project import Project, ReadingLlm
from warehouse.history.run_log import logged_runs
from warehouse.releases.release import current_id, releases
from warehouse.releases.shadows import shadows

SHADOW = """
[shadow.wider]
llm = {{ model = "other-model", endpoint = "{url}/v1", api_key = "sk-of-a-host" }}
retrieval = {{ passages = 2 }}
batch = {{ endpoints = [] }}
[alerts]
webhook = "http://127.0.0.1:9/nobody"
"""


def say(project: Project, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["--config", str(project.folder / "beforehand.toml"), *arguments])
    return result.exit_code, result.output


def test_a_shadow_build_publishes_nothing_and_a_run_with_its_settings_generates_nothing_again(
    project: Project, llm: ReadingLlm
) -> None:
    before = current_id(project.data)
    llm.behaviour.models = ("fake-model", "other-model")
    project.write_configuration(SHADOW.format(url=llm.url))
    code, said = say(project, "run", "--shadow", "wider")
    asked = len(llm.requests)
    keys = {each.get("authorization") for each in llm.headers[-asked:]}

    assert code == 0, said
    assert asked == len(project.questions)
    assert keys == {"Bearer sk-of-a-host"}
    assert (current_id(project.data), len(releases(project.data))) == (before, 1)
    last = logged_runs(project.data)[-1]
    assert (last["status"], last["shadow"], last["generated"]) == ("shadow", "wider", asked)
    made = shadows(project.data)["wider"]
    assert made.manifest["model"] == "other-model@unpinned"
    assert "sk-of-a-host" not in (made.path / "manifest.json").read_text()

    code, said = say(project, "releases", "compare", "current", "wider")
    assert code == 0, said
    assert f"wider: release {made.release_id}, other-model@unpinned" in said

    project.sets = {"llm.model": "other-model", "retrieval.passages": "2"}
    outcome = project.build()
    assert outcome.ledger.figure("generate", "reused") == asked
    assert len(llm.requests) == asked


@pytest.mark.parametrize(
    ("sections", "arguments", "sentence"),
    [
        ("[shadow.big.llm]\nmodell = 'x'", ["big"], "[shadow.big.llm] modell: unknown; did you mean 'model'?"),
        ("[shadow.big.audit]\nlimit = 1", ["big"], "[shadow.big] audit: unknown"),
        ("[shadow.big.llm]\nmodel = 'x'", ["bigger"], "has no [shadow.bigger]; there are big"),
        ("", ["big"], "has no [shadow.big]; add one, as [shadow.big.llm]"),
        ("[shadow.big]", ["big"], "[shadow.big]: it changes nothing; add a section such as [shadow.big.llm]"),
        ("[shadow.current.llm]\nmodel = 'x'", ["current"], "'current' stands for the current release"),
        ("[shadow.big.batch]\ngenerate_with = 'batch_files'", ["big"], "waits for files, which a shadow build can't"),
        ("[shadow.big.llm]\nmodel = 'x'", ["big", "--stage", "index"], "--stage and --shadow don't go together"),
        ("[shadow.big.batch]\ngenerate_with = 'engine'\n[shadow.big.llm]\nmodel = './nosuch'", ["big"], "is not in"),
        ("[shadow.big.retrieval]\ndense_weight = 0\nlexical_weight = 0", ["big"], "are both 0, so nothing would be"),
    ],
)
def test_a_mistake_in_a_shadow_is_one_sentence_before_anything_is_loaded(
    tmp_path: Path, sections: str, arguments: list[str], sentence: str
) -> None:
    text = f"[collections.default]\ndocuments = ['docs']\n{sections}\n"
    (tmp_path / "beforehand.toml").write_text(text, encoding="utf-8")
    result = CliRunner().invoke(cli, ["--config", str(tmp_path / "beforehand.toml"), "run", "--shadow", *arguments])

    assert result.exit_code == 2
    assert sentence in result.output
    assert result.output.count("\n") == 1
