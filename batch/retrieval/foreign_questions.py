"""Questions about subjects that a corpus of a team hardly treats: nothing in it answers them."""

from __future__ import annotations

import functools
from importlib import resources


@functools.cache
def foreign_questions() -> tuple[str, ...]:
    """Return questions about subjects that a corpus of a team hardly treats."""
    text = resources.files("batch.retrieval").joinpath("foreign_questions.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())
