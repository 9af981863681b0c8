"""Follow-ups: does the last turn of a chat stand alone, and if not, how would it be asked alone?

An answer was prepared for a question asked alone, so it fits the last turn of a chat only if that turn means the same
without the earlier ones. Plain rules for English decide, and err towards "no", which costs a hit and nothing else: a
word that points back ("it", "those", "the second one"), a beginning that goes on ("and for students?"), a fragment, or
a subject too thin to be one ("How do I cancel?"). What has no English function word is not judged, and so does not
stand alone.

The language model can make a follow-up stand alone. Its question is used only if it passes the same rules and still
says something of the visitor's own words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag.llm.protocol import Message, Sampling
from rag.prompting.template import fenced, own_messages, own_template

SAMPLING = Sampling(max_tokens=64)
_LONGEST = 300  # characters; anything longer is an answer, not a question
_TURNS = 4
_TURN_CHARACTERS = 600

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
# An "it" or "there" that stands for nothing said before.
_EMPTY_SUBJECT = re.compile(
    r"\b(?:is|was|would|will|does|how\s+(?:long|much|often)\s+(?:does|is|will|would))\s+it\s+(?:be\s+)?"
    r"(?:possible|allowed|necessary|free|safe|legal|okay|ok|true|cost|take|matter|make\s+sense)\b(?=.*\b(?:to|that|if)\b)"
    r"|\b(?:is|are|was|were)\s+there\b|\bthere\s+(?:is|are)\b",
    re.IGNORECASE,
)
_POINTING = frozenset(
    """it its it's itself they them their theirs they're themselves this that these those that's he him his she her hers
    ones same such else other others another instead too also again either neither both former latter above below
    previous previously earlier mentioned said there then so therefore otherwise still anymore yours first second third
    last next""".split()
)
_THAT_ONE = re.compile(r"\b(?:which|this|that|the|another|each|any|\w+er|\w+est)\s+one\b|\bone\W*$", re.IGNORECASE)
_GOING_ON = re.compile(
    r"(?:and|but|or|nor|so|then|also|plus|because|yes|yeah|no|nope|ok|okay|right|sure|thanks|thank\s+you|well|hm+|actually"
    r"|(?:what|how)\s+about|what\s+if|why\s+not|for|with|without|in|on|at|of|to|from|by|if|when|not|only|just|even"
    r"|more|less|really|seriously|which|continue|go\s+on|explain|elaborate)\b(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
# Of those, the beginnings that also open a whole question: "When does …", "If I lose my card, …", "Which fees …".
_WHOLE_ALL_THE_SAME = re.compile(
    r"(?:when|which)\s+\S+\s+\S+|(?:explain|for|with|in|on|at|of|to|from|by|if)\b.{20,}", re.IGNORECASE | re.DOTALL
)
# A turn without any of these is a fragment, or not English.
_ASKING = frozenset(
    """what what's when where which who whom whose why how is are was were am do does did can could may might must shall
    should will would have has had i i'm i've i'd we please tell explain need want""".split()
)
_THIN = _ASKING | frozenset(
    """the a an my our you your me us much many long often and or but if to for of in on at by with without from about
    as be been being go i'll don't can't not no any some all here now today just""".split()
)
_LABEL = re.compile(r"^(?:visitor|question|rewritten(?: question)?)\s*:", re.IGNORECASE)
_DEFINITION = re.compile(r"(?:what(?:'s|\s+is|\s+are|\s+does)|who\s+is|define|explain)\s+(?!the\b|your\b|my\b)", re.I)


def stands_alone(turn: str) -> bool:
    """Whether the last turn of a chat means the same without the earlier ones; in doubt it does not."""
    text = " ".join(turn.split())
    words = [word.casefold().replace("\u2019", "'") for word in _WORD.findall(_EMPTY_SUBJECT.sub(" is ", text))]
    if not _ASKING.intersection(words) or _POINTING.intersection(words) or _THAT_ONE.search(text):
        return False
    if _GOING_ON.match(text) and not _WHOLE_ALL_THE_SAME.match(text):
        return False
    subjects = [word for word in words if word not in _THIN]
    return len(subjects) > 1 or (bool(subjects) and _DEFINITION.match(text) is not None)


def follow_up_messages(turns: Sequence[Message]) -> list[Message]:
    """Return the chat that asks the model to make the last of these turns stand alone."""
    said = [
        f"{'Visitor' if each.role == 'user' else 'Assistant'}: {fenced(_cut(each.content))}"
        for each in turns[-_TURNS - 1 :]
    ]
    return own_messages(own_template("follow_up"), "{conversation}", "\n".join(said))


def made_to_stand_alone(said: str, turn: str) -> str | None:
    """Return the question that the model wrote, or None if it can't be trusted to ask what the turn asks."""
    line = next((line.strip(" \t\"'*-") for line in said.splitlines() if line.strip()), "")
    line = _LABEL.sub("", line).strip("\"' ")
    own = _subjects(turn)
    kept = not own or own & _subjects(line)
    return line if line and len(line) <= _LONGEST and kept and stands_alone(line) else None


def _subjects(text: str) -> set[str]:
    words = {word.casefold() for word in _WORD.findall(text)}
    return words - _THIN - _POINTING


def _cut(text: str) -> str:
    """Return the end of a turn, on one line: what a follow-up refers to was mostly said last."""
    return " ".join(text.split())[-_TURN_CHARACTERS:]
