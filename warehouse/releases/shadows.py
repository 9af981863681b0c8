"""Shadow builds: releases that nobody is served, each in a data folder of its own below `<data>/shadow/`.

    shadow/NAME/releases/<id>/   the last build of this name, sealed as a release is
    shadow/NAME/…                reads like the data folder, of which it has links and copies

The stores of what models wrote and embedded are links, so what a shadow build generates is there for every later run
with the same settings. The history is a link that is only read, the decisions are copies. The current release is a
link too: a build is compared with it and audited beside it, and it can't be pruned meanwhile. A lease of its own keeps
two builds of one name apart and never holds up the build of a release.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from warehouse.durable import remove_tree, rename, replace_file, storage_errors
from warehouse.errors import BuildInProgressError, NoReleaseError, TornReleaseError
from warehouse.lease import Lease
from warehouse.releases.build_folder import Build
from warehouse.releases.release import Release, current, current_id, find, read_manifest
from warehouse.releases.retention import hold_current

_SHADOWS = "shadow"
_SHARED = ("answers", "proposals", "retrieval", "embeddings", "token_vectors", "verifiers")
_READ_ONLY = ("history", "journal")
CURRENT = "current"
"""Stands for the current release, so no shadow build has this name."""


def shadow_folder(data: Path, name: str) -> Path:
    """Return the data folder of a shadow build."""
    return data / _SHADOWS / name


def shadows(data: Path) -> dict[str, Release]:
    """Return the last build of each name that has one."""
    found = {}
    for folder in sorted((data / _SHADOWS).glob("*")):
        builds = _builds(folder)
        if builds:
            found[folder.name] = builds[-1]
    return found


def find_any(data: Path, named: str) -> Release:
    """Return a release or failed build by its id, the current one, or the last shadow build of a name.

    Raises:
        NoReleaseError: there is none.
    """
    if named == CURRENT:
        return current(data)
    known = shadows(data)
    if named in known:
        return known[named]
    try:
        return find(data, named)
    except NoReleaseError as error:
        names = ", ".join(known) or "none"
        raise NoReleaseError(f"{str(error).rstrip('.')}; shadow builds: {names}.") from None


@contextmanager
def shadowing(data: Path, folder: Path) -> Iterator[None]:
    """Let a shadow's folder read like the data folder during the block; call it with the shadow's lease held.

    Raises:
        StorageError: the disk is full, or the folder can't be written.
    """
    hold = None
    with suppress(NoReleaseError):
        hold = hold_current(data)
    try:
        with storage_errors(folder, "prepare a shadow build"):
            _link(data, folder, None if hold is None else hold.release)
        yield
    finally:
        if hold is not None:
            hold.close()


def _link(data: Path, folder: Path, release: Release | None) -> None:
    for name in _SHARED:
        (data / name).mkdir(parents=True, exist_ok=True)
    for name in (*_SHARED, *_READ_ONLY):
        if (data / name).is_dir() and not (folder / name).exists():
            (folder / name).symlink_to((data / name).resolve(), target_is_directory=True)
    for path in data.glob("*.jsonl"):
        shutil.copy2(path, folder)
    present = current_id(folder)
    if present is not None and (folder / "releases" / present).is_symlink():
        (folder / "releases" / present).unlink()
    (folder / "releases" / "CURRENT").unlink(missing_ok=True)
    if release is not None:
        (folder / "releases" / release.release_id).symlink_to(release.path.resolve(), target_is_directory=True)
        replace_file(folder / "releases" / "CURRENT", f"{release.release_id}\n".encode())


def keep_shadow(build: Build, sealed: Release) -> Release:
    """Keep a sealed build as the last one of its name, remove those before it, and give the lease back.

    Raises:
        StorageError: the disk refused.
    """
    target = build.path.with_name(build.release_id)
    with storage_errors(build.data, "keep the shadow build"):
        rename(build.path, target)
        for each in _builds(build.data):
            if each.release_id != build.release_id:
                remove_tree(each.path)
    build.lease.release()
    return Release(build.release_id, target, sealed.manifest)


def _builds(folder: Path) -> list[Release]:
    """Return the finished builds of a shadow's folder, oldest first; links to releases are none."""
    found = []
    for path in sorted((folder / "releases").glob("[!.]*")):
        if path.is_dir() and not path.is_symlink():
            with suppress(TornReleaseError):
                found.append(Release(path.name, path, read_manifest(path)))
    return found


def is_shadow_running(data: Path) -> bool:
    """Whether a shadow build reads the stores now, so that their files must stay."""
    for lease in (data / _SHADOWS).glob("*/releases/.lease"):
        try:
            Lease.acquire(lease, "a build that looks for shadow builds").release()
        except BuildInProgressError:
            return True
    return False
