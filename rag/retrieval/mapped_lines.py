"""A text file as a memory-mapped sequence of lines: the ids of an index, the words of a vocabulary.

Splitting a million ids into strings blocks every thread for a tenth of a second and takes 100 MB per process. Mapped,
a line is decoded when it is read, and all processes share the pages.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import overload

import numpy as np

_LINE_FEED = 10


class MappedLines(Sequence[str]):
    """The lines of a UTF-8 text, without line ends."""

    def __init__(self, text: bytes | mmap.mmap) -> None:
        codes = np.frombuffer(text, np.uint8)
        self._text = text
        self._ends = np.flatnonzero(codes == _LINE_FEED)

    @classmethod
    def load(cls, path: Path) -> MappedLines:
        """Memory-map a file written by `save_lines`.

        Raises:
            OSError: the file can't be read.
            ValueError: the file is torn: not UTF-8, or without a final line end.
        """
        with path.open("rb") as file:
            text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""
        if np.frombuffer(text, np.int8).min(initial=0) < 0:  # ASCII, the usual case, needs no check
            bytes(text).decode("utf-8")
        if text and text[-1:] != b"\n":
            raise ValueError("the last line has no end")
        return cls(text)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self._line(each) for each in range(*place.indices(len(self)))]
        return self._line(place if 0 <= place < len(self._ends) else range(len(self))[place])

    def _line(self, number: int) -> str:
        start = int(self._ends[number - 1]) + 1 if number else 0
        return self._text[start : int(self._ends[number])].decode("utf-8")


def save_lines(lines: Iterable[str], path: Path) -> None:
    """Write lines to a file; no line may contain a line feed."""
    path.write_text("".join(f"{each}\n" for each in lines), encoding="utf-8", newline="\n")
