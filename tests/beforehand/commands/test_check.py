"""The command `check`: figures as text and as JSON, in seconds, for a project that was never built."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from beforehand.cli import cli

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with two collections; its language model does not exist."""
    for name, text in {"setup.md": "# Setup\n\nPlug it in.", "old/setup.md": "# Old", "logo.png": ""}.items():
        (tmp_path / "handbook" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "handbook" / name).write_text(text)
    (tmp_path / "questions.txt").write_text("How do I set it up?\n")
    path = tmp_path / "beforehand.toml"
    path.write_text(
        f"""
[project]
models = {json.dumps(str(ROOT / "models"))}
[llm]
model = "none-that-exists"
[collections.handbook]
documents = ["handbook"]
exclude = ["old"]
questions = ["questions.txt"]
[collections.faq]
documents = ["handbook/setup.md"]
"""
    )
    return path


def run(project: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--config", str(project), "check", *arguments])


def test_the_text_says_what_is_read_skipped_and_excluded(project: Path) -> None:
    result = run(project, "--collection", "handbook")

    assert result.exit_code == 0, (result.output, result.exception)
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[:2] == ["collection handbook", "read 1 document, 1 chunk of 7 tokens in all"]
    assert "1 anticipated question" in lines
    assert ".md 1 file, 1 document" in lines
    assert "skipped .png 1 file, not read" in lines
    assert "excluded old: 1 file" in lines
    assert lines[-2:] == ["1. setup.md: Setup (7 tokens)", "Plug it in."]


def test_the_json_has_every_collection(project: Path) -> None:
    found = json.loads(run(project, "--json").stdout)

    assert [(each["collection"], each["documents"]) for each in found] == [("handbook", 1), ("faq", 1)]
    assert found[0]["excluded"] == {"old": 1}
    assert found[0]["short_chunks"] == {"count": 1, "examples": ["setup.md: Plug it in."]}


def test_nothing_is_written(project: Path) -> None:
    before = sorted(project.parent.rglob("*"))

    run(project)

    assert sorted(project.parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--collection", "faqs"), "--collection faqs: unknown; known are handbook, faq"),
        (("--json", "--collection", ""), "--collection : unknown; known are handbook, faq"),
    ],
)
def test_a_mistake_is_one_sentence(project: Path, arguments: tuple[str, ...], sentence: str) -> None:
    result = run(project, *arguments)

    assert (result.exit_code, result.stderr) == (2, f"beforehand: {sentence}\n")


def test_a_model_for_personal_data_that_is_not_there_is_told_before_visitors_type_anything(project: Path) -> None:
    project.write_text(f'{project.read_text()}\n[batch]\npii_model = "en_none"\n')

    result = run(project)

    assert result.exit_code == 2
    assert result.stderr.startswith('beforehand: [batch] pii_model = "en_none": ')
    assert len(result.stderr.splitlines()) == 1


def test_an_empty_pattern_is_refused(project: Path) -> None:
    project.write_text(project.read_text().replace('["old"]', '[""]'))

    result = run(project)

    assert result.exit_code == 2
    assert "exclude" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_folder_that_is_missing_is_told_and_is_no_error(project: Path) -> None:
    project.write_text(project.read_text().replace('"handbook"]', '"handbook", "policies"]'))

    result = run(project)

    assert result.exit_code == 0
    assert "policies: no such file, folder or match; correct [collections.handbook]" in result.stdout


def test_neither_prefect_nor_a_model_is_loaded() -> None:
    code = (
        "import sys, batch.corpus_check.check, batch.corpus_check.corpus_reader; "
        "print(*sorted({'prefect', 'vllm', 'torch', 'transformers'} & set(sys.modules)))"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)

    assert (result.returncode, result.stdout.strip()) == (0, ""), result.stderr
