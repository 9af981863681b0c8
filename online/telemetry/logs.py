"""Structured logs: one JSON object a line on standard error, with the id of the request."""

from __future__ import annotations

import datetime
import json
import logging
from collections.abc import Collection

from online.http.request_id import request_id
from rag.credentials import hide


class JsonFormatter(logging.Formatter):
    """Writes a record as JSON, without secrets; a traceback becomes one field."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "at": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": hide(record.getMessage(), self._secrets),
        }
        if request_id.get() != "-":
            line["request_id"] = request_id.get()
        if record.exc_info:
            line["traceback"] = hide(self.formatException(record.exc_info), self._secrets)
        return json.dumps(line, ensure_ascii=False)


def logging_config(secrets: Collection[str] = ()) -> dict[str, object]:
    """Return the configuration for uvicorn's loggers and ours; no line quotes one of the secrets."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "online.telemetry.logs.JsonFormatter", "secrets": secrets}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "loggers": {
            name: {"handlers": ["stderr"], "level": level, "propagate": False}
            for name, level in (("beforehand", "INFO"), ("uvicorn", "WARNING"))
        },
    }
