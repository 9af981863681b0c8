"""What fails many times a second is logged now and then."""

from __future__ import annotations

import logging

import pytest

from online.telemetry.throttled_log import ThrottledLog


def test_at_most_one_line_in_thirty_seconds_and_the_next_one_says_how_many_were_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seconds = iter([0.0, 1.0, 29.0, 30.0, 61.0])
    log = ThrottledLog(logging.getLogger("beforehand.test"), clock=lambda: next(seconds))
    for number in range(5):
        log(logging.WARNING, "call %d failed", number)
    assert [record.getMessage() for record in caplog.records] == [
        "call 0 failed",
        "call 3 failed (2 such lines were left out before this one)",
        "call 4 failed",
    ]
