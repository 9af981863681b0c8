"""A streamed answer has the text of the whole one, whatever the pieces."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rag.prompting.citations import LinkedText, link
from rag.retrieval.passages import Passage, StoredChunk

PASSAGES = [
    Passage(number, StoredChunk(f"c{number}", "d", "Title", "file:x", "", "text", f"h{number}"), 1.0)
    for number in (1, 2)
]
ALPHABET = [
    "a",
    "b.",
    " ",
    "\n",
    "[",
    "]",
    "1",
    "2",
    "7",
    ", ",
    "-",
    "`",
    "```",
    "(",
    ")",
    "[1]",
    "[9]",
    " [1, 7]",
    "[passage 2]",
]


def streamed(pieces: list[str]) -> tuple[str, str]:
    text = LinkedText(PASSAGES)
    shown = [text.feed(piece) for piece in pieces]
    last, linked = text.finish()
    return "".join([*shown, last]), linked.text


@given(st.lists(st.sampled_from(ALPHABET), max_size=40))
@example(["Open ", "[", "9", "]", " now."])
@example(["`[9]", "` and [9]"])
@example(["see [1]", "(x)"])
@example(["a ", " ", "[7]", " "])
@example(["[", "1, " * 60, "1]"])
@example(["[ ", " ", "[9]", "[9]", "1]"])
@example(["``", "[9]", "`", "x [9]"])
@example(["x[", "[9]", "0]"])
def test_the_pieces_joined_are_the_whole_text(pieces: list[str]) -> None:
    shown, whole = streamed(pieces)
    assert shown == whole == link("".join(pieces), PASSAGES).text


def test_plain_text_is_not_held_back() -> None:
    text = LinkedText(PASSAGES)
    assert text.feed("The library opens") == "The library opens"
    assert text.feed(" at nine [1]") == " at nine"
    assert text.feed(".") == " [1]."


@given(st.text(alphabet="ab1279 ,-\n`[]()\u2003\u017f", max_size=60), st.lists(st.integers(0, 60)))
def test_any_split_gives_the_text_of_the_whole(answer: str, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(answer)]
    shown, whole = streamed([answer[start:end] for start, end in itertools.pairwise(places)])
    assert shown == whole == link(answer, PASSAGES).text


@pytest.mark.parametrize(
    "piece",
    ["word ", "So it is [1]. ", "[", "[1, ", "] [9] ", "`", "` ", "```\n", "\n\n", "[[9]", "[passage 2", "\u2003"],
)
def test_a_long_answer_costs_each_piece_no_more_than_a_short_one(piece: str) -> None:
    def seconds(pieces: int) -> float:
        text = LinkedText(PASSAGES)
        started = time.process_time()
        for _ in range(pieces):
            text.feed(piece)
        text.finish()
        return (time.process_time() - started) / pieces

    assert min(seconds(4_000) for _ in range(3)) < 6 * min(seconds(250) for _ in range(5))
