"""Reads what the review page's addresses and forms say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from online.errors import Problem

Action = Literal[
    "approve", "edit", "reject", "confirm", "undo", "list", "unlist", "accept", "deny", "join", "apart", "separate"
]
_ACTIONS: Mapping[str, Action] = {each: each for each in get_args(Action)}


@dataclass(frozen=True)
class Submitted:
    """What a reviewer sends: `fingerprint` and `seen` say which answer and how many decisions they were shown.

    `wording` is one that is accepted, denied or no longer joined, `ruled` what was ruled about it when they looked.
    """

    action: Action
    fingerprint: str
    seen: int
    text: str
    note: str
    allow_live: bool
    wording: str = ""
    ruled: str = "doubtful"


def number_of(text: str) -> int:
    """Return the number of a page, or of decisions that were seen; 1 for what is none."""
    return max(1, int(text)) if _is_number(text) else 1


def submitted(form: Mapping[str, str]) -> Submitted:
    """Return what a reviewer decides.

    Raises:
        Problem: a field is missing, or no such thing can be decided.
    """
    action, seen = _ACTIONS.get(form.get("action", "")), form.get("seen", "")
    if action is None or not _is_number(seen):
        raise Problem("malformed", "The form can't be read: open the page again.")
    return Submitted(
        action,
        form.get("fingerprint", ""),
        int(seen),
        form.get("text", ""),
        form.get("note", ""),
        "allow_live" in form,
        form.get("wording", ""),
        form.get("ruled", "doubtful"),
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6
