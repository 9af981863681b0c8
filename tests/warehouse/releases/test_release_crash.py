"""SIGKILL of a real process at every file operation of a build, and at random; a full disk."""

from __future__ import annotations

import errno
import itertools
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.warehouse.conftest import Rows, sample_rows, write_parquet
from warehouse.errors import BuildInProgressError, NoReleaseError, StorageError
from warehouse.releases.build import abandon, begin_build, fail, publish, seal
from warehouse.releases.load import load_release_database
from warehouse.releases.release import current, current_id, releases, verify
from warehouse.releases.retention import prune
from warehouse.releases.serving_index import write_serving_index

ROOT = Path(__file__).parents[3]
PROCESSES = multiprocessing.get_context("forkserver")  # whose processes begin without another test's threads
PROCESSES.set_forkserver_preload([__name__])


def build_release(data: Path, content: str) -> str:
    build = begin_build(data, f"run-{content}")
    (build.path / "collections").mkdir()
    for name in ("warehouse.duckdb", "serving.lmdb", "collections/passages.ids"):
        (build.path / name).write_text(content)
    seal(build, {})
    return publish(build).release_id


def build_and_die_at(data: Path, point: int) -> None:
    """Build, and kill this very process before its file operation number `point`."""
    seen = 0

    def count(event: str, _arguments: object) -> None:
        nonlocal seen
        if event in ("open", "os.rename", "os.mkdir", "os.chmod", "os.remove", "os.rmdir", "os.truncate"):
            seen += 1
            if seen == point:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    build_release(data, "new")


def check_whole(data: Path, allowed: set[str]) -> None:
    release = current(data)
    verify(release)
    texts = {path.read_text() for path in release.path.rglob("*") if path.is_file() and "manifest" not in path.name}
    assert len(texts) == 1, "files of two releases are mixed"
    assert texts <= allowed


def test_a_crash_at_any_file_operation_leaves_the_old_release_or_the_new(tmp_path):
    build_release(tmp_path, "old")
    point, ended = 0, False
    outcomes = set()
    while not ended:
        point += 1
        child = PROCESSES.Process(target=build_and_die_at, args=(tmp_path, point))
        child.start()
        child.join()
        ended = child.exitcode == 0
        assert ended or child.exitcode == -signal.SIGKILL
        check_whole(tmp_path, {"old", "new"})
        outcomes.add(current(tmp_path).database.read_text())
        build_release(tmp_path, "old")
        prune(tmp_path, 1)
        left = {p.name for p in (tmp_path / "releases").iterdir()}
        assert left <= {"CURRENT", ".lease", ".pointer.lock", *(r.release_id for r in releases(tmp_path))}
    assert point > 20
    assert outcomes == {"old", "new"}


def build_for_ever(data: Path, announce: Connection) -> None:
    """Build one release after the other, and announce each."""
    for number in itertools.count():
        announce.send(build_release(data, str(number)))
        prune(data, 2)


def test_a_process_killed_at_random_leaves_a_whole_release(tmp_path):
    dice = random.Random(7)
    for _ in range(8):
        told, announce = PROCESSES.Pipe(duplex=False)
        child = PROCESSES.Process(target=build_for_ever, args=(tmp_path, announce))
        child.start()
        for _ in range(dice.randint(1, 8)):
            announced = told.recv()
        child.kill()
        child.join()
        verify(current(tmp_path))
        assert current_id(tmp_path) >= announced
    abandon(begin_build(tmp_path, "after"))
    assert not list((tmp_path / "releases").glob(".building*"))


HOLD_LEASE = """
import sys
from pathlib import Path
from warehouse.releases.build import begin_build
build = begin_build(Path(sys.argv[1]), "first")
print("building", flush=True)
sys.stdin.read()
"""


def test_a_killed_build_loses_its_lease_and_its_folder(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_LEASE, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "building\n"
        with pytest.raises(BuildInProgressError, match="run first"):
            begin_build(tmp_path, "second")
        process.kill()
        process.wait()
    build = begin_build(tmp_path, "second")
    assert [p.name for p in (tmp_path / "releases").glob(".building*")] == [build.path.name]


def test_a_second_build_may_wait_for_the_first(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_LEASE, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "building\n"
        process.stdin.close()  # it ends by itself while we wait
        abandon(begin_build(tmp_path, "second", wait_seconds=60))


def test_a_forked_child_does_not_keep_the_lease(tmp_path):
    build = begin_build(tmp_path, "first")
    context = multiprocessing.get_context("fork")
    gone = context.Event()

    child = context.Process(target=gone.wait, args=(60,))
    child.start()
    abandon(build)
    try:
        second = begin_build(tmp_path, "second")
        assert second.path.is_dir()
        abandon(second)
    finally:
        gone.set()
        child.join()


@pytest.fixture
def small_disk(tmp_path):
    """Mount a tmpfs of 1 MB, where that is permitted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False).returncode
    ):
        pytest.skip("mounting a tmpfs is not permitted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError as error:
            assert error.errno == errno.ENOSPC


def test_a_full_disk_is_reported_and_the_current_release_is_untouched(small_disk):
    before = build_release(small_disk, "old")
    build = begin_build(small_disk, "run-2")
    (build.path / "warehouse.duckdb").write_text("new")
    fill(small_disk)

    with pytest.raises(StorageError, match=r"the disk of .* is full; free some space"):
        publish(seal_and_return(build))

    assert current_id(small_disk) == before
    verify(current(small_disk))
    abandon(build)
    (small_disk / "filler").unlink()
    assert build_release(small_disk, "new") == current_id(small_disk)


def seal_and_return(build):
    seal(build, {"padding": "x" * 8192})
    return build


def test_a_full_disk_before_the_first_build_is_reported(small_disk):
    fill(small_disk)
    for _ in range(20):  # a tmpfs may have room for one more folder, not for the lease's note
        try:
            build_release(small_disk, "x" * 100_000)
        except StorageError as error:
            assert "full" in str(error)
            break
    with pytest.raises(NoReleaseError):
        current(small_disk)


def large_rows() -> Rows:
    rows = sample_rows()
    text = "".join(chr(33 + (n * n) % 90) for n in range(200_000))  # does not compress well
    rows["answers"] = [row | {"answer": f"{row['query_key']}{text}"[::-1] + text} for row in rows["answers"]]
    return rows


def test_a_disk_that_fills_while_the_tables_are_loaded_is_reported(small_disk, tmp_path):
    before = build_release(small_disk, "old")
    build = begin_build(small_disk, "run-2")
    files = write_parquet(tmp_path / "stages", large_rows())
    fill(small_disk)

    with pytest.raises(StorageError, match=r"Can't write the release's tables: the disk of .* is full"):
        load_release_database(build.database, files)

    fail(build, "the disk is full")
    assert current_id(small_disk) == before
    verify(current(small_disk))


def test_a_disk_that_fills_while_the_serving_index_is_written_is_reported(small_disk, tmp_path):
    database = tmp_path / "warehouse.duckdb"
    load_release_database(database, write_parquet(tmp_path / "stages", large_rows()))
    fill(small_disk)
    with pytest.raises(StorageError, match=r"Can't write the serving index: the disk of .* is full"):
        write_serving_index(database, small_disk / "serving.lmdb", "r-1")
