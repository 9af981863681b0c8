"""Alerts: a POST of JSON to a webhook when a run fails, crashes, or is refused by its audit.

An alert never fails what it reports on: it is tried a few times, then given up with a line in the log.
"""

from __future__ import annotations

import json
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from rag.credentials import SecretAddress

WEBHOOK = "BEFOREHAND_ALERTS__WEBHOOK"
"""The variable of the setting, by which the processes of scheduled flows learn the address: no parameter holds it."""
_PAUSES = (1.0, 4.0)  # seconds between the tries
_TIMEOUT = 10.0
_log = logging.getLogger(__name__)

Event = Literal["failed", "crashed", "audit refused", "check failed"]


@dataclass(frozen=True)
class Alert:
    """What happened, in a sentence without secrets; `flow_run_url` leads to Prefect's page where there is one."""

    event: Event
    message: str
    run_id: str | None = None
    flow_run: str | None = None
    flow_run_url: str | None = None


def send(webhook: SecretAddress | None, alert: Alert, pauses: Sequence[float] = _PAUSES) -> bool:
    """Post an alert, and return whether the webhook took it; without a webhook nothing is sent."""
    if webhook is None:
        return False
    body = {"source": "beforehand", "at": datetime.now(UTC).isoformat(timespec="seconds"), **asdict(alert)}
    request = urllib.request.Request(  # the setting is an http address
        webhook.get_secret_value(),
        json.dumps({**body, "text": f"beforehand: {alert.event}: {alert.message}"}).encode(),
        {"Content-Type": "application/json", "User-Agent": "beforehand"},
    )
    why = ""
    for pause in (*pauses, None):
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT):
                return True
        except (OSError, ValueError, urllib.error.URLError) as error:
            why = type(error).__name__ if not isinstance(error, urllib.error.HTTPError) else f"it said {error.code}"
        if pause is not None:
            time.sleep(pause)
    _log.warning("the webhook of [alerts] was not reached (%s); nobody was told: %s", why, alert.message)
    return False


def webhook_of_environment() -> SecretAddress | None:
    """Return the webhook that the environment names."""
    address = os.environ.get(WEBHOOK)
    return SecretAddress(address) if address else None
