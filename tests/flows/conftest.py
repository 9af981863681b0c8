"""One Prefect server for the session, and a project that was built once; each test works on its own copy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.corpus_project import Project, ReadingLlm
from tests.fake_llm import served


@pytest.fixture(scope="session")
def reading_llm() -> Iterator[ReadingLlm]:
    llm = ReadingLlm()
    with served(llm.app) as llm.url:
        yield llm


@pytest.fixture
def llm(reading_llm: ReadingLlm) -> ReadingLlm:
    """The model, with nothing asked of it yet."""
    reading_llm.requests.clear()
    return reading_llm


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
