"""Waiting ends: with what came, or with a sentence about what never did."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.waiting import until


def test_what_came_is_returned() -> None:
    counted = iter(range(10))

    assert until("three are counted", lambda: next(counted), lambda number: number >= 3) == 3


def test_what_never_comes_is_named_with_what_was_there_instead() -> None:
    with pytest.raises(AssertionError, match="not within 0 s: the answer is live; last seen: 'exact'"):
        until("the answer is live", lambda: "exact", lambda source: source == "live", patience=0.05)


def test_nobody_waits_for_a_process_that_has_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()

    with pytest.raises(AssertionError, match="ended before it listens"):
        until("it listens", lambda: False, process=process)
