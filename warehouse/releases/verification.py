"""What was changed in a release since it was sealed, by the checksums in its manifest.

They find a change by anybody who did not also write a new manifest; who it was they can't tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from warehouse.durable import checksum, files_below
from warehouse.errors import TornReleaseError
from warehouse.releases.contents import contents
from warehouse.releases.release import MANIFEST, Release, read_manifest


def changes_since_sealed(release: Release) -> list[str]:
    """Return what differs in a release from its manifest, a sentence each; empty if all is as it was sealed.

    Raises:
        TornReleaseError: its manifest is missing, or it was never sealed.
    """
    manifest = read_manifest(release.path)
    expected = manifest.get("checksums")
    if expected is None:
        raise TornReleaseError(f"Release {release.release_id} was never sealed.")
    found = {str(path.relative_to(release.path)): path for path in files_below(release.path)}
    found.pop(MANIFEST, None)
    now, sealed = contents(release.path), manifest.get("contents", {})
    return [
        *(f"{name} is missing." for name in sorted(expected.keys() - found.keys())),
        *(f"{name} is not in the manifest: it was put there later." for name in sorted(found.keys() - expected.keys())),
        *(
            f"{name} was changed; the file's own time is {_modified(found[name])}."
            for name in sorted(expected.keys() & found.keys())
            if checksum(found[name]) != expected[name]
        ),
        *(sentence for name in sorted(now) for sentence in _differences(name, sealed.get(name, {}), now[name])),
    ]


def _differences(file: str, sealed: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    if sealed and not now:
        yield f"{file} can't be opened any more."
        return
    for name in sorted(sealed.keys() | now.keys()) if sealed else ():
        if name not in now:
            yield f"{file}: {name} is gone."
        elif name not in sealed:
            yield f"{file}: {name} was added."
        elif sealed[name] != now[name]:
            yield f"{file}: {name} was changed."


def _modified(path: Path) -> str:
    return f"{datetime.fromtimestamp(path.stat().st_mtime, UTC):%Y-%m-%d %H:%M:%S} UTC"
