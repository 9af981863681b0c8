"""A service whose data folder is the copy of an object store."""

from __future__ import annotations

import pytest

from online.release.object_store import following_store
from online.release.store_trouble import store_trouble
from tests.object_store import Machines, build
from tests.waiting import until
from warehouse.editorial.withdrawal import Withdrawals, withdraw
from warehouse.errors import StorageError
from warehouse.objects.client import ObjectStore
from warehouse.objects.shared_log import follow_log
from warehouse.releases.build import publish
from warehouse.releases.release import current_id


def test_a_service_follows_releases_and_withdrawals_and_sends_its_journal_at_the_end(machines: Machines):
    batch, server = machines.new("batch"), machines.new("server")
    first = publish(build(batch))
    withdrawn = Withdrawals(server.folder)

    with following_store(server.folder, 0.05):
        assert current_id(server.folder) == first.release_id
        second = publish(build(batch))
        until("the second release is here", lambda: current_id(server.folder) == second.release_id)
        withdraw(batch.folder, "main", "d1", "wrong")
        follow_log(batch)
        until("the withdrawal is here", lambda: withdrawn.follow() or "d1" in withdrawn.of("main"))
        (server.folder / "journal").mkdir()
        (server.folder / "journal" / "1-7-1.jsonl").write_text('{"kind": "request"}\n')

    assert len(batch.store.listed("journal")) == 1
    assert [path.name for path in (server.folder / "journal").iterdir()] == []


def test_servers_of_one_store_sign_sessions_and_name_callers_alike(machines: Machines):
    servers = [machines.new(name) for name in "ab"]

    for server in servers:
        with following_store(server.folder, 60):
            pass

    for name in ("review-secret", "asker-salt.json"):
        first, second = ((server.folder / name).read_bytes() for server in servers)
        assert first == second


def test_a_store_that_goes_away_is_told_and_what_is_here_is_served(machines: Machines, monkeypatch: pytest.MonkeyPatch):
    batch, server, fresh = (machines.new(name) for name in "abc")
    publish(build(batch))
    with following_store(server.folder, 60):
        store_trouble(server.folder)()

    monkeypatch.setattr(ObjectStore, "listed", _away)

    with following_store(server.folder, 60), pytest.raises(StorageError, match="its server can't be reached"):
        store_trouble(server.folder)()
    with pytest.raises(StorageError, match="its server can't be reached"), following_store(fresh.folder, 60):
        pass


def _away(*_: object) -> None:
    raise StorageError("Can't list log in s3://team/x: its server can't be reached; try again.")
