"""The mark of all that a run would read: on one machine by the state of its files, among machines by their content."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from batch.settings import BatchSettings
from batch.sources.file_marks import ContentMarks, LocalMark, mark_of_sources
from rag.collection_settings import CollectionSettings


def _mark(folder: Path, local: LocalMark | None = None) -> str:
    collection = CollectionSettings(documents=[str(folder / "docs")], questions=[str(folder / "questions.txt")])
    return mark_of_sources({"default": collection}, BatchSettings(), local)


def _project(folder: Path) -> Path:
    (folder / "docs").mkdir(parents=True)
    (folder / "docs" / "pump.md").write_text("# Pump\n\nIt hums.\n")
    (folder / "questions.txt").write_text("Does it hum?\n")
    return folder


def test_copies_on_two_machines_have_one_mark_until_one_holds_something_else(tmp_path: Path) -> None:
    here, there = _project(tmp_path / "here"), tmp_path / "there"
    shutil.copytree(here, there, copy_function=shutil.copyfile)
    marks = ContentMarks()

    assert _mark(here, marks) == _mark(there, marks)
    assert _mark(here) != _mark(there)
    (there / "questions.txt").write_text("Does it sing?\n")
    assert _mark(here, marks) != _mark(there, marks)


def test_a_file_whose_state_has_changed_is_read_again(tmp_path: Path) -> None:
    folder, marks = _project(tmp_path / "here"), ContentMarks()
    page = folder / "docs" / "pump.md"
    before = _mark(folder, marks)

    os.utime(page, ns=(1, 1))
    assert _mark(folder, marks) == before
    page.write_text("# Pump\n\nIt sings.\n")
    assert _mark(folder, marks) != before
