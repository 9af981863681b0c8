"""What is new since the last release: files of the team, and what visitors asked.

Files are told by their marks alone (`batch.sources.file_marks`). Of visitors' questions those count that a run would
take up: asked often enough, and by as many askers as it takes. What a release covers is noted beside the releases, in
the store if there is one, so that no other machine builds it again; of questions by their keys, since their words may
have to be forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from batch.plan import MissedQuestion, RunPlan
from batch.sources.file_marks import ContentMarks, mark_of_sources
from warehouse.durable import replace_file, storage_errors
from warehouse.history.shared_compaction import compact_journal
from warehouse.objects.mirror import mirror_of
from warehouse.objects.shared_files import send_file, share_file
from warehouse.releases.following import refresh
from warehouse.releases.release import current_id
from warehouse.settings import HistorySettings

_NOTE = "followed.json"

Visitors = Callable[[RunPlan], tuple[MissedQuestion, ...]]
"""What finds the questions of visitors that a run would take up."""


@dataclass(frozen=True)
class Seen:
    """What a look has seen: the mark of all source files, and the keys of visitors' questions."""

    files: str
    visitors: frozenset[str]

    def news(self, covered: Seen | None) -> list[str]:
        """Return in words what a release that covers `covered` lacks; a question that is gone needs no release."""
        if covered is None:
            return ["there is no note of what the release covers"]
        questions = len(self.visitors - covered.visitors)
        return [
            *(["documents or lists have changed"] if self.files != covered.files else []),
            *([f"visitors' questions are new: {questions}"] if questions else []),
        ]


class Lookout:
    """Looks for news. The history is read only when the journal, the history or the list of questions has grown."""

    def __init__(self, plan: RunPlan, history: HistorySettings, visitors: Visitors) -> None:
        self._plan = plan
        self._history = history
        self._find = visitors
        self._known: tuple[list[tuple[str, int, int]], str | None] | None = None
        self._visitors = frozenset[str]()
        self._contents = ContentMarks()

    def look(self) -> Seen:
        """Return what there is now.

        Raises:
            ConfigurationError: an address can't be read or reached.
            StorageError: the data folder refuses, or its store can't be reached.
        """
        data = Path(self._plan.data)
        shared = mirror_of(data) is not None
        marks = self._contents if shared else None
        files = mark_of_sources(self._plan.collections, self._plan.settings, marks)
        refresh(data)
        if shared or (_grown(data), current_id(data)) != self._known:
            compact_journal(data, self._history)
            self._visitors = frozenset(map(self._plan.key_of, self._find(self._plan)))
            self._known = _grown(data), current_id(data)
        return Seen(files, self._visitors)


def _grown(data: Path) -> list[tuple[str, int, int]]:
    """Return what shows that there may be more of what visitors asked: names, sizes and times of files."""
    found = []
    for path in (*data.glob("journal/*.jsonl"), *data.glob("history/*/history.parquet"), data / "listings.jsonl"):
        with suppress(OSError):
            status = path.stat()
            found.append((str(path), status.st_size, status.st_mtime_ns))
    return sorted(found)


def read_covered(data: Path) -> Seen | None:
    """Return what the last release of `follow` covers, on any machine; None if there is no note of it.

    Raises:
        StorageError: the store can't be reached.
    """
    if (mirror := mirror_of(data)) is not None:
        share_file(mirror, _NOTE)
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads((data / _NOTE).read_text(encoding="utf-8"))
        return Seen(str(known["files"]), frozenset(map(str, known["visitors"])))
    return None


def note_covered(data: Path, seen: Seen) -> None:
    """Note what a release covers, for all machines.

    Raises:
        StorageError: the disk or the store refuses.
    """
    described = {"files": seen.files, "visitors": sorted(seen.visitors)}
    with storage_errors(data, "note what the release covers"):
        replace_file(data / _NOTE, json.dumps(described).encode())
    if (mirror := mirror_of(data)) is not None:
        send_file(mirror, _NOTE)
