"""Server-sent events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from online.http.responses import sse


@given(st.text(max_size=50))
def test_an_event_is_three_lines_whatever_the_text(text: str) -> None:
    event = sse("delta", {"text": text})
    assert event.count(b"\n") == 3
    assert event.endswith(b"\n\n")
