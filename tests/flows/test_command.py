"""What is told of a command that ended: its own sentence, whatever packages print around it."""

from __future__ import annotations

import pytest

from flows.command import Ended

PREFECT = "--- Error logging to API ---\nServer error '500 Internal Server Error'"


@pytest.mark.parametrize(
    ("complaints", "sentence"),
    [
        ("a warning\nbeforehand: no disk\n", "no disk"),
        ("beforehand: a first word\nbeforehand: the last word\n", "the last word"),
        (f"{PREFECT}beforehand: no disk\n", "no disk"),
        (f"beforehand: no disk\n{PREFECT}", "no disk"),
        ("Traceback (most recent call last):\nKeyError: 'a'\n", "the command ended with code 2; see the log"),
        ("", "the command ended with code 2; see the log"),
    ],
)
def test_a_command_ends_with_its_own_sentence(complaints: str, sentence: str) -> None:
    assert Ended(2, "", complaints).sentence == sentence
