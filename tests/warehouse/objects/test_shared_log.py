"""The log that all machines write."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.object_store import Machines
from warehouse.append_log import append
from warehouse.editorial.withdrawal import Withdrawals, withdraw
from warehouse.log_line import read
from warehouse.objects.shared_log import follow_log


def test_machines_that_append_at_once_lose_no_line_and_see_one_order(machines: Machines):
    mirrors = [machines.new(name) for name in "ab"]

    def write(number: int) -> None:
        append(mirrors[number % 2].folder / "reviews.jsonl", [{"n": number}])
        follow_log(mirrors[number % 2])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(12)))
    for mirror in mirrors:
        follow_log(mirror)

    first, second = (read(mirror.folder / "reviews.jsonl") for mirror in mirrors)
    assert first == second
    assert sorted(each["n"] for each in first) == list(range(12))


def test_a_withdrawal_is_known_to_another_machine(machines: Machines):
    here, there = machines.new("a"), machines.new("b")
    withdraw(here.folder, "main", "d1", "wrong")
    follow_log(here)

    follow_log(there)

    known = Withdrawals(there.folder)
    known.follow()
    assert list(known.of("main")) == ["d1"]


def test_what_is_appended_holds_here_at_once_and_behind_what_others_said_before(machines: Machines):
    here, there = machines.new("a"), machines.new("b")
    append(here.folder / "reviews.jsonl", [{"n": 2}])
    assert read(here.folder / "reviews.jsonl") == [{"n": 2}]
    append(there.folder / "reviews.jsonl", [{"n": 1}])
    follow_log(there)

    follow_log(here)
    follow_log(there)

    for mirror in (here, there):
        assert (mirror.folder / "reviews.jsonl").read_bytes() == b'{"n": 1}\n{"n": 2}\n'


def test_a_machine_killed_between_sending_and_noting_it_sends_nothing_twice(machines: Machines, monkeypatch):
    here, there = machines.new("a"), machines.new("b")
    append(here.folder / "reviews.jsonl", [{"n": 1}])
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr("warehouse.objects.shared_log._take", _killed)
        follow_log(here)

    follow_log(here)
    follow_log(there)

    assert read(here.folder / "reviews.jsonl") == read(there.folder / "reviews.jsonl") == [{"n": 1}]


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_what_a_crash_left_behind_the_noted_end_is_cut_off(machines: Machines):
    here, there = machines.new("a"), machines.new("b")
    append(here.folder / "reviews.jsonl", [{"n": 1}])
    follow_log(here)
    with (here.folder / "reviews.jsonl").open("ab") as file:  # killed while it wrote, before the position was noted
        file.write(b'{"n": 2}\n{"n": ')
    append(there.folder / "reviews.jsonl", [{"n": 2}])
    follow_log(there)

    follow_log(here)

    assert (here.folder / "reviews.jsonl").read_bytes() == b'{"n": 1}\n{"n": 2}\n'
