"""What was changed in a release since it was sealed, by file, by table and by kind of entry."""

from __future__ import annotations

import json

import duckdb
import lmdb
import pytest

from tests.warehouse.conftest import key, sample_rows
from warehouse.durable import checksum
from warehouse.errors import TornReleaseError
from warehouse.releases.release import MANIFEST
from warehouse.releases.verification import changes_since_sealed


@pytest.fixture
def release(publish_rows):
    """A release whose files a root tool may write."""
    found = publish_rows(sample_rows())
    found.path.chmod(0o755)
    for path in found.path.iterdir():
        path.chmod(0o644)
    return found


def test_an_untouched_release_is_as_it_was_sealed(release):
    assert changes_since_sealed(release) == []


def test_a_changed_answer_is_told_by_its_table(release):
    with duckdb.connect(str(release.database)) as connection:
        connection.execute(
            "UPDATE answers SET answer = replace(answer, 'answer', 'ANSWER') WHERE query_key = ?", [key("q1")]
        )

    changed, table = changes_since_sealed(release)

    assert changed.startswith("warehouse.duckdb was changed; the file's own time is ")
    assert table == "warehouse.duckdb: answers was changed."


def test_a_change_is_told_by_table_although_the_files_checksum_was_written_anew(release):
    with duckdb.connect(str(release.database)) as connection:
        connection.execute("DELETE FROM citations WHERE query_key = ?", [key("q1")])
        connection.execute("DROP TABLE rejects")
    manifest = json.loads((release.path / MANIFEST).read_text())
    manifest["checksums"]["warehouse.duckdb"] = checksum(release.database)
    (release.path / MANIFEST).write_text(json.dumps(manifest))

    assert changes_since_sealed(release) == [
        "warehouse.duckdb: citations was changed.", "warehouse.duckdb: rejects is gone.",
    ]  # fmt: skip


def test_a_changed_served_answer_is_told_by_its_kind(release):
    with (
        lmdb.open(str(release.serving_index), subdir=False, lock=False) as environment,
        environment.begin(write=True) as t,
    ):
        name = b"q:" + key("q2").encode()
        t.put(name, t.get(name).replace(b"passage", b"PASSAGE"))

    assert "serving.lmdb: served answers was changed." in changes_since_sealed(release)
    assert not [each for each in changes_since_sealed(release) if "passages" in each]


def test_files_that_are_missing_or_were_put_there_are_told(release):
    release.serving_index.unlink()
    (release.path / "notes.txt").write_text("mine")

    assert changes_since_sealed(release) == [
        "serving.lmdb is missing.", "notes.txt is not in the manifest: it was put there later.",
    ]  # fmt: skip


def test_a_database_that_cant_be_opened_is_told(release):
    release.database.write_bytes(b"torn")

    assert "warehouse.duckdb can't be opened any more." in changes_since_sealed(release)


def test_a_release_of_an_earlier_version_is_compared_by_its_files(release):
    manifest = json.loads((release.path / MANIFEST).read_text())
    del manifest["contents"]
    (release.path / MANIFEST).write_text(json.dumps(manifest))

    assert changes_since_sealed(release) == []


def test_a_build_that_was_never_sealed_is_refused(release):
    (release.path / MANIFEST).write_text("{}")

    with pytest.raises(TornReleaseError, match="never sealed"):
        changes_since_sealed(release)
