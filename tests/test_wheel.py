"""The wheel works without the checkout: it holds templates, SQL, prompts and the example, and nothing of a user's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("beforehand", "rag", "batch", "flows", "online", "warehouse")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the checkout in which the example was built, unpacked as an installer does it."""
    checkout = tmp_path_factory.mktemp("checkout")
    for room in ROOMS:
        shutil.copytree(ROOT / room, checkout / room, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "setup.py", "README.md"):
        shutil.copy(ROOT / file, checkout / file)
    example = checkout / "examples" / "python"
    shutil.copytree(ROOT / "examples" / "python", example, ignore=shutil.ignore_patterns("data", "documents"))
    (example / "data").mkdir()
    (example / "data" / "runs.jsonl").write_text("{}\n")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", "out", "."]
    subprocess.run(build, cwd=checkout, check=True, capture_output=True)
    target = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(next((checkout / "out").glob("beforehand-*.whl"))) as wheel:
        wheel.extractall(target)
    return target


def test_every_file_of_the_rooms_is_in_the_wheel_and_nothing_else(installed: Path) -> None:
    of_checkout = {
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    of_wheel = {
        str(path.relative_to(installed))
        for path in installed.rglob("*")
        if path.is_file()
        and not path.parts[len(installed.parts)].endswith(".dist-info")
        and "__pycache__" not in path.parts  # of the commands that are run from it
    }
    example = {f"beforehand/example/{path.name}" for path in (ROOT / "examples" / "python").iterdir() if path.is_file()}

    assert of_wheel == of_checkout | example


def test_a_project_begins_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "beforehand"]

    begun = subprocess.run(
        [*command, "init", "--example"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    listed = subprocess.run(
        [*command, "releases", "list"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert begun.returncode == 0, begun.stderr
    assert 'models = "models"' in (tmp_path / "beforehand.toml").read_text()
    assert (listed.returncode, listed.stderr) == (0, "")
