"""Follow-ups: does the last turn of a chat stand alone, and if not, how would it be asked alone?

An answer was prepared for a question asked alone, so it fits the last turn of a chat only if that turn means the same
without the earlier ones. Plain rules for English decide (`rag.prompting.standing_alone`), and err towards "no", which
costs a hit and nothing else.

The language model can make a follow-up stand alone. Its question is used only if it passes the same rules and still
says something of the visitor's own words. In other languages, which the rules can't judge, it has to be an anticipated
question word for word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from rag.llm.protocol import Message, Sampling
from rag.prompting.standing_alone import is_english, stands_alone, words_of_its_own
from rag.prompting.template import fenced, own_messages, own_template

SAMPLING = Sampling(max_tokens=64)
_LONGEST = 300  # characters; anything longer is an answer, not a question
_TURNS = 4
_TURN_CHARACTERS = 600
_LABEL = re.compile(r"^(?:visitor|question|rewritten(?: question)?)\s*:", re.IGNORECASE)


def follow_up_messages(turns: Sequence[Message]) -> list[Message]:
    """Return the chat that asks the model to make the last of these turns stand alone."""
    said = [
        f"{'Visitor' if each.role == 'user' else 'Assistant'}: {fenced(_cut(each.content))}"
        for each in turns[-_TURNS - 1 :]
    ]
    return own_messages(own_template("follow_up"), "{conversation}", "\n".join(said))


def made_to_stand_alone(said: str, turn: str, is_anticipated: Callable[[str], bool]) -> str | None:
    """Return the question that the model wrote, or None if it can't be trusted to ask what the turn asks."""
    line = next((line.strip(" \t\"'*-") for line in said.splitlines() if line.strip()), "")
    line = _LABEL.sub("", line).strip("\"' ")
    if not line or len(line) > _LONGEST or not _keeps_words(line, turn):
        return None
    return line if stands_alone(line) or (not is_english(line) and is_anticipated(line)) else None


def _keeps_words(line: str, turn: str) -> bool:
    """Whether a question has a word of the turn; in scripts without spaces, two of its characters."""
    own = words_of_its_own(turn)
    if not own or own & words_of_its_own(line):
        return True
    return not re.search(r"[^\W\d_]", turn, re.ASCII) and len(set("".join(own)) & set(line)) > 1


def _cut(text: str) -> str:
    """Return the end of a turn, on one line: what a follow-up refers to was mostly said last."""
    return " ".join(text.split())[-_TURN_CHARACTERS:]
