"""Structured logs: one JSON object a line on standard error, with the id of the request."""

from __future__ import annotations

import datetime
import json
import logging

from online.http.request_id import request_id


class JsonFormatter(logging.Formatter):
    """Writes a record as JSON; a traceback becomes one field."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "at": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id.get() != "-":
            line["request_id"] = request_id.get()
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def logging_config() -> dict[str, object]:
    """Return the configuration for uvicorn's loggers and ours."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "online.telemetry.logs.JsonFormatter"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "loggers": {
            name: {"handlers": ["stderr"], "level": level, "propagate": False}
            for name, level in (("beforehand", "INFO"), ("uvicorn", "WARNING"))
        },
    }
