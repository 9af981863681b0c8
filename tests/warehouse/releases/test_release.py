from __future__ import annotations

import json
import stat

import pytest

from warehouse.errors import (
    AuditFailedError,
    BuildInProgressError,
    NewerDataError,
    NoReleaseError,
    TornReleaseError,
)
from warehouse.releases.build import abandon, begin_build, fail, publish, seal
from warehouse.releases.release import (
    FORMAT,
    current,
    current_id,
    failed_builds,
    find,
    releases,
    unreadable,
    verify,
)
from warehouse.releases.rollback import rollback


def build_release(data, content="one", facts=None):
    build = begin_build(data, "run-1")
    (build.path / "warehouse.duckdb").write_text(content)
    (build.path / "collections" / "main").mkdir(parents=True)
    (build.path / "collections" / "main" / "passages.ids").write_text(content)
    seal(build, facts or {"counts": {"answers": 3}})
    return publish(build)


def change_manifest(release, change):
    path = release.path / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.chmod(0o644)
    path.write_text(json.dumps(manifest))


@pytest.fixture
def three(tmp_path):
    return [build_release(tmp_path, content) for content in ("one", "two", "three")]


def test_the_last_published_release_is_current(tmp_path, three):
    assert current(tmp_path).release_id == three[-1].release_id
    assert current(tmp_path).database.read_text() == "three"
    assert [r.release_id for r in releases(tmp_path)] == sorted(r.release_id for r in three)


def test_the_manifest_describes_the_release(tmp_path, three):
    manifest = current(tmp_path).manifest
    assert manifest["run_id"] == "run-1"
    assert manifest["counts"] == {"answers": 3}
    assert manifest["previous"] == three[1].release_id
    assert set(manifest["checksums"]) == {"warehouse.duckdb", "collections/main/passages.ids"}
    assert manifest["sizes"]["warehouse.duckdb"] == 5


def test_a_published_release_is_read_only_and_passes_its_checksums(tmp_path):
    release = build_release(tmp_path)
    verify(release)
    for path in [release.path, *release.path.rglob("*")]:
        assert not path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH), path


def test_nothing_is_left_beside_the_releases(tmp_path, three):
    names = {p.name for p in (tmp_path / "releases").iterdir()}
    assert names == {"CURRENT", ".lease", ".pointer.lock", *(r.release_id for r in three)}


def test_foreign_folders_do_not_disturb_releases(tmp_path, three):
    (tmp_path / "releases" / "lost+found").mkdir()
    _remove(three[0].path / "manifest.json")

    assert unreadable(tmp_path) == [three[0].release_id, "lost+found"]
    assert [r.release_id for r in releases(tmp_path)] == [r.release_id for r in three[1:]]
    assert rollback(tmp_path).release_id == three[1].release_id


def test_a_torn_current_release_can_be_rolled_back(tmp_path, three):
    _remove(three[2].path / "manifest.json")

    with pytest.raises(TornReleaseError):
        current(tmp_path)
    assert rollback(tmp_path).release_id == three[1].release_id


def test_before_the_first_release_the_message_says_what_to_do(tmp_path):
    assert current_id(tmp_path) is None
    with pytest.raises(NoReleaseError, match="beforehand run"):
        current(tmp_path)


def _remove(path):
    path.parent.chmod(0o755)
    path.unlink()


def _change(path):
    path.chmod(0o644)
    path.write_text("eno")


def _add(path):
    path.parent.chmod(0o755)
    path.with_name("extra.bin").write_text("x")


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (_remove, "warehouse.duckdb is missing"),
        (_change, "differs from its checksum"),
        (_add, "extra.bin is not in its manifest"),
    ],
)
def test_a_torn_release_is_detected(tmp_path, damage, complaint):
    release = build_release(tmp_path)
    damage(release.database)
    with pytest.raises(TornReleaseError, match=complaint):
        verify(release)


def test_a_pointer_to_a_missing_release_is_detected(tmp_path):
    (tmp_path / "releases").mkdir()
    (tmp_path / "releases" / "CURRENT").write_text("gone\n")
    with pytest.raises(TornReleaseError, match="gone"):
        current(tmp_path)


def test_a_torn_manifest_is_detected(tmp_path):
    release = build_release(tmp_path)
    (release.path / "manifest.json").chmod(0o644)
    (release.path / "manifest.json").write_text('{"release_id": ')
    with pytest.raises(TornReleaseError, match="manifest"):
        current(tmp_path)


def test_a_build_that_is_not_sealed_is_not_published(tmp_path):
    build = begin_build(tmp_path, "run-1")
    with pytest.raises(TornReleaseError):
        publish(build)
    assert current_id(tmp_path) is None


def test_a_build_that_failed_its_audit_is_not_published(tmp_path, three):
    build = begin_build(tmp_path, "run-2")
    seal(build, {"audit": [{"name": "fine", "passed": True}, {"name": "empty answers", "passed": False}]})
    with pytest.raises(AuditFailedError, match="empty answers"):
        publish(build)
    assert current_id(tmp_path) == three[-1].release_id


def test_a_failed_build_is_kept_for_inspection(tmp_path, three):
    build = begin_build(tmp_path, "run-2")
    (build.path / "warehouse.duckdb").write_text("bad")

    fail(build, "7 % of the answers are empty", {"audit": [{"name": "empty answers", "passed": False}]})

    kept = failed_builds(tmp_path)[0]
    assert kept.release_id == build.release_id
    assert kept.manifest["failed"] == "7 % of the answers are empty"
    assert kept.database.read_text() == "bad"
    assert current_id(tmp_path) == three[-1].release_id
    assert build.release_id not in [r.release_id for r in releases(tmp_path)]
    with pytest.raises(NoReleaseError, match="failed its audit"):
        rollback(tmp_path, build.release_id)


def test_a_sealed_build_can_still_fail(tmp_path):
    build = begin_build(tmp_path, "run-1")
    seal(build, {})
    fail(build, "golden questions got worse")
    assert failed_builds(tmp_path)[0].manifest["failed"] == "golden questions got worse"


def test_a_second_build_refuses_and_says_who_is_building(tmp_path):
    first = begin_build(tmp_path, "run-1")
    with pytest.raises(BuildInProgressError, match=r"run run-1 \(process \d+"):
        begin_build(tmp_path, "run-2")
    assert first.path.is_dir()


@pytest.mark.parametrize("end", [abandon, lambda build: fail(build, "no")])
def test_the_next_build_may_start_when_the_first_has_ended(tmp_path, end):
    first = begin_build(tmp_path, "run-1")
    end(first)
    second = begin_build(tmp_path, "run-2")
    assert second.path.is_dir()
    abandon(second)


def test_rollback_returns_to_the_release_that_was_current_before(tmp_path, three):
    assert rollback(tmp_path).release_id == three[1].release_id
    assert current(tmp_path).release_id == three[1].release_id
    assert rollback(tmp_path).release_id == three[0].release_id
    with pytest.raises(NoReleaseError, match="no release before"):
        rollback(tmp_path)


def test_rollback_after_a_rollback_and_a_new_release_skips_the_bad_one(tmp_path, three):
    rollback(tmp_path)
    build_release(tmp_path, "four")
    assert rollback(tmp_path).release_id == three[1].release_id


def test_rollback_accepts_an_id_or_a_prefix(tmp_path, three):
    first = three[0].release_id
    unique = next(first[:n] for n in range(1, 99) if sum(r.release_id[:n] == first[:n] for r in three) == 1)
    assert rollback(tmp_path, unique).release_id == first
    with pytest.raises(NoReleaseError, match="several releases"):
        find(tmp_path, "2")
    with pytest.raises(NoReleaseError, match="is no release; there are"):
        rollback(tmp_path, "nonsense")


def test_rollback_to_a_torn_release_is_refused(tmp_path, three):
    _change(three[0].database)
    with pytest.raises(TornReleaseError):
        rollback(tmp_path, three[0].release_id)
    assert current_id(tmp_path) == three[-1].release_id


@pytest.mark.usefixtures("three")
def test_the_next_build_removes_leftovers_of_a_crashed_one(tmp_path):
    folder = tmp_path / "releases"
    for name in (".building-x", ".pruned-y"):
        (folder / name / "collections").mkdir(parents=True)
        (folder / name / "collections" / "file").write_text("torn")
        (folder / name / "collections").chmod(0o555)
    (folder / ".CURRENT.123.tmp").write_text("x")

    abandon(begin_build(tmp_path, "run-2"))

    assert not [p for p in folder.iterdir() if p.name.startswith((".building", ".pruned", ".CURRENT"))]


def test_the_manifest_is_plain_json(tmp_path):
    release = build_release(tmp_path, facts={"note": "Grüße"})
    text = (release.path / "manifest.json").read_text(encoding="utf-8")
    assert "Grüße" in text
    assert json.loads(text)["release_id"] == release.release_id


def test_a_release_of_a_newer_version_is_refused_before_anything_is_written(tmp_path):
    release = build_release(tmp_path)
    change_manifest(release, lambda manifest: manifest.update(format=FORMAT + 1))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    with pytest.raises(NewerDataError, match=f"has format {FORMAT + 1}.*upgrade Beforehand here"):
        begin_build(tmp_path, "run-2")

    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert unreadable(tmp_path) == [release.release_id]


def test_a_release_from_before_formats_is_read(tmp_path):
    release = build_release(tmp_path)
    change_manifest(release, lambda manifest: manifest.pop("format"))

    verify(current(tmp_path))
    assert current(tmp_path).release_id == release.release_id
