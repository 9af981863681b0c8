"""The metrics and their documentation."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from online.telemetry.metrics import MULTIPROCESS_FOLDER, Metrics

DOCUMENT = Path(__file__).parents[3] / "docs" / "service.md"


def test_the_documentation_names_every_metric() -> None:
    names = re.findall(r"^# HELP (\w+) ", Metrics().scrape().decode(), re.MULTILINE)
    text = DOCUMENT.read_text()
    assert [name for name in names if f"`{name}`" not in text and not name.endswith("_created")] == []


def test_a_scrape_shows_what_workers_count_while_another_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MULTIPROCESS_FOLDER, str(tmp_path))
    with closing(MmapedDict(str(tmp_path / "counter_1.db"))) as counted:
        counted.write_value(mmap_key("questions", "questions_total", [], [], "Questions."), 3, 0)
    (tmp_path / "counter_2.db").touch()  # a worker has made its file, and is about to fill it

    assert "questions_total 3.0" in Metrics().scrape().decode()
