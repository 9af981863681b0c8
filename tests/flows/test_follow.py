"""Releases while the day goes on: what is new starts a build, in its time and within the hour's budget."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.build_release import find_misses
from flows.command import Ended
from flows.follow import FOLLOW, Budget, Pace, follow
from flows.news import Lookout, Seen, note_covered, read_covered
from flows.settings import FollowSettings
from rag.identity import query_key
from tests.corpus_project import Project
from tests.object_store import Machines
from warehouse.errors import StorageError
from warehouse.history.run_log import log_run, logged_runs
from warehouse.releases.build_lease import BuildLease
from warehouse.settings import HistorySettings

OLD, NEW, NEWER = Seen("a", frozenset()), Seen("b", frozenset()), Seen("c", frozenset())
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
PATIENCE = 900  # seconds, for a machine with much other work


def test_a_build_is_due_once_nothing_more_has_changed_for_a_while() -> None:
    pace = Pace(20, OLD)
    looks = [(0, OLD), (5, NEW), (20, NEWER), (30, NEWER), (39, NEWER), (40, NEWER)]

    due = [pace.is_due(seen, now) for now, seen in looks]

    assert due == [False, False, False, False, False, True]


def test_with_changes_all_the_time_a_build_is_due_after_ten_times_as_long() -> None:
    pace = Pace(20, OLD)

    due = [now for now in range(0, 400, 10) if pace.is_due(Seen(str(now), frozenset()), now)]

    assert due[0] == 200


def test_after_a_failure_each_pause_is_twice_as_long_and_a_success_ends_that() -> None:
    pace = Pace(0, OLD)
    pauses = [pace.failed(0) for _ in range(9)]

    assert pauses == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert not pace.is_due(NEW, 3599)
    assert pace.is_due(NEW, 3600)
    pace.published(NEW)
    assert not pace.is_due(NEW, 3601)
    assert pace.failed(4000) == 30


def test_a_question_that_is_gone_is_no_news_and_a_new_one_is() -> None:
    covered = Seen("a", frozenset({"one", "two"}))

    assert Seen("a", frozenset({"one"})).news(covered) == []
    assert Seen("a", frozenset({"one", "three"})).news(covered) == ["visitors' questions are new: 1"]
    assert Seen("b", frozenset()).news(covered) == ["documents or lists have changed"]


def _log(data: Path, minutes: int, tokens: int, trigger: str = FOLLOW) -> None:
    row = {"run_id": f"{minutes}-{trigger}", "started_at": NOW - timedelta(minutes=minutes), "trigger": trigger}
    log_run(data, {**row, "status": "published", "prompt_tokens": tokens, "completion_tokens": 0})


def test_the_budget_counts_the_builds_and_tokens_of_the_last_hour(tmp_path: Path) -> None:
    for minutes, tokens, trigger in ((90, 500, FOLLOW), (50, 300, FOLLOW), (10, 200, FOLLOW), (5, 9_000, "schedule")):
        _log(tmp_path, minutes, tokens, trigger)

    def budget(**settings: Any) -> Budget:
        return Budget.read(tmp_path, FollowSettings(**settings), NOW)

    assert budget(tokens_an_hour=1000).tokens_left == 500
    assert budget().refusal() is None
    assert budget(builds_an_hour=2).refusal() == "news wait until 12:10 UTC at least: the hour's 2 builds are spent"
    assert budget(tokens_an_hour=500).refusal() == "news wait until 12:10 UTC at least: the hour's 500 tokens are spent"


class Enough(BaseException):
    """Ends what would go on for ever."""


class Builds:
    """Builds that end as they are told, and stop following after the last."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.tokens: list[int | None] = []

    def __call__(self, tokens: int | None) -> Ended:
        self.tokens.append(tokens)
        code = self.codes.pop(0)
        return Ended(code, "published release 1", "" if code == 0 else "beforehand: the model is away.")


class Looks(Lookout):
    """Sees one thing after the other, then ends the test."""

    def __init__(self, *seen: Seen) -> None:
        self._left = list(seen)

    def look(self) -> Seen:
        if not self._left:
            raise Enough
        return self._left.pop(0)


def _follow(data: Path, looks: Looks, builds: Builds, **settings: Any) -> list[str]:
    said: list[str] = []
    with pytest.raises(Enough):
        follow(data, FollowSettings(poll_seconds=0.001, settle_seconds=0, **settings), looks, builds, said.append)
    return said


def test_nothing_is_built_or_said_while_nothing_is_new(tmp_path: Path) -> None:
    note_covered(tmp_path, OLD)

    assert _follow(tmp_path, Looks(OLD, OLD, OLD), Builds()) == []


def test_a_release_covers_what_was_there_before_its_build(tmp_path: Path) -> None:
    note_covered(tmp_path, OLD)

    said = _follow(tmp_path, Looks(NEW, NEW), builds := Builds(0), tokens_an_hour=700)

    assert said == ["documents or lists have changed: building", "published release 1"]
    assert builds.tokens == [700]
    assert read_covered(tmp_path) == NEW


def test_a_build_that_fails_is_told_in_one_line_and_covers_nothing(tmp_path: Path) -> None:
    note_covered(tmp_path, OLD)

    said = _follow(tmp_path, Looks(NEW, NEW), Builds(2))

    assert said[1:] == ["no release: the model is away. The next try is in 30 s."]
    assert read_covered(tmp_path) == OLD


def test_a_build_that_runs_makes_news_wait_and_says_so_once(tmp_path: Path) -> None:
    note_covered(tmp_path, OLD)
    lease = BuildLease.acquire(tmp_path, "nightly")

    said = _follow(tmp_path, Looks(NEW, NEW), Builds())

    lease.release()
    assert said == ["news wait for the build that is running"]


class WithAnother(Builds):
    """Builds, during which another machine looks."""

    def __init__(self, data: Path, builds: Builds) -> None:
        super().__init__(0)
        self._data, self._builds = data, builds
        self.said_there: list[str] = []

    def __call__(self, tokens: int | None) -> Ended:
        self.said_there = _follow(self._data, Looks(NEW, NEW), self._builds)
        return super().__call__(tokens)


def test_of_machines_that_follow_one_store_one_builds_and_the_others_find_it_covered(machines: Machines) -> None:
    here, there = machines.new("here").folder, machines.new("there").folder
    note_covered(here, OLD)
    unused = Builds()
    building = WithAnother(there, unused)

    said = _follow(here, Looks(NEW), building)

    assert said == ["documents or lists have changed: building", "published release 1"]
    assert building.said_there == ["news wait for the build that is running"]
    assert _follow(there, Looks(NEW, NEW), unused) == []
    assert unused.tokens == []
    assert read_covered(there) == NEW


def test_a_machine_whose_files_differ_builds_once_and_does_not_build_by_turns(machines: Machines) -> None:
    here, there = machines.new("here").folder, machines.new("there").folder
    note_covered(here, OLD)

    _follow(here, Looks(NEW), Builds(0))
    _follow(there, Looks(NEWER, NEWER), builds := Builds(0))

    assert builds.tokens == [None]
    assert read_covered(here) == NEWER


def test_a_note_that_the_store_did_not_take_is_noted_by_the_next_look(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = machines.new("here").folder, machines.new("there").folder
    note_covered(here, OLD)

    def away(*_: object) -> None:
        monkeypatch.undo()
        raise StorageError("The store can't be reached.")

    with monkeypatch.context():
        monkeypatch.setattr("flows.news.send_file", away)
        said = _follow(here, Looks(NEW, NEW), Builds(0))

    assert said[-1] == "The store can't be reached.; it is tried again"
    assert read_covered(there) == NEW


def test_what_a_later_build_of_others_has_read_is_covered(tmp_path: Path) -> None:
    note_covered(tmp_path, OLD)
    nightly = {"run_id": "nightly", "status": "published", "trigger": "schedule"}
    log_run(tmp_path, {**nightly, "started_at": datetime.now(UTC) + timedelta(minutes=1)})

    assert _follow(tmp_path, Looks(NEW, NEW), Builds()) == []
    assert read_covered(tmp_path) == NEW


def _ask(project: Project, question: str, *askers: str) -> None:
    """Write what the service would have journalled of visitors whom the model answered."""
    rows = [
        {
            "kind": "request",
            "request_id": f"{question}-{asker}",
            "at": datetime.now(UTC).isoformat(),
            "collection": "default",
            "question": question,
            "query_key": query_key("default", question),
            "source": "live",
            "status": 200,
            "asker": asker,
        }
        for asker in askers
    ]
    segment = project.data / "journal" / f"{len(question)}.jsonl"
    segment.parent.mkdir(exist_ok=True)
    segment.write_text("".join(json.dumps(each) + "\n" for each in rows))


def _look(project: Project) -> Seen:
    return Lookout(project.plan(), HistorySettings(), find_misses).look()


def test_a_look_sees_edits_of_files_and_what_enough_visitors_asked(project: Project) -> None:
    before = _look(project)
    assert _look(project) == before

    _ask(project, "Does it float?", "ada", "ada", "ada")
    assert _look(project) == before
    _ask(project, "Does it float on salt water?", "ada", "ben", "cleo")
    assert _look(project).visitors == {query_key("default", "Does it float on salt water?")}
    page = next((project.folder / "documents").glob("*.md"))
    page.write_text(page.read_text() + "\nIt floats.\n")
    assert _look(project).files != before.files


@contextmanager
def _following(project: Project) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run `beforehand follow` for the block, with the lines that it says."""
    process = subprocess.Popen(
        [sys.executable, "-m", "beforehand", "--config", str(project.folder / "beforehand.toml"), "follow"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "BEFOREHAND_FOLLOW__POLL_SECONDS": "0.1", "BEFOREHAND_FOLLOW__SETTLE_SECONDS": "0.2"},
    )
    said: list[str] = []
    try:
        yield process, said
    finally:
        process.kill()
        process.wait()


def _read_until(process: subprocess.Popen[str], said: list[str], word: str) -> None:
    timer = threading.Timer(PATIENCE, process.kill)
    timer.start()
    assert process.stderr is not None
    for line in process.stderr:
        said.append(line.rstrip())
        if word in line:
            break
    timer.cancel()
    assert word in said[-1], said


def test_a_document_that_comes_during_the_day_is_answered_from_within_minutes(project: Project) -> None:
    project.questions = [*project.questions, "What colour is the float of the pump?"]  # nothing says so yet
    note_covered(project.data, _look(project))
    runs = len(logged_runs(project.data))
    with _following(project) as (process, said):
        _read_until(process, said, "until Ctrl-C")
        _ask(project, "Does it float?", "ada", "ada", "ada")  # one asker, so nothing follows from it
        (project.folder / "documents" / "floats.md").write_text("# Floats\n\nThe float of the pump is blue.\n")
        _read_until(process, said, "published release")
        process.send_signal(signal.SIGINT)
        _read_until(process, said, "interrupted")
        process.wait(PATIENCE)

    assert process.returncode == 130
    assert "documents or lists have changed: building" in said
    assert [run["trigger"] for run in logged_runs(project.data)[runs:]] == ["follow"]
    question = "What colour is the float of the pump?"
    assert project.query(
        "SELECT answer FROM answers JOIN questions USING (query_key) WHERE question = ?", question
    ) == [("The float of the pump is blue. [2]",)]
    assert not list((project.data / "releases").glob(".building-*"))
