"""What can go wrong in the flows; each message is one sentence for a person."""

from __future__ import annotations

from rag.errors import BeforehandError, ConfigurationError


class UnknownStageError(ConfigurationError):
    """A stage or a run was named that does not exist."""


class ScheduledRunError(BeforehandError):
    """A scheduled build failed; the message is the end of its output."""


class PrefectServerError(BeforehandError):
    """The temporary Prefect server did not start."""
