"""The lease among machines that share only a store."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.object_store import Machines
from tests.waiting import PATIENCE
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
def lapse(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set after how many seconds a lease lapses; a store's times are whole seconds."""
    return lambda seconds: monkeypatch.setattr("warehouse.objects.store_lease._SECONDS", seconds)


def test_a_killed_holder_s_lease_lapses_and_one_that_comes_back_must_not_publish(
    machines: Machines, lapse: Callable[[float], None]
):
    lapse(2.0)
    here, there = machines.new("a"), machines.new("b")
    asleep = StoreLease.acquire(here, "run-1")
    asleep._ended.set()  # as if its machine was suspended: it renews nothing

    taken = StoreLease.acquire(there, "run-2", wait_seconds=PATIENCE)

    taken.require()
    with pytest.raises(BuildInProgressError, match=r"This run lost its lease .* run run-2 .* nothing is published"):
        asleep.require()
    taken.release()


def test_a_lease_that_is_renewed_does_not_lapse(machines: Machines, lapse: Callable[[float], None]):
    lapse(6.0)  # on a busy machine it may be renewed seconds late
    here, there = machines.new("a"), machines.new("b")
    lease = StoreLease.acquire(here, "run-1")

    with pytest.raises(BuildInProgressError, match="run run-1"):
        StoreLease.acquire(there, "run-2", wait_seconds=6.5)

    lease.require()
    lease.release()


def test_a_machine_takes_over_its_own_dead_process_s_lease_at_once(machines: Machines):
    here, there = machines.new("a"), machines.new("b")
    killed = StoreLease.acquire(here, "run-1")
    killed._ended.set()

    taken = StoreLease.acquire(here, "run-2")

    with pytest.raises(BuildInProgressError, match="run run-2"):
        StoreLease.acquire(there, "run-3")
    taken.release()
