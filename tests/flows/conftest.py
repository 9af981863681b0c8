"""A project that is built once; each test works on its own copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.corpus_project import Project, ReadingLlm


@pytest.fixture(scope="session")
def base_project(
    tmp_path_factory: pytest.TempPathFactory,
    reading_llm: ReadingLlm,
    prefect_api: str,  # noqa: ARG001
    encoder_folder: Path,  # noqa: ARG001
) -> Project:
    """A project with one release."""
    project = Project.create(tmp_path_factory.mktemp("base") / "project", reading_llm.url)
    project.build()
    return project


@pytest.fixture
def project(base_project: Project, tmp_path: Path, llm: ReadingLlm) -> Project:  # noqa: ARG001
    return base_project.copy(tmp_path / "project")
