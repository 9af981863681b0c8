"""The pointer to the current release: one small file, replaced atomically by publishing and rolling back."""

from __future__ import annotations

from pathlib import Path

from warehouse.durable import replace_file


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
