"""Errors without the secrets that they or their causes quote."""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import TypeVar

from rag.credentials import hide
from rag.errors import BeforehandError, HiddenError

Raised = TypeVar("Raised", bound=BaseException)


def hidden(error: Raised, secrets: Collection[str]) -> Raised | HiddenError:
    """Return the error itself, or one without causes and secrets if its text or that of a cause quotes one."""
    if all(hide(said, secrets) == said for said in map(str, _chain(error))):
        return error
    if not isinstance(error, BeforehandError):
        return HiddenError(f"{type(error).__name__}: {hide(str(error), secrets)}")
    clean = copy.copy(error)
    clean.args = tuple(hide(each, secrets) if isinstance(each, str) else each for each in error.args)
    return clean


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error, its causes and the members of groups."""
    found, waiting = [], [error]
    while waiting:
        each = waiting.pop()
        found.append(each)
        behind = (each.__cause__, each.__context__, *getattr(each, "exceptions", ()))
        waiting += [other for other in behind if other is not None and other not in (*found, *waiting)]
    return found
