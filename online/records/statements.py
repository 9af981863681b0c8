"""Reads named SQL statements from the files of this folder."""

from __future__ import annotations

import re
from importlib import resources


def read_statements(name: str) -> dict[str, str]:
    """Return the statements of a file by the names above them."""
    text = resources.files("online.records").joinpath(name).read_text(encoding="utf-8")
    return dict(re.findall(r"^-- (\w+)\n(.+?;)$", text, re.MULTILINE | re.DOTALL))
