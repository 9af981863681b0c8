"""A shadow's folder reads like the data folder, and nothing of it reaches a server or the next release."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.warehouse.conftest import Publish, sample_rows
from warehouse.errors import BuildInProgressError, NoReleaseError
from warehouse.releases.build import abandon, begin_build, seal
from warehouse.releases.release import Release, current_id, releases
from warehouse.releases.retention import prune
from warehouse.releases.shadows import find_any, is_shadow_running, keep_shadow, shadow_folder, shadowing, shadows


@pytest.fixture
def released(publish_rows: Publish) -> Release:
    return publish_rows(sample_rows())


@pytest.fixture
def data(released: Release) -> Path:
    """The data folder of a release."""
    return released.path.parents[1]


def built(data: Path, name: str) -> Release:
    """Build a shadow of one file."""
    folder = shadow_folder(data, name)
    build = begin_build(folder, "run")
    with shadowing(data, folder):
        build.database.write_text("tables")
        return keep_shadow(build, seal(build, {"shadow": name}))


def test_a_shadow_build_is_found_by_its_name_and_published_nowhere(released: Release, data: Path) -> None:
    first, last = built(data, "bigger"), built(data, "bigger")

    assert find_any(data, "bigger").release_id == last.release_id
    assert not first.path.exists()
    assert find_any(data, "current").release_id == released.release_id == current_id(data)
    assert [each.release_id for each in releases(data)] == [released.release_id]
    assert last.manifest["previous"] == released.release_id
    with pytest.raises(NoReleaseError, match=r"'smaller' is no release; .* shadow builds: bigger"):
        find_any(data, "smaller")


def test_stores_are_shared_and_decisions_are_copies(released: Release, data: Path) -> None:  # noqa: ARG001
    (data / "reviews.jsonl").write_text("{}\n")
    folder = shadow_folder(data, "bigger")
    folder.joinpath("releases").mkdir(parents=True)
    with shadowing(data, folder):
        (folder / "answers" / "generated.parquet").write_text("rows")
        (folder / "reviews.jsonl").write_text("changed\n")

    assert (data / "answers" / "generated.parquet").read_text() == "rows"
    assert (data / "reviews.jsonl").read_text() == "{}\n"


def test_the_release_that_a_shadow_is_compared_with_is_not_pruned_meanwhile(
    publish_rows: Publish, released: Release, data: Path
) -> None:
    folder = shadow_folder(data, "bigger")
    folder.joinpath("releases").mkdir(parents=True)
    with shadowing(data, folder):
        publish_rows(sample_rows())
        publish_rows(sample_rows())
        pruned = prune(data, 1)

    assert pruned.held == (released.release_id,)
    assert released.path.exists()


def test_a_running_shadow_holds_up_no_release_and_only_its_own_name(released: Release, data: Path) -> None:  # noqa: ARG001
    folder = shadow_folder(data, "bigger")
    build = begin_build(folder, "run")
    running = is_shadow_running(data)
    with pytest.raises(BuildInProgressError):
        begin_build(folder, "another")
    nightly = begin_build(data, "nightly")

    assert running
    for each in (nightly, build):
        abandon(each)
    assert not is_shadow_running(data)
    assert shadows(data) == {}
