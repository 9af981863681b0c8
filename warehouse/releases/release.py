"""Releases of a data folder: which one is current, finding, verifying and rolling back.

    releases/CURRENT               the id of the current release, one line, replaced atomically
    releases/<release_id>/         published, never written again
    releases/.building-<id>/       under construction; without a lease it is a leftover and is swept
    releases/.failed-<id>/         failed its audit, kept for inspection
    releases/.pruned-<id>/         being removed

`warehouse.releases.build` makes them.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, cast

from warehouse.durable import checksum, files_below, replace_file
from warehouse.errors import NewerDataError, NoReleaseError, ReleaseElsewhereError, TornReleaseError
from warehouse.objects.place import RELEASES, known, place_of

MANIFEST = "manifest.json"
FORMAT = 1  # of a release and the data folder around it; raised when an older version could no longer read them


class CheckRow(TypedDict):
    """A check of the audit, as the manifest and the table `checks` hold it."""

    name: str
    passed: bool
    figure: float
    allowed: float
    explanation: str
    examples: list[str]


class RetrievalFacts(TypedDict, total=False):
    """What this code reads of a manifest's facts about retrieval: what a run measured of help for it, by collection."""

    help: dict[str, dict[str, Any]]


class Manifest(TypedDict, total=False):
    """What this code reads of a manifest; builds write more facts into it."""

    format: int
    release_id: str
    run_id: str
    created_at: str
    previous: str | None
    failed: str
    model: str
    encoder: dict[str, object]
    retrieval: RetrievalFacts
    collections: dict[str, dict[str, object]]
    key_format: int
    audit: list[CheckRow]
    sizes: dict[str, int]
    checksums: dict[str, str]
    contents: dict[str, dict[str, str]]


FAILED = ".failed-"


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


def current_id(data: Path) -> str | None:
    """Return the id of the current release, or None if nothing has been published."""
    try:
        return (data / "releases" / "CURRENT").read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def point_to(data: Path, release_id: str) -> None:
    """Make a release the current one; the caller holds `pointer_lock`."""
    replace_file(data / "releases" / "CURRENT", f"{release_id}\n".encode())


def pointer_lock(data: Path) -> Path:
    """Return the lock file for moving the pointer and removing releases."""
    return data / "releases" / ".pointer.lock"


def current(data: Path) -> Release:
    """Return the current release.

    Raises:
        NoReleaseError: nothing has been published.
        TornReleaseError: the pointer names a release that is not there or has no manifest.
        ReleaseElsewhereError: in a mirror, it has not been pulled.
    """
    release_id = current_id(data)
    if release_id is None:
        raise NoReleaseError(f"{data} holds no release yet; `beforehand run` builds one.")
    path = _at_hand(data, data / "releases" / release_id)
    return Release(release_id, path, read_manifest(path))


def _at_hand(data: Path, path: Path) -> Path:
    if not path.is_dir() and place_of(data) is not None:
        raise ReleaseElsewhereError(path.name)
    return path


def find(data: Path, release_id: str) -> Release:
    """Return a release or failed build by its id, or by a prefix of it.

    Raises:
        NoReleaseError: there is none, or more than one.
        ReleaseElsewhereError: in a mirror, it has not been pulled.
    """
    all_known = [*releases(data), *failed_builds(data)]
    found = [r for r in all_known if r.release_id == release_id] or [
        r for r in all_known if release_id and r.release_id.startswith(release_id)
    ]
    if len(found) == 1:
        _at_hand(data, found[0].path)
        return found[0]
    names = ", ".join(r.release_id for r in (found or all_known)) or "none"
    problem = "stands for several releases" if found else "is no release"
    raise NoReleaseError(f"{release_id!r} {problem}; there are {names}.")


def releases(data: Path) -> list[Release]:
    """Return the published releases, oldest first, without unreadable ones (see `unreadable`).

    In a mirror those of the store are among them, whose files may not be here yet.
    """
    found = _of_store(data, failed=False)
    for path in _published(data):
        with suppress(TornReleaseError):
            found[path.name] = Release(path.name, path, read_manifest(path))
    return [found[name] for name in sorted(found)]


def _of_store(data: Path, *, failed: bool) -> dict[str, Release]:
    return {
        name: Release(name.removeprefix(FAILED), data / "releases" / name, cast(Manifest, manifest))
        for name, manifest in known(data, RELEASES).items()
        if name.startswith(FAILED) is failed
    }


def unreadable(data: Path) -> list[str]:
    """Return the names of folders that aren't releases: torn ones, and foreign ones."""
    known = {release.release_id for release in releases(data)}
    return [path.name for path in _published(data) if path.name not in known]


def _published(data: Path) -> list[Path]:
    return sorted(p for p in (data / "releases").glob("*") if p.is_dir() and not p.name.startswith("."))


def failed_builds(data: Path) -> list[Release]:
    """Return the failed builds that were kept, oldest first."""
    found = _of_store(data, failed=True)
    for path in (data / "releases").glob(f"{FAILED}*"):
        manifest = Manifest()
        with suppress(TornReleaseError):
            manifest = read_manifest(path)
        found[path.name] = Release(path.name.removeprefix(FAILED), path, manifest)
    return [found[name] for name in sorted(found)]


def verify(release: Release) -> None:
    """Read every file of a release and compare it with the manifest.

    Raises:
        TornReleaseError: a file is missing, unexpected, or different.
    """
    expected = read_manifest(release.path).get("checksums")
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


def collection_languages(manifest: Manifest) -> dict[str, str]:
    """Return the language of each collection; older manifests name none, and all that they had was made for English."""
    return {name: str(each.get("language", "en")) for name, each in manifest.get("collections", {}).items()}


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of a release's folder.

    Raises:
        TornReleaseError: it is missing or unreadable.
        NewerDataError: a newer version of Beforehand made it.
    """
    try:
        manifest: Manifest = json.loads((path / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise TornReleaseError(f"{path}: its manifest can't be read ({error}).") from error
    made_as = manifest.get("format", 1)  # manifests of before have none
    if made_as > FORMAT:
        raise NewerDataError(
            f"{path} has format {made_as} and this version of Beforehand reads up to {FORMAT}: upgrade Beforehand here."
        )
    return manifest


def refuse_newer(data: Path) -> None:
    """Raise if the current release was made by a newer version; a torn one is for the next run to replace.

    Raises:
        NewerDataError: upgrade before anything is written.
    """
    try:
        current(data)
    except NewerDataError:
        raise
    except (NoReleaseError, TornReleaseError):
        return
