from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from warehouse.errors import NoReleaseError
from warehouse.releases.build import begin_build, fail, publish, seal
from warehouse.releases.comparisons import Comparison, record_comparison
from warehouse.releases.release import current_id, failed_builds, releases
from warehouse.releases.retention import Hold, hold_current, prune
from warehouse.releases.rollback import rollback


def build_release(data):
    build = begin_build(data, "run")
    (build.path / "warehouse.duckdb").write_text("x")
    seal(build, {})
    return publish(build)


@pytest.fixture
def five(tmp_path):
    return [build_release(tmp_path) for _ in range(5)]


def ids(data):
    return [r.release_id for r in releases(data)]


def test_the_newest_are_kept(tmp_path, five):
    assert prune(tmp_path, 2).removed == tuple(r.release_id for r in five[:3])
    assert ids(tmp_path) == [r.release_id for r in five[3:]]


def test_the_current_release_is_never_pruned(tmp_path, five):
    rollback(tmp_path, five[0].release_id)
    prune(tmp_path, 0)
    assert ids(tmp_path) == [five[0].release_id]
    assert current_id(tmp_path) == five[0].release_id


def test_a_held_release_is_pruned_only_after_the_hold_is_closed(tmp_path, five):
    hold = Hold(five[1])
    assert prune(tmp_path, 1).held == (five[1].release_id,)
    assert five[1].database.read_text() == "x"
    hold.close()
    assert prune(tmp_path, 1).removed == (five[1].release_id,)


HOLDER = """
import sys
from pathlib import Path
from warehouse.releases.release import find
from warehouse.releases.retention import Hold
hold = Hold(find(Path(sys.argv[1]), sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_killed_server_holds_nothing(tmp_path, five):
    command = [sys.executable, "-c", HOLDER, str(tmp_path), five[0].release_id]
    root = str(Path(__file__).parents[3])
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as server:
        assert server.stdout.readline() == "held\n"
        assert prune(tmp_path, 4).held == (five[0].release_id,)
        server.send_signal(signal.SIGKILL)
        server.wait()
    assert prune(tmp_path, 4).removed == (five[0].release_id,)


def test_a_pruned_release_cannot_be_held(tmp_path, five):
    prune(tmp_path, 1)
    with pytest.raises(NoReleaseError, match="just been pruned"):
        Hold(five[0])


@pytest.mark.usefixtures("five")
def test_the_current_release_can_be_held(tmp_path):
    with hold_current(tmp_path) as hold:
        assert hold.release.release_id == current_id(tmp_path)
    with pytest.raises(NoReleaseError, match="no release yet"):
        hold_current(tmp_path / "elsewhere")


def test_failed_builds_are_pruned_too(tmp_path):
    for reason in "abc":
        fail(begin_build(tmp_path, "run"), reason)
    prune(tmp_path, 1)
    assert len(failed_builds(tmp_path)) == 1


def test_pruning_a_release_deletes_its_comparisons(tmp_path, five):
    for release in five:
        record_comparison(tmp_path, release.release_id, Comparison("main", 1.0, True))
    prune(tmp_path, 2)
    assert sorted(path.stem for path in (tmp_path / "comparisons").iterdir()) == ids(tmp_path)
