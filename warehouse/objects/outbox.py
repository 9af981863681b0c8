"""Lines that were appended here and are not in the store's log yet: one file each, written before the local one.

Whoever appends needs no store and no client; a follower (`warehouse.objects.shared_log`) sends them within seconds, or
when the store is back. So a decision holds on its own machine at once, whatever the network does.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from pathlib import Path

STATE = ".store"
"""The folder of a mirror that holds what is this machine's own: which store it mirrors, notes, the outbox."""

PLACE = "place.json"
"""The file in it by which a folder is known as a mirror."""

_FOLDER = "outbox"
_MARK = re.compile(r"[0-9a-f-]+")


def put_aside(path: Path, block: bytes) -> Path | None:
    """Keep a copy of lines for the store's log, if the file that they are appended to is in a mirror; return the copy.

    Raises:
        OSError: the disk refuses; nothing is kept.
    """
    data = next((folder for folder in (path.parent, path.parent.parent) if (folder / STATE / PLACE).exists()), None)
    if data is None:
        return None
    mark = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
    head = {"file": path.relative_to(data).as_posix(), "mark": mark}
    folder = data / STATE / _FOLDER
    folder.mkdir(exist_ok=True)
    hidden = folder / f".{mark}"
    with hidden.open("wb") as file:
        file.write(json.dumps(head).encode() + b"\n" + block)
        file.flush()
        os.fsync(file.fileno())
    return hidden.rename(folder / mark)


def waiting(data: Path) -> list[Path]:
    """Return the files that wait to be sent, oldest first."""
    return sorted((data / STATE / _FOLDER).glob("[!.]*"))


def parts_of(content: bytes) -> tuple[str, str, bytes]:
    """Return the mark of an entry, the file that its lines belong to, and the lines."""
    head, _, lines = content.partition(b"\n")
    found = json.loads(head)
    return str(found["mark"]), str(found["file"]), lines


def sent(data: Path, mark: str) -> None:
    """Forget an entry that the store's log has; those of other machines are none of this one."""
    if _MARK.fullmatch(mark):
        (data / STATE / _FOLDER / mark).unlink(missing_ok=True)
