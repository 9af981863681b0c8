"""A build whose data is in an object store: another machine goes on with it, and comes to the same release."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.corpus_project import Project, ReadingLlm
from tests.object_store import Machines
from warehouse.objects.mirror import open_mirror
from warehouse.releases.following import refresh

CONTENT = {
    "documents": "SELECT document_id, title, content_hash FROM documents",
    "chunks": "SELECT chunk_id, document_id, position, text FROM chunks",
    "questions": "SELECT query_key, question, origin FROM questions",
    "retrievals": "SELECT query_key, rank, chunk_id, round(score, 4), round(dense_score, 4) FROM retrievals",
    "answers": "SELECT query_key, fingerprint, answer, status, round(support, 4) FROM answers",
    "citations": "SELECT query_key, number, chunk_id, kind FROM citations",
}


def machine(project: Project, machines: Machines) -> Project:
    """Make a project's empty data folder a mirror of the store."""
    open_mirror(project.data, machines.address, machines.server.url)
    return project


def content(project: Project) -> dict[str, list[tuple[object, ...]]]:
    """Return the tables of the current release, without what each build has anew."""
    return {table: sorted(project.query(query), key=str) for table, query in CONTENT.items()}


def test_another_machine_finishes_a_run_without_generating_again_and_the_release_is_the_same_as_in_a_folder(
    base_project: Project, machines: Machines, llm: ReadingLlm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lost = machine(Project.create(tmp_path / "lost", llm.url), machines)
    other = machine(Project.create(tmp_path / "other", llm.url), machines)
    with monkeypatch.context() as breaking, pytest.raises(RuntimeError, match="the machine is gone"):
        breaking.setattr("flows.build_release.load_release", _gone)
        lost.build()
    assert len(llm.asked()) == len(base_project.questions)
    llm.requests.clear()

    refresh(other.data)
    outcome = other.build()

    assert llm.asked() == []
    assert outcome.ledger.figure("generate", "reused") == len(base_project.questions)
    assert outcome.ledger.figure("index", "embedded") == 0
    assert content(other) == content(base_project)
    refresh(lost.data)
    assert content(lost) == content(base_project)


def _gone(*_: object) -> None:
    raise RuntimeError("the machine is gone")
