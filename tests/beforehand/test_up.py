"""`up`: what it starts, what it says of parts that end, and how much of their talk it passes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from beforehand.commands.up import parts_of
from beforehand.configuration import Settings
from beforehand.parts import Part, PartEndedError, running_parts, wait_until_well


@pytest.mark.parametrize(
    ("llm", "expected"),
    [
        ({}, ["llm", "serve", "schedule"]),
        ({"endpoint": "http://gpu-1:8001/v1"}, ["serve", "schedule"]),
        ({"mode": "in_process"}, ["serve", "schedule"]),
    ],
)
def test_a_language_model_is_started_unless_there_is_one(llm: dict[str, str], expected: list[str]) -> None:
    assert [part.name for part in parts_of(Settings.model_validate({"llm": llm}))] == expected


def test_a_part_that_ends_ends_all_with_its_last_line(tmp_path: Path) -> None:
    """One part has nothing to do, another a mistake in its configuration."""
    waiting = Part("waiting", "waits", ("key", "--help"), "(never)", "/")
    broken = Part("broken", "cannot start", ("--config", "missing.toml", "schedule"), "(never)", "/")
    said: list[str] = []

    with (
        pytest.raises(PartEndedError) as told,
        running_parts([broken], tmp_path / "beforehand.toml", tmp_path / "logs", said.append) as running,
    ):
        wait_until_well(running)

    assert str(told.value).startswith("broken ended by itself (exit code 2): missing.toml: no such file")
    assert "missing.toml: no such file" in (tmp_path / "logs" / "broken.log").read_text()
    assert any(line.startswith("broken   | ") for line in said)
    with running_parts([waiting], tmp_path / "beforehand.toml", tmp_path / "logs", said.append) as running:
        process = running[0].process
    assert process.poll() is not None


def test_a_talkative_part_drowns_nobody() -> None:
    from beforehand.parts import _Limit

    limit = _Limit()
    shown = [limit.allows(0.0) for _ in range(100)]

    assert shown == [True] * 20 + [False] * 80
    assert limit.left_out(1.0) == 0, "not yet"
    assert limit.left_out(6.0) == 80
    assert limit.allows(6.0)
    assert limit.left_out(12.0) == 0
