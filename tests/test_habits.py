"""Habits that a reader relies on and that nobody keeps for long without a test."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from beforehand.configuration import Settings

ROOT = Path(__file__).parents[1]
ROOMS = ("beforehand", "rag", "warehouse", "batch", "online", "flows", "bench")
LONGEST_MODULE = 450
# Where packages come from on one machine is that machine's affair; so is where its files lie.
PRIVATE = re.compile(
    r"--(?:extra-)?index-url\s*=?\s*\S|--find-links\s*=?\s*[/\w]|\b(?:index|files|packages)\.[\w.]*/simple/"
    r"|(?:file://|(?<![\w.~$}/*-]))/(?:work|root|opt|home|Users|mnt)/\w"
)


def _committed() -> list[Path]:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git work tree")
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def _modules() -> list[Path]:
    return [*ROOT.glob("*.py"), *(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))]


def test_nothing_committed_names_a_package_index_or_a_local_path():
    found = []
    for path in _committed():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture or the like
        found += [
            f"{path.relative_to(ROOT)}:{i}: {line[:120]}" for i, line in enumerate(lines, 1) if PRIVATE.search(line)
        ]

    assert found == []


def test_what_must_stay_private_is_recognised():
    """The samples are put together here, so that this file does not name them."""
    path, index, links = "/" + "work/main", "--index-" + "url https://mirror", "--find-" + "links /opt"

    assert all(PRIVATE.search(f"see {sample}") for sample in (path, index, links, f'"{path}"', f"file://{path}"))
    assert not any(
        PRIVATE.search(sample) for sample in ("network/b", "https://example.org/home/page", "/etc/hosts", "~/home/x")
    )


def _settings(model: type[BaseModel], place: str = "") -> Iterator[tuple[str, str | None]]:
    """Give each setting below a model with its description, sections by their docstring."""
    for name, field in model.model_fields.items():
        inside = (field.annotation, *get_args(field.annotation))
        sections = [each for each in inside if isinstance(each, type) and issubclass(each, BaseModel)]
        for section in sections:
            yield f"{place}{name}", section.__doc__
            yield from _settings(section, f"{place}{name}.")
        if not sections:
            yield f"{place}{name}", field.description


def test_every_setting_has_a_sentence():
    settings = dict(_settings(Settings))

    assert "retrieval.passages" in settings
    assert [name for name, sentence in settings.items() if not (sentence or "").strip().endswith((".", ".)"))] == []


def test_no_module_is_too_long_to_read():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in _modules()}

    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE} == {}


def test_benches_stand_alone():
    """They run on the plain set-up, which has neither our tests nor what these import."""
    leaning = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / "bench").rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.match(r"\s*(?:from|import)\s+(?:tests|pytest)\b", line)
    ]

    assert leaning == []


def test_every_module_opens_with_its_purpose():
    silent = [
        str(path.relative_to(ROOT))
        for path in _modules()
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]

    assert silent == []


def _waits(statement: ast.stmt) -> bool:
    """Whether a statement of a loop only passes time."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(statement, ast.Pass) or (
        isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in ("wait", "sleep")
    )


def test_no_test_sleeps():
    """Nor polls in a loop of its own: `until` waits, with a bound, and says what never came."""
    sleeping = []
    for path in (ROOT / "tests").rglob("*.py"):
        if path.name == "waiting.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            imported = (
                isinstance(node, ast.ImportFrom)
                and node.module == "time"
                and any(a.name == "sleep" for a in node.names)
            )
            called = (
                isinstance(node, ast.Attribute) and node.attr == "sleep" and getattr(node.value, "id", "") == "time"
            )
            polls = isinstance(node, ast.While) and all(map(_waits, node.body))
            if imported or called or polls:
                sleeping.append(f"{path.relative_to(ROOT)}:{node.lineno}")

    assert sleeping == []
