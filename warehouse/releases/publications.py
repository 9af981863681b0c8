"""The log of publications, `<data>/publications.jsonl`: which release became current when, by whom and why.

It is written after the pointer has moved, so it holds nothing that did not happen. A crash or a full disk in between
loses the record and not the publication; `publications` in a session shows such a release as not recorded.
"""

from __future__ import annotations

import getpass
import logging
from pathlib import Path
from typing import Literal

from warehouse.append_log import append, now
from warehouse.errors import StorageError

_log = logging.getLogger("beforehand.releases")


def publications_file(data: Path) -> Path:
    """Return where publications are appended."""
    return data / "publications.jsonl"


def log_publication(
    data: Path,
    action: Literal["publish", "rollback"],
    release_id: str,
    replaced: str | None,
    *,
    run_id: str | None = None,
    by: str | None = None,
    reason: str | None = None,
) -> None:
    """Record that a release has become the current one; a log that can't be written is a warning."""
    record = {
        "at": now(),
        "action": action,
        "release_id": release_id,
        "replaced": replaced,
        "run_id": run_id,
        "by": by or _account(),
        "reason": reason,
    }
    try:
        append(publications_file(data), [record])
    except StorageError as error:
        _log.warning("%s is current, but that is not recorded: %s", release_id, error)


def _account() -> str | None:
    """Return the name of the account that runs this process; None where the system knows none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None
