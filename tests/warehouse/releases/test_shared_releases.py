"""Releases in an object store: published by one machine, followed by others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.object_store import LARGE, Machines, build
from warehouse.errors import BuildInProgressError, NoReleaseError, ReleaseElsewhereError, StorageError, TornReleaseError
from warehouse.objects.client import ObjectStore
from warehouse.releases.build import abandon, begin_build, publish, seal
from warehouse.releases.build_lease import refuse_second_build
from warehouse.releases.following import refresh
from warehouse.releases.release import Release, current, current_id, find, releases, verify
from warehouse.releases.retention import hold_current, prune
from warehouse.releases.rollback import rollback
from warehouse.releases.transfer import pull_release


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_another_machine_follows_the_current_release_and_verifies_it(machines: Machines):
    here, there = machines.new("a"), machines.new("b")
    published = publish(build(here))

    refresh(there.folder)

    found = current(there.folder)
    assert found.release_id == published.release_id
    verify(found)
    assert found.database.read_bytes() == b"tables"


def test_a_release_that_was_pushed_halfway_is_never_seen_and_is_swept(machines: Machines, monkeypatch):
    here, there = machines.new("a"), machines.new("b")
    first = publish(build(here))
    torn = build(here)
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(ObjectStore, "write", _killed)  # what the first release has too is copied by then
        publish(torn)
    torn.lease.release()  # as the kernel and time do for a process that was killed

    refresh(there.folder)

    assert [each.release_id for each in releases(there.folder)] == [first.release_id]
    assert here.store.listed(f"releases/{torn.release_id}") != []
    abandon(begin_build(there.folder, "r2"))
    assert here.store.listed(f"releases/{torn.release_id}") == []


def test_a_pull_that_is_killed_goes_on_later_and_serves_the_old_release_meanwhile(machines: Machines, monkeypatch):
    here, there = machines.new("a"), machines.new("b")
    first = publish(build(here))
    refresh(there.folder)
    second = publish(build(here, LARGE + b"!"))
    download = ObjectStore.download

    def torn(self: ObjectStore, key: str, path: Path) -> None:
        download(self, key, path)
        if key.endswith("model.onnx"):
            path.write_bytes(path.read_bytes()[:1000])

    with monkeypatch.context() as flaky:
        flaky.setattr(ObjectStore, "download", torn)
        with pytest.raises(TornReleaseError, match=r"model\.onnx differs from its checksum; the release can't be"):
            refresh(there.folder)

    assert current_id(there.folder) == first.release_id
    refresh(there.folder)
    assert current_id(there.folder) == second.release_id
    verify(current(there.folder))


def test_a_large_file_that_a_release_has_already_is_not_sent_or_fetched_again(machines: Machines, monkeypatch):
    here, there = machines.new("a"), machines.new("b")
    publish(build(here))
    refresh(there.folder)
    moved: list[str] = []
    for name in ("write", "download"):
        _record(monkeypatch, name, moved)

    second = publish(build(here))
    refresh(there.folder)

    assert not [key for key in moved if key.endswith("model.onnx")]
    assert f"releases/{second.release_id}/manifest.json" in moved
    verify(current(there.folder))


def _record(monkeypatch: pytest.MonkeyPatch, name: str, moved: list[str]) -> None:
    original: Callable[..., object] = getattr(ObjectStore, name)

    def recorded(self: ObjectStore, key: str, data: object) -> object:
        moved.append(key)
        return original(self, key, data)

    monkeypatch.setattr(ObjectStore, name, recorded)


def test_of_two_publishers_the_one_that_lost_its_lease_publishes_nothing(machines: Machines, monkeypatch):
    monkeypatch.setattr("warehouse.objects.store_lease._SECONDS", 2.0)
    here, there = machines.new("a"), machines.new("b")
    suspended = build(here)
    suspended.lease._shared._ended.set()  # its thread renews nothing any more
    with pytest.raises(BuildInProgressError, match="run r1"):
        refuse_second_build(there.folder)
    other = begin_build(there.folder, "r2", wait_seconds=10)
    seal(other, {"audit": []})
    published = publish(other)

    with pytest.raises(BuildInProgressError, match=r"lost its lease on s3://team/.* nothing is published"):
        publish(suspended)

    refresh(here.folder)
    assert current_id(here.folder) == published.release_id
    assert [each.release_id for each in releases(here.folder)] == [published.release_id]


def test_a_rollback_moves_the_pointer_for_all(machines: Machines):
    here, there = machines.new("a"), machines.new("b")
    first, second = publish(build(here)), publish(build(here))
    refresh(there.folder)
    assert current_id(there.folder) == second.release_id

    with pytest.raises(ReleaseElsewhereError):
        rollback(there.folder)
    pull_release(there, first.release_id)

    assert rollback(there.folder).release_id == first.release_id

    refresh(here.folder)
    assert current_id(here.folder) == first.release_id


def test_a_rollback_is_refused_when_the_pointer_has_moved_meanwhile(machines: Machines):
    here, there = machines.new("a"), machines.new("b")
    first, _ = publish(build(here)), publish(build(here))
    refresh(there.folder)
    pull_release(there, first.release_id)
    third = publish(build(here))

    with pytest.raises(StorageError, match=f"became {third.release_id} meanwhile; nothing was changed"):
        rollback(there.folder, first.release_id)

    refresh(there.folder)
    assert current_id(there.folder) == third.release_id


def test_pruning_is_for_all_machines_and_spares_what_one_serves(machines: Machines):
    here, there = machines.new("a"), machines.new("b")
    first = publish(build(here))
    refresh(there.folder)
    with hold_current(there.folder):
        second = publish(build(here))
        assert prune(here.folder, keep=1).removed == (first.release_id,)

        refresh(there.folder)

        assert (there.folder / "releases" / first.release_id).is_dir()
        assert here.store.listed(f"releases/{first.release_id}") == []
    assert _ids(releases(here.folder)) == [second.release_id]
    with pytest.raises(NoReleaseError):
        find(here.folder, first.release_id)


def _ids(found: list[Release]) -> list[str]:
    return [each.release_id for each in found]
