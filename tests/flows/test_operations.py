"""Every command of docs/operations.md is run as it stands there, on a project with two releases.

What needs a cluster or root is a stand-in that only checks the files which it is given.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from beforehand.cli import cli
from tests.corpus_project import Project

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


def run(command: str) -> None:
    """Run a command as a shell would; ours in this process, which saves the imports."""
    program, *arguments = shlex.split(command)
    if program in ("sudo", "docker", "kubectl"):
        named = [argument for argument in arguments if argument.startswith("deploy/")]
        assert all((ROOT / name).is_file() for name in named), command
    elif program == "beforehand":
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 0, f"{command}: {result.output}"
    else:
        subprocess.run(command, shell=True, check=True)


def test_the_commands_work_in_the_order_of_the_page(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = f'{{"question": "{project.questions[0]}", "expected": ["the"]}}'
    (project.folder / "golden.jsonl").write_text(golden)
    project.write_configuration('[audit]\ngolden = ["golden.jsonl"]')
    project.build()
    monkeypatch.chdir(project.folder)

    for command in COMMANDS:
        run(command)

    restored = Path("restored/data/releases")
    assert (restored / "CURRENT").read_text().strip() in {path.name for path in restored.iterdir()}
    assert Path("report.html").exists()


def test_every_alert_is_explained_and_every_explanation_has_its_alert() -> None:
    groups = yaml.safe_load((ROOT / "deploy" / "monitoring" / "alerts.yaml").read_text())["groups"]
    severities = {rule["alert"]: rule["labels"]["severity"] for group in groups for rule in group["rules"]}

    assert dict(re.findall(r"^\| `(Beforehand\w+)` \| (\w+) \|", PAGE, re.MULTILINE)) == severities
