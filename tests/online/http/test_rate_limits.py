"""Rate limits: token buckets that refill by the clock, one process's own or those of several."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from online.http.rate_limits import Bucket, buckets

# Takes what it can of each bucket in turn, and says how many tokens these were.
_TAKE_ALL = """
import sys
from pathlib import Path
from online.http.rate_limits import buckets
each = buckets({str(number): 2 for number in range(5000)}, Path(sys.argv[1])).values()
print("ready", flush=True)
sys.stdin.readline()
print(sum(bucket.take() for bucket in each for _ in range(3)))
"""
# Dies in the middle of taking a token.
_DIE_WITH_THE_LOCK = """
import fcntl, sys
lock = open(sys.argv[1] + "/rate-limits", "r+b")
fcntl.flock(lock, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""
SECOND = 1_000_000_000


def started(program: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


def test_a_bucket_refills_by_the_clock() -> None:
    now = 5 * SECOND
    bucket = Bucket(60, clock=lambda: now)
    assert [bucket.take() for _ in range(61)].count(True) == 60
    assert (bucket.remaining, bucket.seconds_to_next, bucket.seconds_to_full) == (0, 1.0, 60.0)
    now += SECOND
    assert bucket.remaining == 1
    assert bucket.take()
    assert not bucket.take()


def test_a_full_bucket_gets_no_fuller() -> None:
    now = 3600 * SECOND
    bucket = Bucket(3, clock=lambda: now)
    assert (bucket.remaining, bucket.seconds_to_next, bucket.seconds_to_full) == (3, 0.0, 0.0)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


@given(st.integers(1, 10**12), st.lists(st.integers(0, 30 * SECOND), max_size=60))
def test_no_minute_and_its_burst_grant_more_than_twice_the_limit(per_minute: int, pauses: list[int]) -> None:
    now = 0
    bucket = Bucket(per_minute, clock=lambda: now)
    granted = []
    for pause in pauses:
        now += pause
        granted += [now for _ in range(5) if bucket.take()]
        assert 0 <= bucket.remaining <= per_minute
    assert all(sum(at <= each < at + 60 * SECOND for each in granted) <= 2 * per_minute for at in granted)


def test_each_name_has_its_own_bucket(tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        both = buckets({"first": 1, "second": 1}, folder)
        assert both["first"].take()
        assert both["second"].take()
        assert not both["first"].take()
    assert buckets({}, tmp_path) == {}


def test_processes_that_take_at_once_get_exactly_what_there_is(tmp_path: Path) -> None:
    both = [started(_TAKE_ALL, tmp_path) for _ in range(2)]
    assert [process.stdout and process.stdout.readline() for process in both] == ["ready\n", "ready\n"]
    with ThreadPoolExecutor(2) as pool:
        granted = list(pool.map(lambda process: int(process.communicate("go\n", timeout=60)[0]), both))
    assert sum(granted) == 10_000


def test_a_process_that_dies_with_the_lock_blocks_nobody(tmp_path: Path) -> None:
    bucket = buckets({"key": 2}, tmp_path)["key"]
    assert bucket.take()
    with started(_DIE_WITH_THE_LOCK, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        with (tmp_path / "rate-limits").open("r+b") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.kill(process.pid, signal.SIGKILL)
        assert bucket.take()
    assert not bucket.take()
