"""A streamed answer has the text of the whole one, whatever the pieces."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from online.answering.linked_text import LinkedText
from rag.prompting.citations import link
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
def test_the_pieces_joined_are_the_whole_text(pieces: list[str]) -> None:
    shown, whole = streamed(pieces)
    assert shown == whole == link("".join(pieces), PASSAGES).text


def test_plain_text_is_not_held_back() -> None:
    text = LinkedText(PASSAGES)
    assert text.feed("The library opens") == "The library opens"
    assert text.feed(" at nine [1]") == " at nine"
    assert text.feed(".") == " [1]."
