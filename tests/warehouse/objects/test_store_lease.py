"""The lease among machines that share only a store."""

from __future__ import annotations

import pytest

from tests.object_store import Machines
from warehouse.errors import BuildInProgressError
from warehouse.objects.store_lease import StoreLease, refuse_while_held


def test_a_second_machine_is_told_who_builds_until_the_lease_is_given_back(machines: Machines):
    here, there = machines.new("a"), machines.new("b")
    lease = StoreLease.acquire(here, "run-1")

    with pytest.raises(BuildInProgressError) as raised:
        StoreLease.acquire(there, "run-2")

    assert "run run-1 (process " in str(raised.value)
    assert f"holds the lease of {machines.address} since 20" in str(raised.value)
    assert "seconds until the lease lapses." in str(raised.value)
    with pytest.raises(BuildInProgressError, match="run run-1"):
        refuse_while_held(there)
    lease.release()
    StoreLease.acquire(there, "run-2").release()


@pytest.fixture
def two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that lapse soon; a store's times are whole seconds."""
    monkeypatch.setattr("warehouse.objects.store_lease._SECONDS", 2.0)


@pytest.mark.usefixtures("two_seconds")
def test_a_killed_holder_s_lease_lapses_and_one_that_comes_back_must_not_publish(machines: Machines):
    here, there = machines.new("a"), machines.new("b")
    asleep = StoreLease.acquire(here, "run-1")
    asleep._ended.set()  # as if its machine was suspended: it renews nothing

    with pytest.raises(BuildInProgressError):
        StoreLease.acquire(there, "run-2")
    taken = StoreLease.acquire(there, "run-2", wait_seconds=10)

    taken.require()
    with pytest.raises(BuildInProgressError, match=r"This run lost its lease .* run run-2 .* nothing is published"):
        asleep.require()
    taken.release()


@pytest.mark.usefixtures("two_seconds")
def test_a_lease_that_is_renewed_does_not_lapse(machines: Machines):
    here, there = machines.new("a"), machines.new("b")
    lease = StoreLease.acquire(here, "run-1")

    with pytest.raises(BuildInProgressError):
        StoreLease.acquire(there, "run-2", wait_seconds=2.2)

    lease.require()
    lease.release()


def test_a_machine_takes_over_its_own_dead_process_s_lease_at_once(machines: Machines):
    here = machines.new("a")
    killed = StoreLease.acquire(here, "run-1")
    killed._ended.set()

    StoreLease.acquire(here, "run-2").release()
