"""One document per id: rows of several files may have the same id, and none is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch.stages.prepare import prepare
from batch.stores.parquet import read_table
from tests.corpus_project import Project
from warehouse.tables import DOCUMENTS, REJECTS


@pytest.fixture
def project(tmp_path: Path, encoder_folder: Path) -> Project:  # noqa: ARG001
    project = Project.create(tmp_path / "project", "http://127.0.0.1:9")
    for file in (project.folder / "documents").iterdir():
        file.unlink()
    return project


def write(project: Project, **files: str) -> None:
    for name, text in files.items():
        (project.folder / "documents" / name.replace("_", ".")).write_text(text)


def read(project: Project, **changes: object) -> tuple[dict[str, int], dict[str, str]]:
    """Run the stage; return the documents with their sizes, and the rejects with their reasons."""
    from dataclasses import replace

    plan = replace(project.plan(), **changes)  # type: ignore[arg-type]
    prepare(plan)
    documents = read_table(f"{plan.folder('prepare')}/documents", DOCUMENTS).to_pylist()
    rejects = read_table(f"{plan.folder('prepare')}/rejects", REJECTS).to_pylist()
    return {row["document_id"]: row["characters"] for row in documents}, {row["item"]: row["reason"] for row in rejects}


def test_rows_that_share_an_id_get_their_files_names(project: Project) -> None:
    write(
        project,
        a_csv="id,text\n1,One.\n2,Two.\n",
        b_csv="id,text\n1,Eleven.\n3,Three.\n",
        c_csv="id,text\n1,Hundred.\n",
    )

    assert read(project) == ({"1": 4, "2": 4, "b.csv#1": 7, "3": 6, "c.csv#1": 8}, {})


def test_a_file_keeps_its_id_before_a_row_of_the_same(project: Project) -> None:
    write(project, a_csv="id,text\nz.md,Row.\n", z_md="The file.")

    assert read(project) == ({"z.md": 9, "a.csv#z.md": 4}, {})


def test_the_same_text_under_the_same_id_is_one_document(project: Project) -> None:
    write(project, a_jsonl='{"id": 1, "title": "T", "text": "One."}', b_jsonl='{"id": 1, "title": "T", "text": "One."}')

    documents, rejects = read(project)

    assert documents == {"1": 4}
    assert "was already read from" in rejects["1"]


def test_a_row_whose_new_id_is_taken_too_is_rejected(project: Project) -> None:
    write(project, a_csv="id,text\n1,One.\n", b_csv="id,text\n1,Eleven.\nb.csv#1,Taken.\n")

    documents, rejects = read(project)

    assert documents == {"1": 4, "b.csv#1": 6}
    assert "b.csv#1: a document of this id was already read" in rejects["b.csv#1"]


def test_a_row_is_withdrawn_by_the_id_that_it_has_now(project: Project) -> None:
    write(project, a_csv="id,text\n1,One.\n", b_csv="id,text\n1,Eleven.\n")

    documents, rejects = read(project, withdrawn=frozenset({("default", "b.csv#1")}))

    assert documents == {"1": 4}
    assert "is withdrawn" in rejects["b.csv#1"]
