"""Tables of AsciiDoc: from the lines between two `|===` to rows."""

from __future__ import annotations

import re

_CELL = re.compile(r"(?:^|(?<=\s))(?:\d*(?:\.\d+)?[+*])?[<^>.]{0,3}[aehlmsdv]?\|")
_HEADED = re.compile(r"%header|options\s*=\s*\"?[^\"]*header|opts\s*=\s*\"?[^\"]*header")
_COLUMNS = re.compile(r"cols\s*=\s*(?:\"([^\"]*)\"|([^\s,\]]+))")


def table_rows(lines: list[str], pending: str, mark: str) -> tuple[list[list[str]], bool]:
    """Return the rows of a table's lines, and whether the first is its header.

    `pending` are its attributes, `mark` is what divides its cells.
    """
    filled = [number for number, line in enumerate(lines) if line.strip()]
    if not filled:
        return [], False
    first = filled[0]
    if mark == "|":
        cells = _cells(lines)
        in_first = len(_CELL.findall(lines[first]))
    else:
        rows = [re.split(rf"\s*{re.escape(mark)}\s*", line.strip()) for line in lines if line.strip()]
        cells, in_first = [cell for row in rows for cell in row], len(rows[0])
    width = _width(pending) or in_first or 1
    blank_below = first + 1 < len(lines) and not lines[first + 1].strip() and in_first == width
    headed = bool(_HEADED.search(pending)) or (blank_below and "%noheader" not in pending)
    return [cells[number : number + width] for number in range(0, len(cells), width)], headed


def _cells(lines: list[str]) -> list[str]:
    """Return the cells of a table; each begins behind a "|"."""
    cells: list[str] = []
    for line in lines:
        if re.match(r"^(?:-{4,}|\.{4,}|ifn?def::|endif::|include::|//|\[[^\]]*\]$)", line.strip()):
            continue
        marks = list(_CELL.finditer(line.replace("\\|", "\\\x04")))
        before = line[: marks[0].start()] if marks else line
        if cells and before.strip():
            cells[-1] += f" {before.strip()}"
        stops = [*(mark.start() for mark in marks[1:]), len(line)][: len(marks)]
        for mark, stop in zip(marks, stops, strict=True):
            text = line[mark.end() : stop].strip().replace("\\|", "|")
            copies = re.match(r"(\d+)\*", mark.group())
            cells += [text] * (min(int(copies.group(1)), 50) if copies else 1)
    return cells


def _width(pending: str) -> int:
    """Return how many columns a table's attributes give it; 0 where they don't say."""
    columns = _COLUMNS.search(pending)
    if not columns:
        return 0
    width = 0
    for part in re.split(r"[,;]", (columns.group(1) or columns.group(2)).strip()):
        copies = re.match(r"\s*(\d+)\*", part)
        width += min(int(copies.group(1)), 50) if copies else 1
    return width
