"""The journal on its way from servers into the one history."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.object_store import Machines
from tests.warehouse.conftest import NOW, request
from warehouse.errors import ContestedError
from warehouse.history.shared_compaction import compact_journal
from warehouse.objects.client import ObjectStore
from warehouse.objects.journal_chunks import send_journal
from warehouse.objects.mirror import Mirror
from warehouse.objects.trees import pull_tree, push_tree, replace_in_store
from warehouse.settings import HistorySettings

SETTINGS = HistorySettings.model_validate({})


def write(mirror: Mirror, segment: str, *questions: str) -> Path:
    """Append requests to a segment, as a server does."""
    path = mirror.folder / "journal" / segment
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        file.writelines(json.dumps(request(each, "live") | {"at": NOW.isoformat()}) + "\n" for each in questions)
    return path


def questions_of(mirror: Mirror) -> list[str]:
    """Return the questions of the day in the mirror's history."""
    return sorted(pq.read_table(mirror.folder / "history" / f"day={NOW.date()}")["question"].to_pylist())


def compacted(mirror: Mirror) -> list[str]:
    compact_journal(mirror.folder, SETTINGS, date(2026, 11, 21))
    return questions_of(mirror)


def test_requests_of_all_servers_come_into_one_history_each_once(machines: Machines):
    first, second, analyst = (machines.new(name) for name in "abc")
    opened = write(first, "1-7-1.jsonl.open", "q1")
    write(second, "1-7-1.jsonl", "q2")  # two servers may name a segment alike
    send_journal(first)
    send_journal(second)
    assert compacted(analyst) == ["q1", "q2"]

    write(first, opened.name, "q3")
    send_journal(first)
    opened.rename(opened.with_suffix(""))
    send_journal(first)

    assert compacted(second) == ["q1", "q2", "q3"]
    assert compacted(analyst) == ["q1", "q2", "q3"]
    assert list((first.folder / "journal").iterdir()) == []
    assert analyst.store.listed("journal") == []


def test_a_server_killed_between_sending_and_noting_it_sends_nothing_twice(machines: Machines, monkeypatch):
    server, analyst = machines.new("a"), machines.new("b")
    write(server, "1-7-1.jsonl.open", "q1")
    with monkeypatch.context() as killed:
        killed.setattr("warehouse.objects.journal_chunks.replace_file", _killed)
        with pytest.raises(KeyboardInterrupt):
            send_journal(server)
    write(server, "1-7-1.jsonl.open", "q2")

    send_journal(server)

    assert compacted(analyst) == ["q1", "q2"]


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_two_machines_that_compact_at_once_count_nothing_twice(machines: Machines, monkeypatch):
    server, slow, quick = (machines.new(name) for name in "abc")
    write(server, "1-7-1.jsonl", "q1")
    send_journal(server)
    assert compacted(quick) == ["q1"]
    write(server, "1-7-2.jsonl", "q2")
    send_journal(server)
    listed, overtaken = ObjectStore.listed, []

    def then_overtaken(self: ObjectStore, prefix: str, after: str | None = None) -> object:
        found = listed(self, prefix, after)
        if prefix == "journal" and self is slow.store and not overtaken:
            overtaken.append(compacted(quick))
        return found

    monkeypatch.setattr(ObjectStore, "listed", then_overtaken)

    assert compacted(slow) == ["q1", "q2"]
    assert compacted(quick) == ["q1", "q2"]


def test_a_day_that_changed_in_the_store_is_not_overwritten(machines: Machines):
    here, there = machines.new("a"), machines.new("b")
    day = "history/day=2026-11-20/history.parquet"
    (here.folder / day).parent.mkdir(parents=True)
    (here.folder / day).write_bytes(b"one")
    push_tree(here, "history")
    pull_tree(there, "history")
    (there.folder / day).write_bytes(b"another")
    replace_in_store(there, "history", day)
    (here.folder / day).write_bytes(b"late")

    with pytest.raises(ContestedError):
        replace_in_store(here, "history", day)

    found = here.store.read(day)
    assert found is not None and found.data == b"another"
