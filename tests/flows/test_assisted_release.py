"""A release that the language model helped to retrieve for, from the configuration to the owners' list."""

from __future__ import annotations

from pathlib import Path

from rag.retrieval.key_index import KeyIndex
from rag.retrieval.vector_index import VectorIndex
from tests.corpus_project import Project, ReadingLlm
from warehouse.analysis.connection import connect
from warehouse.releases.release import current


def test_a_release_carries_the_keys_and_tells_what_is_nowhere_written(
    tmp_path: Path,
    llm: ReadingLlm,
    prefect_api: str,  # noqa: ARG001
    encoder_folder: Path,  # noqa: ARG001
) -> None:
    project = Project.create(tmp_path / "project", llm.url)
    project.questions = ["How long does the warranty last?", "Who invented the zeppelin?"]
    project.sets |= {f"retrieval.{name}": "2" for name in ("rewordings", "judge", "chunk_questions")}
    project.sets["retrieval.sketch"] = "true"

    ledger = project.build().ledger

    folder = current(project.data).path / "collections" / "default"
    keys = KeyIndex.load(folder, VectorIndex.load(folder / "passages").ids)
    assert keys is not None
    assert ledger.figure("enrich", "kept") > 5
    assert ledger.figure("reword", "wordings") > 0
    assert ledger.figure("judge", "unclear") == ledger.figure("judge", "candidates") > 0  # it answers with sentences
    with connect(project.data) as session:
        assert session.execute("SELECT question FROM unwritten").fetchall() == [("Who invented the zeppelin?",)]
