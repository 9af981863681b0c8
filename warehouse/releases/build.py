"""Builds a release: under a temporary name, sealed, then published by one atomic swap of the pointer.

First all files are synced, then the folder is renamed and synced, then the pointer is replaced. A crash before the
last step leaves the old release, a crash after it the new one. The pointer is a file and not a symbolic link because a
link can't be synced, and object stores and backups lose it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from rag.identity import KEY_FORMAT
from warehouse.append_log import now
from warehouse.durable import checksum, files_below, remove_tree, rename, replace_file, seal_tree, storage_errors
from warehouse.errors import AuditFailedError, BuildInProgressError, StorageError
from warehouse.lease import exclusive
from warehouse.objects.mirror import Mirror, mirror_of
from warehouse.releases.build_folder import Build
from warehouse.releases.build_lease import BuildLease
from warehouse.releases.contents import contents
from warehouse.releases.publications import log_publication
from warehouse.releases.release import (
    FAILED,
    FORMAT,
    MANIFEST,
    Manifest,
    Release,
    current_id,
    point_to,
    pointer_lock,
    read_manifest,
    refuse_newer,
)
from warehouse.releases.shared_pointer import drop_release, move_pointer
from warehouse.releases.transfer import push_release, sweep_store

_BUILDING, _PRUNED = ".building-", ".pruned-"


def begin_build(data: Path, run_id: str, wait_seconds: float = 0.0) -> Build:
    """Take the lease, remove leftovers of crashed builds, and make a folder for a new release.

    Call it before the first stage of a run, so that a second run fails before it does any work.

    Raises:
        BuildInProgressError: another build holds the lease after `wait_seconds`.
        NewerDataError: the data folder belongs to a newer version.
        StorageError: the data folder can't be written.
    """
    refuse_newer(data)
    folder = data / "releases"
    lease = BuildLease.acquire(data, run_id, wait_seconds)
    try:
        with storage_errors(folder, "start a build"):
            _sweep(folder)
            release_id = _new_id()
            path = folder / f"{_BUILDING}{release_id}"
            path.mkdir()
        if (mirror := mirror_of(data)) is not None:
            sweep_store(mirror)
    except BaseException:
        lease.release()
        raise
    return Build(release_id, run_id, data, path, lease)


def _new_id() -> str:
    # the suffix counts steps of 16 µs, so that builds of the same second sort in order
    time = datetime.now(UTC)
    return f"{time:%Y%m%dT%H%M%S}-{time.microsecond // 16:04x}"


def _sweep(folder: Path) -> None:
    for path in folder.glob(f"{_BUILDING}*"):
        remove_tree(path)
    for path in folder.glob(f"{_PRUNED}*"):
        remove_tree(path)
    for path in folder.glob(".CURRENT.*.tmp"):
        path.unlink(missing_ok=True)


def seal(build: Build, facts: Mapping[str, object]) -> Release:
    """Write the manifest (`facts`, sizes, checksums), sync everything to the disk and make it read-only.

    `facts` describes the build (model, template, encoder, collections), with its audit's checks under `audit`.
    """
    with storage_errors(build.data, "seal the release"):
        files = files_below(build.path)
        manifest = {
            "format": FORMAT,
            "release_id": build.release_id,
            "run_id": build.run_id,
            "created_at": now(),
            "previous": current_id(build.data),
            "key_format": KEY_FORMAT,
            **facts,
            "sizes": {str(path.relative_to(build.path)): path.stat().st_size for path in files},
            "checksums": {str(path.relative_to(build.path)): checksum(path) for path in files},
            "contents": contents(build.path),
        }
        replace_file(build.path / MANIFEST, _as_json(manifest))
        seal_tree(build.path)
    return Release(build.release_id, build.path, cast(Manifest, manifest))


def publish(build: Build, by: str | None = None, reason: str | None = None) -> Release:
    """Make a sealed build the current release, record by whom and why, and release the lease.

    Raises:
        AuditFailedError: its manifest lists a check that did not pass.
        TornReleaseError: it was not sealed.
        StorageError: the disk or the store refused; the current release is untouched.
        BuildInProgressError: the store's lease was lost, and another build has it.
    """
    manifest = read_manifest(build.path)
    failed = [check["name"] for check in manifest.get("audit", []) if not check["passed"]]
    if failed:
        raise AuditFailedError(f"Release {build.release_id} failed its audit: {', '.join(failed)}.")
    target = build.data / "releases" / build.release_id
    if (mirror := mirror_of(build.data)) is not None:
        _publish_in_store(mirror, build)
    with storage_errors(build.data, "publish the release"), exclusive(pointer_lock(build.data)):
        replaced = current_id(build.data)
        rename(build.path, target)
        point_to(build.data, build.release_id)
        log_publication(build.data, "publish", build.release_id, replaced, run_id=build.run_id, by=by, reason=reason)
    build.lease.release()
    return Release(build.release_id, target, manifest)


def _publish_in_store(mirror: Mirror, build: Build) -> None:
    build.lease.require()
    push_release(mirror, build.path, build.release_id)
    try:
        move_pointer(mirror, build.release_id, build.lease.require)
    except BuildInProgressError:  # then the pointer was not written
        with suppress(StorageError):
            drop_release(mirror, build.release_id)
        raise


def fail(build: Build, reason: str, facts: Mapping[str, object] | None = None) -> Release:
    """Keep a build that must not be published as `.failed-<id>`, with the reason, and release the lease."""
    manifest = {
        "release_id": build.release_id,
        "run_id": build.run_id,
        "created_at": now(),
        "failed": reason,
        **(facts or {}),
    }
    target = build.path.with_name(f"{FAILED}{build.release_id}")
    try:
        build.path.chmod(0o755)
        with suppress(OSError):  # it may have failed because the disk is full; keep what there is
            replace_file(build.path / MANIFEST, _as_json(manifest))
        rename(build.path, target)
        if (mirror := mirror_of(build.data)) is not None:
            with suppress(StorageError):  # it is only for inspection, and its audit is the news
                push_release(mirror, target, target.name)
    finally:
        build.lease.release()
    return Release(build.release_id, target, cast(Manifest, manifest))


def clear(build: Build) -> None:
    """Remove the folder of an unfinished build; one that was published or kept as failed has been renamed by then."""
    if build.path.exists():
        remove_tree(build.path)


def abandon(build: Build) -> None:
    """Remove an unfinished build and release the lease."""
    try:
        clear(build)
    finally:
        build.lease.release()


def _as_json(manifest: Mapping[str, object]) -> bytes:
    return (json.dumps(manifest, indent=2, ensure_ascii=False, default=str) + "\n").encode()
