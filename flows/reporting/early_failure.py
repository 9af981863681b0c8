"""A run that is refused before its flow begins: a model is missing, a file is not there."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from uuid import UUID

from flows.reporting.alerts import Alert, send
from rag.credentials import SecretAddress, hide
from rag.errors import BeforehandError


@contextmanager
def told_if_refused(webhook: SecretAddress | None, link: str, secrets: Collection[str]) -> Iterator[None]:
    """Tell the webhook, and the flow run that was made for this process, if the block refuses to begin."""
    try:
        yield
    except BeforehandError as error:
        message = hide(str(error), secrets)
        page = None
        if link:
            from flows.reporting.run_states import end_run, failed_state, page_of

            end_run(UUID(link), failed_state(message))
            page = page_of(UUID(link))
        send(webhook, Alert("failed", message, flow_run=link or None, flow_run_url=page))
        raise
