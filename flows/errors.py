"""What can go wrong in the flows; each message is one sentence for a person."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

import httpx

from rag.errors import BeforehandError, ConfigurationError
from rag.hidden_errors import hidden

T = TypeVar("T")

_LEAST_ROOM = 1_000_000  # bytes


class UnknownStageError(ConfigurationError):
    """A stage or a run was named that does not exist."""


class ScheduledRunError(BeforehandError):
    """A scheduled build failed; the message is the end of its output."""


class BuildCancelledError(BeforehandError):
    """The build was cancelled on Prefect's page, or through its API."""


class FollowedAlreadyError(BeforehandError):
    """Another process follows the project."""


class PrefectServerError(BeforehandError):
    """The temporary Prefect server did not start, or a Prefect server does not answer as it should."""


def server_error(data: Path, error: httpx.HTTPError) -> PrefectServerError:
    """Return the error for a Prefect server that failed; our own has its database in the data folder."""
    said = f"answered {error.response.status_code}" if isinstance(error, httpx.HTTPStatusError) else "does not answer"
    full = shutil.disk_usage(data).free < _LEAST_ROOM
    hint = f"the disk of {data} is full; free some space" if full else "its log says why"
    return PrefectServerError(f"Prefect's server {said}, so it can't keep track of the run: {hint}")


def without_secrets(body: Callable[[], T], secrets: Collection[str]) -> T:
    """Call `body`; an error whose text quotes a secret is raised with the secret masked, and without its causes."""
    try:
        return body()
    except Exception as error:
        clean = hidden(error, secrets)
        if clean is error:
            raise
    raise clean
