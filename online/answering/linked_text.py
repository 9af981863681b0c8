"""Links an answer's references while it streams, so that both forms of an answer have the same text.

`rag.prompting.citations.link` drops references to passages that were not in the prompt. A stream must not show one and
take it back, so text is held back while what follows can still change it: an open bracket, white space before it, an
open backtick (nothing is linked inside code).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag.prompting.citations import Linked, link
from rag.retrieval.passages import Passage

_LONGEST_REFERENCE = 80
# what may still become a reference, or be trimmed: "[1, 2", "[3]" (a link's "(" may follow), white space
_UNDECIDED = re.compile(rf"\s*\[[^\[\]]{{0,{_LONGEST_REFERENCE}}}\]?$|\s+$")


class LinkedText:
    """Turns the model's pieces into pieces to show."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = passages
        self._raw = ""
        self._shown = ""

    def feed(self, piece: str) -> str:
        """Take a piece; return what can be shown now, of it and of what was held back."""
        self._raw += piece
        return self._show(link(self._raw[: _settled(self._raw)], self._passages).text)

    def finish(self) -> tuple[str, Linked]:
        """Return the last piece to show and the whole answer."""
        linked = link(self._raw, self._passages)
        return self._show(linked.text), linked

    def _show(self, text: str) -> str:
        if not text.startswith(self._shown):
            return ""
        new = text[len(self._shown) :]
        self._shown = text
        return new


def _settled(raw: str) -> int:
    """Return how much of the text no later piece can change."""
    end = len(raw)
    if raw.count("`") % 2:
        end = raw.rindex("`")
    while (undecided := _UNDECIDED.search(raw, 0, end)) and undecided.start() < end:
        end = undecided.start()
    return end
