"""Releases on their way to an object store and from it: pushed whole, pulled and verified.

The manifest goes last. Files that another release has too, by their checksums (encoders are large), are copied inside
the store, and linked in the mirror.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path, PurePosixPath

from warehouse.durable import checksum, files_below, remove_tree, rename, replace_file, seal_tree, storage_errors
from warehouse.errors import NoReleaseError, StorageError, TornReleaseError
from warehouse.objects.client import in_parallel
from warehouse.objects.mirror import Mirror
from warehouse.releases.shared_pointer import (
    FOLDER,
    StoredManifest,
    drop_release,
    follow_manifests,
    shared_manifests,
)

_MANIFEST = "manifest.json"
_PULLING = ".pulling-"
_WORTH_COPYING = 1_000_000  # bytes


def push_release(mirror: Mirror, folder: Path, name: str) -> None:
    """Send a sealed release, or a failed build, its manifest last.

    Raises:
        StorageError: the store refuses; what was sent is no release yet.
    """
    twins = _objects_by_checksum(mirror)
    checksums = _checksums(json.loads((folder / _MANIFEST).read_bytes()))

    def send(path: Path) -> None:
        below = path.relative_to(folder).as_posix()
        key = f"{FOLDER}/{name}/{below}"
        twin = twins.get(checksums.get(below, ""))
        if twin and path.stat().st_size > _WORTH_COPYING:
            with contextlib.suppress(StorageError, FileNotFoundError):  # too large for one copy, or just pruned
                mirror.store.copy(twin, key)
                return
        mirror.store.write(key, path)

    in_parallel(send, [path for path in files_below(folder) if path != folder / _MANIFEST])
    mirror.store.write(f"{FOLDER}/{name}/{_MANIFEST}", folder / _MANIFEST)


def _objects_by_checksum(mirror: Mirror) -> dict[str, str]:
    return {
        checksum: f"{FOLDER}/{name}/{below}"
        for name, manifest in shared_manifests(mirror).items()
        for below, checksum in _checksums(manifest).items()
    }


def _checksums(manifest: StoredManifest) -> dict[str, str]:
    found = manifest.get("checksums")
    return {str(name): str(each) for name, each in found.items()} if isinstance(found, dict) else {}


def sweep_store(mirror: Mirror) -> None:
    """Delete what builds that were killed have sent; the caller holds the lease."""
    follow_manifests(mirror)
    known = shared_manifests(mirror)
    for name in mirror.store.folders(FOLDER):
        if name not in known:
            drop_release(mirror, name)


def pull_release(mirror: Mirror, name: str) -> Path:
    """Return a release's folder in the mirror, pulled and verified if it was not there yet.

    Raises:
        NoReleaseError: the store has no such release.
        TornReleaseError: a file is missing, or differs from its checksum; what is whole is kept for the next attempt.
        StorageError: the store or the disk refuses.
    """
    target = mirror.folder / FOLDER / name
    with mirror.locked("pulling"), storage_errors(mirror.folder, f"copy the release {name}"):
        if target.is_dir():
            return target
        manifest = mirror.store.read(f"{FOLDER}/{name}/{_MANIFEST}")
        if manifest is None:
            raise NoReleaseError(f"{mirror.store.address} holds no release {name}.")
        pulling = target.with_name(f"{_PULLING}{name}")
        for leftover in (mirror.folder / FOLDER).glob(f"{_PULLING}*"):
            if leftover != pulling:
                remove_tree(leftover)
        _fill(mirror, pulling, json.loads(manifest.data))
        replace_file(pulling / _MANIFEST, manifest.data)
        seal_tree(pulling)
        rename(pulling, target)
    return target


def _fill(mirror: Mirror, pulling: Path, manifest: StoredManifest) -> None:
    """Fetch the files of a release; a failed build has no checksums, so its files are those that are there."""
    pulling.mkdir(parents=True, exist_ok=True)
    pulling.chmod(0o755)  # it was sealed, and the process killed
    name = pulling.name.removeprefix(_PULLING)
    prefix = f"{FOLDER}/{name}"
    wanted = _checksums(manifest) or {
        each.key.removeprefix(f"{prefix}/"): ""
        for each in mirror.store.listed(prefix)
        if not each.key.endswith(_MANIFEST)
    }
    twins = _files_by_checksum(mirror)

    def fetch(below: str) -> None:
        if ".." in PurePosixPath(below).parts or below.startswith("/"):
            raise TornReleaseError(f"Release {name}: its manifest names {below!r}, which is outside of it.")
        _fetch(mirror, f"{prefix}/{below}", pulling / below, wanted[below], twins)

    in_parallel(fetch, wanted)


def _fetch(mirror: Mirror, key: str, path: Path, expected: str, twins: dict[str, Path]) -> None:
    if path.exists() and expected and checksum(path) == expected:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if expected in twins:
        with contextlib.suppress(OSError):  # another disk, or just pruned
            os.link(twins[expected], path)
    if not path.exists():
        try:
            mirror.store.download(key, path)
        except FileNotFoundError:
            raise TornReleaseError(f"{mirror.store.address}/{key} is missing; the release can't be served.") from None
    if expected and checksum(path) != expected:
        path.unlink()
        raise TornReleaseError(f"{mirror.store.address}/{key} differs from its checksum; the release can't be served.")


def _files_by_checksum(mirror: Mirror) -> dict[str, Path]:
    """Return the files of the mirror's own releases by their checksums."""
    found: dict[str, Path] = {}
    for manifest in (mirror.folder / FOLDER).glob(f"[!.]*/{_MANIFEST}"):
        with contextlib.suppress(OSError, ValueError):
            checksums = _checksums(json.loads(manifest.read_bytes()))
            found |= {each: manifest.parent / below for below, each in checksums.items()}
    return found
