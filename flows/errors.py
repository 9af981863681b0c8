"""What can go wrong in the flows; each message is one sentence for a person."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from rag.errors import BeforehandError, ConfigurationError
from rag.hidden_errors import hidden

T = TypeVar("T")


class UnknownStageError(ConfigurationError):
    """A stage or a run was named that does not exist."""


class ScheduledRunError(BeforehandError):
    """A scheduled build failed; the message is the end of its output."""


class BuildCancelledError(BeforehandError):
    """The build was cancelled on Prefect's page, or through its API."""


class FollowedAlreadyError(BeforehandError):
    """Another process follows the project."""


class PrefectServerError(BeforehandError):
    """The temporary Prefect server did not start."""


def without_secrets(body: Callable[[], T], secrets: Collection[str]) -> T:
    """Call `body`; an error whose text quotes a secret is raised with the secret masked, and without its causes."""
    try:
        return body()
    except Exception as error:
        clean = hidden(error, secrets)
        if clean is error:
            raise
    raise clean
