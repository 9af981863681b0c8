"""Releases: built under a temporary name, sealed, published by one atomic pointer swap, kept read-only.

    releases/CURRENT               the id of the current release, one line, replaced atomically
    releases/<release_id>/         published, never written again
    releases/.building-<id>/       under construction; without a lease it is a leftover and is swept
    releases/.failed-<id>/         failed its audit, kept for inspection
    releases/.pruned-<id>/         being removed

The order is: all files to the disk, the folder renamed and synced, then the pointer. A crash before the
pointer leaves the old release, a crash after it the new one. A symbolic link could be swapped as well,
but not synced as a file's content, and object stores and backups lose it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from warehouse.durable import files_below, remove_tree, rename, replace_file, seal_tree, storage_errors
from warehouse.errors import AuditFailedError, NoReleaseError, TornReleaseError
from warehouse.lease import Lease, exclusive

MANIFEST = "manifest.json"
_BUILDING, _FAILED, _PRUNED = ".building-", ".failed-", ".pruned-"


@dataclass(frozen=True)
class Release:
    """A release, or a failed build, as its manifest describes it."""

    release_id: str
    path: Path
    manifest: Mapping[str, Any]

    @property
    def database(self) -> Path:
        """The DuckDB file."""
        return self.path / "warehouse.duckdb"

    @property
    def serving_index(self) -> Path:
        """The LMDB file."""
        return self.path / "serving.lmdb"


@dataclass(frozen=True)
class Build:
    """A release under construction: whoever holds it writes files below `path`, then seals it."""

    release_id: str
    run_id: str
    data: Path
    path: Path
    lease: Lease = field(repr=False, compare=False)

    @property
    def database(self) -> Path:
        """The DuckDB file."""
        return self.path / "warehouse.duckdb"

    @property
    def serving_index(self) -> Path:
        """The LMDB file."""
        return self.path / "serving.lmdb"


def begin_build(data: Path, run_id: str, wait_seconds: float = 0.0) -> Build:
    """Take the lease, sweep what crashed builds left, and open a folder for a new release.

    Call it before the first stage of a run, so that a second run does not work for nothing.

    Raises:
        BuildInProgressError: another build holds the lease after `wait_seconds`.
        StorageError: the data folder can't be written.
    """
    folder = data / "releases"
    with storage_errors(folder, "start a build"):
        folder.mkdir(parents=True, exist_ok=True)
        lease = Lease.acquire(folder / ".lease", run_id, wait_seconds)
        try:
            _sweep(folder)
            release_id = _new_id()
            path = folder / f"{_BUILDING}{release_id}"
            path.mkdir()
        except BaseException:
            lease.release()
            raise
    return Build(release_id, run_id, data, path, lease)


def refuse_second_build(data: Path) -> None:
    """Say early that a build is in progress, before a run prepares anything; `begin_build` decides.

    Raises:
        BuildInProgressError: another build holds the lease.
    """
    lease = data / "releases" / ".lease"
    if lease.exists():
        Lease.acquire(lease, "a run that is starting").release()


def _new_id() -> str:
    # the end counts steps of 16 µs: two builds of one second sort in their order
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}-{now.microsecond // 16:04x}"


def _sweep(folder: Path) -> None:
    for path in folder.glob(f"{_BUILDING}*"):
        remove_tree(path)
    for path in folder.glob(f"{_PRUNED}*"):
        remove_tree(path)
    for path in folder.glob(".CURRENT.*.tmp"):
        path.unlink(missing_ok=True)


def seal(build: Build, facts: Mapping[str, Any]) -> Release:
    """Write the manifest (`facts`, sizes and checksums), bring all to the disk and make it read-only.

    `facts` holds what the tables can't: counts, model, template, encoder, collections, calibration, and
    under `audit` the checks as a list of mappings with `name` and `passed`.
    """
    with storage_errors(build.data, "seal the release"):
        files = files_below(build.path)
        manifest = {
            "release_id": build.release_id,
            "run_id": build.run_id,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "previous": current_id(build.data),
            **facts,
            "sizes": {str(path.relative_to(build.path)): path.stat().st_size for path in files},
            "checksums": {str(path.relative_to(build.path)): checksum(path) for path in files},
        }
        replace_file(build.path / MANIFEST, _as_json(manifest))
        seal_tree(build.path)
    return Release(build.release_id, build.path, manifest)


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def publish(build: Build) -> Release:
    """Make a sealed build the current release and give up the lease.

    Raises:
        AuditFailedError: its manifest lists a check that did not pass.
        TornReleaseError: it was not sealed.
        StorageError: the disk refused; the current release is untouched.
    """
    manifest = _manifest(build.path)
    failed = [check["name"] for check in manifest.get("audit", []) if not check["passed"]]
    if failed:
        raise AuditFailedError(f"Release {build.release_id} failed its audit: {', '.join(failed)}.")
    target = build.data / "releases" / build.release_id
    with storage_errors(build.data, "publish the release"), exclusive(pointer_lock(build.data)):
        rename(build.path, target)
        _point(build.data, build.release_id)
    build.lease.release()
    return Release(build.release_id, target, manifest)


def fail(build: Build, reason: str, facts: Mapping[str, Any] | None = None) -> Release:
    """Keep a build that must not be published as `.failed-<id>`, with the reason, and give up the lease."""
    manifest = {
        "release_id": build.release_id,
        "run_id": build.run_id,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "failed": reason,
        **(facts or {}),
    }
    target = build.path.with_name(f"{_FAILED}{build.release_id}")
    try:
        build.path.chmod(0o755)
        with suppress(OSError):  # a full disk may be why it failed; what is there is kept all the same
            replace_file(build.path / MANIFEST, _as_json(manifest))
        rename(build.path, target)
    finally:
        build.lease.release()
    return Release(build.release_id, target, manifest)


def abandon(build: Build) -> None:
    """Remove a build that came to nothing and give up the lease."""
    try:
        if build.path.exists():
            remove_tree(build.path)
    finally:
        build.lease.release()


def current_id(data: Path) -> str | None:
    """Return the id of the current release, or None if nothing was published."""
    try:
        return (data / "releases" / "CURRENT").read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def current(data: Path) -> Release:
    """Return the current release.

    Raises:
        NoReleaseError: nothing has been published.
        TornReleaseError: the pointer names a release that is not there or has no manifest.
    """
    release_id = current_id(data)
    if release_id is None:
        raise NoReleaseError(f"{data} holds no release yet; `beforehand run` builds one.")
    path = data / "releases" / release_id
    return Release(release_id, path, _manifest(path))


def find(data: Path, release_id: str) -> Release:
    """Return a release by its id, or by the beginning of one; failed builds count too.

    Raises:
        NoReleaseError: there is none, or more than one.
    """
    known = [*releases(data), *failed_builds(data)]
    found = [r for r in known if r.release_id == release_id] or [
        r for r in known if release_id and r.release_id.startswith(release_id)
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(r.release_id for r in (found or known)) or "none"
    problem = "stands for several releases" if found else "is no release"
    raise NoReleaseError(f"{release_id!r} {problem}; there are {names}.")


def releases(data: Path) -> list[Release]:
    """Return the published releases, oldest first; what can't be read is left out (`unreadable` names it)."""
    found = []
    for path in _published(data):
        with suppress(TornReleaseError):
            found.append(Release(path.name, path, _manifest(path)))
    return found


def unreadable(data: Path) -> list[str]:
    """Return the folders among the releases that are none: torn ones, and what somebody else put there."""
    known = {release.release_id for release in releases(data)}
    return [path.name for path in _published(data) if path.name not in known]


def _published(data: Path) -> list[Path]:
    return sorted(p for p in (data / "releases").glob("*") if p.is_dir() and not p.name.startswith("."))


def failed_builds(data: Path) -> list[Release]:
    """Return the builds that failed and were kept, oldest first."""
    found = []
    for path in sorted((data / "releases").glob(f"{_FAILED}*")):
        manifest: Mapping[str, Any] = {}
        with suppress(TornReleaseError):
            manifest = _manifest(path)
        found.append(Release(path.name.removeprefix(_FAILED), path, manifest))
    return found


def rollback(data: Path, release_id: str | None = None) -> Release:
    """Make another release the current one: the named one, or the one that the current one replaced.

    Raises:
        NoReleaseError: there is none to go back to.
        TornReleaseError: it does not pass its checksums; the current one stays.
    """
    target = _before_current(data) if release_id is None else find(data, release_id)
    if target.path.name.startswith("."):
        raise NoReleaseError(f"{target.release_id} failed its audit and can't be made current.")
    verify(target)
    with storage_errors(data, "roll back"), exclusive(pointer_lock(data)):
        if not target.path.is_dir():
            raise NoReleaseError(f"{target.release_id} was just pruned; the current release stays.")
        _point(data, target.release_id)
    return target


def _before_current(data: Path) -> Release:
    """Return the release that the current one replaced; the current one may be torn, which is why one rolls back."""
    present = current_id(data)
    if present is None:
        raise NoReleaseError(f"{data} holds no release yet; `beforehand run` builds one.")
    known = {release.release_id: release for release in releases(data)}
    older = [release for release_id, release in known.items() if release_id < present]
    replaced = str(known[present].manifest.get("previous")) if present in known else ""
    before = known.get(replaced) or (older[-1] if older else None)
    if before is None:
        raise NoReleaseError(f"There is no release before {present}.")
    return before


def verify(release: Release) -> None:
    """Read every file of a release and compare it with the manifest.

    Raises:
        TornReleaseError: a file is missing, too much, or differs.
    """
    expected: Mapping[str, str] | None = _manifest(release.path).get("checksums")
    if expected is None:
        raise TornReleaseError(f"Release {release.release_id} was never sealed.")
    found = {str(path.relative_to(release.path)): path for path in files_below(release.path)}
    found.pop(MANIFEST, None)
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise TornReleaseError(f"Release {release.release_id}: {name} is missing.")
        if name not in expected:
            raise TornReleaseError(f"Release {release.release_id}: {name} is not in its manifest.")
        if checksum(found[name]) != expected[name]:
            raise TornReleaseError(f"Release {release.release_id}: {name} differs from its checksum.")


def _point(data: Path, release_id: str) -> None:
    replace_file(data / "releases" / "CURRENT", f"{release_id}\n".encode())


def comparisons_file(data: Path, release_id: str) -> Path:
    """Return where the comparisons of a release are kept: beside the releases, since those never change."""
    return data / "comparisons" / f"{release_id}.jsonl"


def pointer_lock(data: Path) -> Path:
    """Return the lock of whoever moves the pointer or removes releases."""
    return data / "releases" / ".pointer.lock"


def _manifest(path: Path) -> Mapping[str, Any]:
    try:
        manifest: Mapping[str, Any] = json.loads((path / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise TornReleaseError(f"{path}: its manifest can't be read ({error}).") from error
    return manifest


def _as_json(manifest: Mapping[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=2, ensure_ascii=False, default=str) + "\n").encode()
