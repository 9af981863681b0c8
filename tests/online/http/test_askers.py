"""Anonymous callers are told apart for a day, and no longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from online.http.askers import Askers

DAY = 86_400.0
NOON = 20_783 * DAY + DAY / 2


def scope(address: str | None) -> dict[str, object]:
    return {"type": "http", "client": None if address is None else (address, 1234)}


@pytest.fixture
def now() -> list[float]:
    return [NOON]


@pytest.fixture
def askers(tmp_path: Path, now: list[float]) -> Askers:
    return Askers(tmp_path, lambda: now[0])


def test_one_address_is_one_asker_and_two_are_two(askers: Askers) -> None:
    assert askers.name(scope("192.0.2.1")) == askers.name(scope("192.0.2.1"))
    assert askers.name(scope("192.0.2.1")) != askers.name(scope("192.0.2.2"))
    assert askers.name(scope(None)) == askers.name(scope(None))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1::1", "2001:db8:1:ffff::2", True),
        ("2001:db8:1::1", "2001:db8:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_a_site_is_one_asker_however_many_addresses_it_has(askers: Askers, one: str, other: str, same: bool) -> None:
    assert (askers.name(scope(one)) == askers.name(scope(other))) == same


def test_the_hash_changes_every_day(askers: Askers, now: list[float]) -> None:
    before = askers.name(scope("192.0.2.1"))
    now[0] = NOON + DAY
    assert askers.name(scope("192.0.2.1")) != before


def test_workers_and_restarts_agree_also_days_later(tmp_path: Path, askers: Askers, now: list[float]) -> None:
    other = Askers(tmp_path, lambda: now[0])
    assert other.name(scope("192.0.2.1")) == askers.name(scope("192.0.2.1"))
    now[0] = NOON + 9 * DAY
    name = askers.name(scope("192.0.2.1"))
    assert other.name(scope("192.0.2.1")) == name
    assert Askers(tmp_path, lambda: now[0]).name(scope("192.0.2.1")) == name


def test_the_salt_of_yesterday_is_gone(tmp_path: Path, askers: Askers, now: list[float]) -> None:
    before = (tmp_path / "asker-salt.json").read_text()
    now[0] = NOON + DAY
    askers.name(scope("192.0.2.1"))
    after = (tmp_path / "asker-salt.json").read_text()
    assert after != before
    assert [path.name for path in tmp_path.iterdir()] == ["asker-salt.json"]
