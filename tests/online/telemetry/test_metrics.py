"""The metrics and their documentation."""

from __future__ import annotations

import re
from pathlib import Path

from online.telemetry.metrics import Metrics

DOCUMENT = Path(__file__).parents[3] / "docs" / "service.md"


def test_the_documentation_names_every_metric() -> None:
    names = re.findall(r"^# HELP (\w+) ", Metrics().scrape().decode(), re.MULTILINE)
    text = DOCUMENT.read_text()
    assert [name for name in names if f"`{name}`" not in text and not name.endswith("_created")] == []
