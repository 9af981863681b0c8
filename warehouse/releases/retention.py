"""Retention of releases: servers hold the one they serve, and pruning removes old ones that nobody holds.

A hold is a shared lock on the manifest, pruning needs an exclusive one. The lock dies with the server, so a killed
server never keeps a release for ever.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from warehouse.durable import remove_tree, rename, storage_errors
from warehouse.errors import NoReleaseError
from warehouse.lease import exclusive, try_lock
from warehouse.objects.mirror import Mirror, mirror_of
from warehouse.releases.comparisons import comparisons_file
from warehouse.releases.release import MANIFEST, Release, current, current_id, failed_builds, pointer_lock, releases
from warehouse.releases.shared_pointer import drop_release, shared_manifests

_ATTEMPTS = 100


class Hold:
    """Keeps a release from being pruned until `close`, or until the process ends."""

    def __init__(self, release: Release) -> None:
        """Hold a release.

        Raises:
            NoReleaseError: it has just been pruned.
        """
        self.release = release
        manifest = release.path / MANIFEST
        gone = NoReleaseError(f"Release {release.release_id} has just been pruned.")
        try:
            self._descriptor = os.open(manifest, os.O_RDONLY)
        except FileNotFoundError:
            raise gone from None
        if not try_lock(self._descriptor, fcntl.LOCK_SH) or not _is_at(self._descriptor, manifest):
            os.close(self._descriptor)
            raise gone

    def close(self) -> None:
        """Let the release be pruned; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Hold:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file still has this path; it may have been removed before it was locked."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def hold_current(data: Path) -> Hold:
    """Hold the current release, retrying if it is replaced and pruned meanwhile.

    Raises:
        NoReleaseError: nothing has been published.
        TornReleaseError: the pointer names a release that is not there.
    """
    for _ in range(_ATTEMPTS):
        try:
            return Hold(current(data))
        except NoReleaseError:
            if current_id(data) is None:
                raise
    raise NoReleaseError(f"{data}: the current release changes faster than it can be opened.")


@dataclass(frozen=True)
class Pruned:
    """The release ids that were removed, and those that servers still hold."""

    removed: tuple[str, ...]
    held: tuple[str, ...]


def prune(data: Path, keep: int) -> Pruned:
    """Remove all but the newest `keep` releases and the newest `keep` failed builds.

    The current release and those held by servers are kept as well.
    """
    removed: list[str] = []
    held: list[str] = []
    with storage_errors(data, "prune the releases"), exclusive(pointer_lock(data)):
        present = current_id(data)
        surplus = [r for r in releases(data)[: -keep or None] if r.release_id != present]
        surplus += failed_builds(data)[: -keep or None]
        for release in surplus:
            (removed if _remove(release) else held).append(release.release_id)
        for release_id in removed:
            comparisons_file(data, release_id).unlink(missing_ok=True)
    if (mirror := mirror_of(data)) is not None:
        for release in surplus:
            if release.release_id in removed:
                drop_release(mirror, release.path.name)
    return Pruned(tuple(removed), tuple(held))


def remove_gone(mirror: Mirror) -> None:
    """Remove the releases of a mirror that its store has no more, except those that are served."""
    known = shared_manifests(mirror)
    with storage_errors(mirror.folder, "remove old releases"), exclusive(pointer_lock(mirror.folder)):
        present = current_id(mirror.folder)
        for release in releases(mirror.folder):
            if release.release_id not in known and release.release_id != present and _remove(release):
                comparisons_file(mirror.folder, release.release_id).unlink(missing_ok=True)


def _remove(release: Release) -> bool:
    if not release.path.exists():  # in a mirror's store alone
        return True
    manifest = release.path / MANIFEST
    descriptor = os.open(manifest, os.O_RDONLY) if manifest.exists() else None
    try:
        if descriptor is not None and not try_lock(descriptor, fcntl.LOCK_EX):
            return False
        doomed = release.path.with_name(f".pruned-{release.release_id}")
        rename(release.path, doomed)
        remove_tree(doomed)
    finally:
        if descriptor is not None:
            os.close(descriptor)
    return True
