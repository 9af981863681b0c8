"""Exclusions: what a collection's `exclude` keeps out of its documents.

A pattern without a "/" is the name of a file or folder, wherever it lies; one with a "/" is a path below the folder
that is listed. An excluded folder is excluded with all that it holds. The syntax is that of `documents`: `*` within a
name, `**` across folders, `?`, `[abc]`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from apache_beam.io.filesystem import FileSystem

from batch.sources.local_files import FoundFiles

Excluder = Callable[[str], str | None]


def excluder(patterns: Sequence[str]) -> Excluder:
    """Return a function that gives the first pattern that excludes a path below the listed folder, or None."""
    rules = [(pattern, *_compiled(pattern)) for pattern in patterns]

    def excluded_by(path: str) -> str | None:
        for pattern, anchored, matches in rules:
            if any(matches(each if anchored else each.rpartition("/")[2]) for each in _with_folders(path)):
                return pattern
        return None

    return excluded_by


def without_excluded(
    found: FoundFiles, below: Callable[[str], str], excluded_by: Excluder
) -> tuple[FoundFiles, list[str]]:
    """Return the files that are not excluded, and for each that is the pattern; `below` cuts the folder off a path."""
    patterns: list[str] = []

    def stays(path: str) -> bool:
        pattern = excluded_by(below(path))
        if pattern is not None:
            patterns.append(pattern)
        return pattern is None

    kept = FoundFiles(
        [path for path in found.files if stays(path)],
        [(path, reason) for path, reason in found.broken if stays(path)],
        [path for path in found.skipped if stays(path)],
    )
    return kept, patterns


def _compiled(pattern: str) -> tuple[bool, Callable[[str], re.Match[str] | None]]:
    """Return whether a pattern is a path below the listed folder, and what matches it."""
    bare = pattern.rstrip("/")
    return "/" in bare, re.compile(FileSystem.translate_pattern(bare.removeprefix("./").removeprefix("/"))).match


def _with_folders(path: str) -> Iterator[str]:
    """Yield the folders that a path goes through, then the path."""
    for end in (place.start() for place in re.finditer("/", path)):
        yield path[:end]
    yield path
