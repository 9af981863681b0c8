"""Releases: built under a temporary name, sealed, published by one atomic pointer swap, kept read-only.

    releases/CURRENT               the id of the current release, one line, replaced atomically
    releases/<release_id>/         published, never written again
    releases/.building-<id>/       under construction; without a lease it is a leftover and is swept
    releases/.failed-<id>/         failed its audit, kept for inspection
    releases/.pruned-<id>/         being removed

First all files are synced, then the folder is renamed and synced, then the pointer is replaced. A crash before the
last step leaves the old release, a crash after it the new one. The pointer is a file and not a symbolic link because a
link can't be synced, and object stores and backups lose it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict, cast

from warehouse.durable import files_below, remove_tree, rename, replace_file, seal_tree, storage_errors
from warehouse.errors import AuditFailedError, NoReleaseError, TornReleaseError
from warehouse.lease import Lease, exclusive

MANIFEST = "manifest.json"


class CheckRow(TypedDict):
    """A check of the audit, as the manifest and the table `checks` hold it."""

    name: str
    passed: bool
    figure: float
    allowed: float
    explanation: str
    examples: list[str]


class Manifest(TypedDict, total=False):
    """What this code reads of a manifest; builds write more facts into it."""

    release_id: str
    run_id: str
    created_at: str
    previous: str | None
    failed: str
    model: str
    encoder: dict[str, object]
    audit: list[CheckRow]
    sizes: dict[str, int]
    checksums: dict[str, str]


_BUILDING, _FAILED, _PRUNED = ".building-", ".failed-", ".pruned-"


@dataclass(frozen=True)
class Release:
    """A release, or a failed build, as its manifest describes it."""

    release_id: str
    path: Path
    manifest: Manifest

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
    """A release under construction: its holder writes files below `path`, then seals it."""

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
    """Take the lease, remove leftovers of crashed builds, and make a folder for a new release.

    Call it before the first stage of a run, so that a second run fails before it does any work.

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
    """Fail early if a build is in progress, before a run prepares anything; `begin_build` checks again.

    Raises:
        BuildInProgressError: another build holds the lease.
    """
    lease = data / "releases" / ".lease"
    if lease.exists():
        Lease.acquire(lease, "a run that is starting").release()


def _new_id() -> str:
    # the suffix counts steps of 16 µs, so that builds of the same second sort in order
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}-{now.microsecond // 16:04x}"


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
    return Release(build.release_id, build.path, cast(Manifest, manifest))


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def publish(build: Build) -> Release:
    """Make a sealed build the current release and release the lease.

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


def fail(build: Build, reason: str, facts: Mapping[str, object] | None = None) -> Release:
    """Keep a build that must not be published as `.failed-<id>`, with the reason, and release the lease."""
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
        with suppress(OSError):  # it may have failed because the disk is full; keep what there is
            replace_file(build.path / MANIFEST, _as_json(manifest))
        rename(build.path, target)
    finally:
        build.lease.release()
    return Release(build.release_id, target, cast(Manifest, manifest))


def abandon(build: Build) -> None:
    """Remove an unfinished build and release the lease."""
    try:
        if build.path.exists():
            remove_tree(build.path)
    finally:
        build.lease.release()


def current_id(data: Path) -> str | None:
    """Return the id of the current release, or None if nothing has been published."""
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
    """Return a release or failed build by its id, or by a prefix of it.

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
    """Return the published releases, oldest first, without unreadable ones (see `unreadable`)."""
    found = []
    for path in _published(data):
        with suppress(TornReleaseError):
            found.append(Release(path.name, path, _manifest(path)))
    return found


def unreadable(data: Path) -> list[str]:
    """Return the names of folders that aren't releases: torn ones, and foreign ones."""
    known = {release.release_id for release in releases(data)}
    return [path.name for path in _published(data) if path.name not in known]


def _published(data: Path) -> list[Path]:
    return sorted(p for p in (data / "releases").glob("*") if p.is_dir() and not p.name.startswith("."))


def failed_builds(data: Path) -> list[Release]:
    """Return the failed builds that were kept, oldest first."""
    found = []
    for path in sorted((data / "releases").glob(f"{_FAILED}*")):
        manifest = Manifest()
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
    """Return the release before the current one, which itself may be torn: that is a reason to roll back."""
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
        TornReleaseError: a file is missing, unexpected, or different.
    """
    expected = _manifest(release.path).get("checksums")
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
    """Return the lock file for moving the pointer and removing releases."""
    return data / "releases" / ".pointer.lock"


def _manifest(path: Path) -> Manifest:
    try:
        manifest: Manifest = json.loads((path / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise TornReleaseError(f"{path}: its manifest can't be read ({error}).") from error
    return manifest


def _as_json(manifest: Mapping[str, object]) -> bytes:
    return (json.dumps(manifest, indent=2, ensure_ascii=False, default=str) + "\n").encode()
