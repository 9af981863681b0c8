"""Rewordings and sketches, as models write them."""

from __future__ import annotations

import pytest

from batch.generation.wording import sketch, wordings


def test_each_line_is_a_wording_without_its_bullet_and_none_is_the_question() -> None:
    said = "Here are two ways:\n1. How is the session kept?\n- why am i logged out\n* Why am I logged out?\nmore"

    assert wordings(said, "Why am I logged out??", 2) == ["How is the session kept?", "more"]


@pytest.mark.parametrize("said", ["", "\n---\n", "<think>Let me see", "!!!\n???", "x" * 400])
def test_rubbish_is_no_wording(said: str) -> None:
    assert wordings(said, "Why?", 3) == []


@pytest.mark.parametrize(("said", "expected"), [("It  is\nso.", "It is so."), ("<think>so", None), ("...", None)])
def test_a_sketch_is_one_line_of_words(said: str, expected: str | None) -> None:
    assert sketch(said) == expected
