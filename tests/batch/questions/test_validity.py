"""Until when a curated pair is valid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from batch.questions.question_files import CuratedPair, parse_curated
from batch.questions.validity import has_expired, valid_until
from rag.text.table_files import Reject


@pytest.mark.parametrize(
    ("told", "until"),
    [
        ("2026-12-31", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2026-12-31 18:00", datetime(2026, 12, 31, 18, tzinfo=UTC)),
        ("2026-12-31T18:00:00+02:00", datetime(2026, 12, 31, 16, tzinfo=UTC)),
        ("2026-12-31T18:00Z", datetime(2026, 12, 31, 18, tzinfo=UTC)),
    ],
)
def test_a_day_is_valid_to_its_end_and_a_moment_without_a_zone_is_utc(told: str, until: datetime) -> None:
    assert valid_until({"valid_until": [told]}) == until


def test_a_pair_expires_after_that() -> None:
    now = datetime.now(UTC)
    assert has_expired({"valid_until": [(now - timedelta(minutes=1)).isoformat()]})
    assert not has_expired({"valid_until": [(now + timedelta(minutes=1)).isoformat()]})
    assert not has_expired({"valid_until": [now.date().isoformat()]})
    assert not has_expired({})


def test_the_column_of_a_file_is_read_and_what_is_no_date_is_a_reject() -> None:
    data = b"question,answer,Valid Until\nWhat is A?,A.,2026-12-31\nWhat is B?,B.,next week\nWhat is C?,C.,\n"
    first, second, third = parse_curated("pairs.csv", data, "library")
    assert isinstance(first, CuratedPair)
    assert valid_until(first.metadata) == datetime(2027, 1, 1, tzinfo=UTC)
    assert isinstance(second, Reject)
    assert "valid_until is 'next week'" in second.reason
    assert isinstance(third, CuratedPair)
    assert not has_expired(third.metadata)
