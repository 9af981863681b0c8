"""Local files: walk folders and match globs, without taking a file's name for a pattern.

Beam lists local files too, but it reads a `[` in a name as the beginning of a pattern, and silently drops links to
folders and broken links. Here links are followed. A folder is read once, under its own name rather than a link's, so
links that form a cycle come to an end.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from apache_beam.io.filesystem import FileSystem

_SIGNS = "*?["


@dataclass
class FoundFiles:
    """The paths of files in order, the paths that can't be followed, each with the reason, and those not read."""

    files: list[str] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def is_glob(pattern: str) -> bool:
    """Whether a path contains the characters of a glob."""
    return any(sign in pattern for sign in _SIGNS)


def walk(folder: str, depth: int | None = None, *, hidden: bool = False) -> FoundFiles:
    """Find the files below a folder, at most `depth` folders deep if given; `hidden` includes hidden folders."""
    return _Walk(folder, depth, hidden=hidden).run()


def find(pattern: str) -> tuple[str, FoundFiles]:
    """Return the folder that a glob starts from and the files that it matches.

    The part of the path that exists exactly as written is the folder; the rest is the pattern, in Beam's syntax: `*`
    within a name, `**` across folders, `?` and `[abc]`.
    """
    root, rest = _split(pattern)
    matches = re.compile(FileSystem.translate_pattern(rest)).match
    below = walk(root, None if "**" in rest else rest.count("/"), hidden=True)
    skip = len(root.rstrip("/")) + 1

    def meant(path: str) -> bool:
        return matches(path[skip:]) is not None

    broken = [(path, reason) for path, reason in below.broken if meant(path) or Path(path).is_dir()]
    return root, FoundFiles([path for path in below.files if meant(path)], broken)


def _split(pattern: str) -> tuple[str, str]:
    """Split a glob after the last folder that exists exactly as written."""
    fixed, *parts = pattern.split("/")
    fixed = fixed or "/"
    while len(parts) > 1 and Path(fixed, parts[0]).is_dir():
        fixed = str(Path(fixed, parts.pop(0)))
    return fixed, "/".join(parts)


class _Walk:
    """A walk through a folder: first its own folders, then those that links lead to, and so on."""

    def __init__(self, root: str, depth: int | None, *, hidden: bool) -> None:
        self._root = root
        self._deepest = None if depth is None else root.rstrip("/").count("/") + depth
        self._hidden = hidden
        self._seen: set[tuple[int, int]] = set()
        self._found = FoundFiles()

    def run(self) -> FoundFiles:
        links = self._through(self._root)
        while links:
            links = [further for link in sorted(links) if self._leads_on(link) for further in self._through(link)]
        self._found.files.sort()
        self._found.broken.sort()
        return self._found

    def _through(self, start: str) -> list[str]:
        """Collect the files of a folder and all folders below; return the links to other folders."""
        folders = [start]
        links: list[str] = []
        while folders:
            for entry in self._entries(folders.pop()):
                if _is_folder(entry):
                    if self._enters(entry):
                        (links if entry.is_symlink() else folders).append(entry.path)
                elif _is_file(entry):
                    self._found.files.append(entry.path)
                elif entry.is_symlink():
                    reason = f"it is a link to {Path(entry).readlink()}, where there is nothing"
                    self._found.broken.append((entry.path, reason))
        return links

    def _entries(self, folder: str) -> Iterator[os.DirEntry[str]]:
        """Yield the entries of a folder, unless it was read before."""
        try:
            status = Path(folder).stat()
            known = (status.st_dev, status.st_ino) in self._seen
            self._seen.add((status.st_dev, status.st_ino))
            entries = [] if known else list(os.scandir(folder))
        except OSError as error:
            self._found.broken.append((folder, f"it can't be listed ({error.strerror})"))
            return
        yield from entries

    def _enters(self, folder: os.DirEntry[str]) -> bool:
        if folder.name.startswith(".") and not self._hidden:
            return False
        return self._deepest is None or folder.path.count("/") <= self._deepest

    def _leads_on(self, link: str) -> bool:
        """Whether to follow a link; not to a folder above its own, since everything beside the corpus would be read."""
        target, place = Path(link).resolve(), Path(link).parent.resolve()
        status = target.stat()
        if (status.st_dev, status.st_ino) in self._seen or target not in place.parents:
            return True
        self._found.broken.append((link, "it is a link to a folder that it lies in"))
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links that point to each other
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False
