"""Each test of flows works on its own copy of a project that was built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.corpus_project import Project, ReadingLlm


@pytest.fixture
def project(base_project: Project, tmp_path: Path, llm: ReadingLlm) -> Project:  # noqa: ARG001
    return base_project.copy(tmp_path / "project")
