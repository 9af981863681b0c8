"""Answers that are too old, or past the moment that the team set, are not served as prepared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from online.answering.question import Head
from rag.collection_settings import CollectionSettings
from tests.fake_llm import FakeLlm
from tests.online.conftest import LIBRARY, Library, Serve

OPEN = "When does the library open?"
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.mark.parametrize(
    ("valid", "origin", "max_age", "expired"),
    [
        (None, "generated", None, False),
        (None, "generated", 3700, False),
        (None, "generated", 3500, True),
        (MINUTE, "curated", None, False),
        (-MINUTE, "curated", None, True),
        (MINUTE, "curated", 60, True),
        (-MINUTE, "edited", None, False),
        (-MINUTE, "edited", 60, True),
    ],
)
def test_an_answer_of_an_hour_expires_by_its_age_or_at_its_own_moment(
    valid: timedelta | None, origin: str, max_age: int | None, *, expired: bool
) -> None:
    now = datetime.now(UTC)
    answer = Head("library", "f", "k", now - HOUR, [], origin, None if valid is None else now + valid)
    assert answer.expired(max_age) is expired


def test_an_answer_that_is_too_old_is_answered_live_and_on_no_list(
    library: Library, serve: Serve, llm: FakeLlm
) -> None:
    library.publish(library=LIBRARY)  # an hour old
    client = serve({"library": CollectionSettings.model_validate({"documents": [], "max_age": "30m"})})
    for question in (OPEN, "When does the library open please?"):
        answer = client.post("/v1/answers", json={"question": question}).json()
        assert (answer["source"], answer["answer"]) == ("live", llm.behaviour.text)
    assert client.get("/v1/questions").json()["questions"] == []


@pytest.mark.parametrize(
    ("told", "seconds"), [(90, 90), ("90s", 90), ("45m", 2700), ("2w", 1_209_600), (" 30 d", 2_592_000)]
)
def test_an_age_is_seconds_or_a_number_and_a_unit(told: object, seconds: int) -> None:
    assert CollectionSettings.model_validate({"documents": [], "max_age": told}).max_age == seconds


@pytest.mark.parametrize("told", ["30 days", "-1d", "0d", 0, "d", "", 1.5])
def test_another_age_is_refused(told: object) -> None:
    with pytest.raises(ValueError, match="max_age"):
        CollectionSettings.model_validate({"documents": [], "max_age": told})
