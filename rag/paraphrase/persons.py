"""Who does what to whom, where both are pronouns: "do you pay me", "do I pay you"; "my address", "your address".

Pronouns are function words, so without this the two ask for the same. A deed is a verb with two persons around it. Two
questions contradict each other if the same verb has them the other way round, if a person gives in one what it gets in
the other ("from you", "to you"), or if the same thing belongs to the other one. A lone "you" says nothing: it may mean
anybody ("do you need a visa", "how do you reset your password").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rag.paraphrase.lexicon import word_class
from rag.paraphrase.parsed_question import Alignment, ParsedQuestion, Token

_PERSONS = {
    word: person
    for person, words in {
        "me": "i me my mine we us our ours",
        "you": "you your yours",
        "other": "he him his she her hers they them their theirs",
    }.items()
    for word in words.split()
}
_SUBJECTS = frozenset("i we he she they".split())
_OWNERS = frozenset("my our your his their".split())
_VERBS = frozenset(
    "get gets got getting give gives make makes made take takes come need needs want wants know tell tells".split()
)
# What both do then, and what frames a question ("can you tell me").
_IDLE = frozenset("talk speak chat meet discuss agree match tell".split())
_JOINTS = frozenset("if when while because that what where why how and or as who which will whether".split())
_OPPOSITE = (frozenset(("from", "to")), frozenset(("for", "against")))
_TURNS = frozenset(("by", *(word for pair in _OPPOSITE for word in pair)))


@dataclass(frozen=True)
class _Deed:
    """A verb's stem, who does it ("" if unsaid), and to whom, by which preposition; `thing` is what that one owns."""

    actor: str
    verb: str
    preposition: str
    person: str
    thing: str = ""

    def reversed_in(self, deeds: Iterable[_Deed]) -> bool:
        """Whether another deed has the same persons the other way round."""
        return any(
            (self.actor, self.person) == (each.person, each.actor)
            and self.verb == each.verb
            and bool(self.thing) == bool(each.thing)
            and frozenset((self.preposition, each.preposition)) not in _OPPOSITE
            for each in deeds
        )

    def turned_in(self, deeds: Iterable[_Deed]) -> bool:
        """Whether another deed goes the other way for the same person."""
        return any(
            (self.actor, self.person, self.thing) == (each.actor, each.person, each.thing)
            and frozenset((self.preposition, each.preposition)) in _OPPOSITE
            for each in deeds
        )


def persons_differ(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    """Whether two questions swap who does something and to whom, or whose something is."""
    if _told(first) == _told(second):
        return False
    left_over = len(alignment.left) + len(alignment.right)
    if not left_over and _belongs_to_other(first, second):
        return True
    ours, theirs = _deeds(first), _deeds(second)
    only_ours, only_theirs = ours - theirs, theirs - ours
    if not only_ours or not only_theirs:
        return False
    if any(each.verb not in _IDLE and each.reversed_in(only_theirs) for each in only_ours):
        return True
    return left_over <= 1 and any(each.turned_in(only_theirs) for each in only_ours)


def _told(question: ParsedQuestion) -> list[str]:
    """Return the words that tell who does what to whom; in most pairs they are the same."""
    return [word for word in question.words if word in _PERSONS or word in _TURNS]


def _belongs_to_other(first: ParsedQuestion, second: ParsedQuestion) -> bool:
    """Whether a thing is the asker's in one question and yours in the other, where "you" isn't just anybody."""
    ours, theirs = _things(first), _things(second)
    if not any({owner, theirs.get(thing)} == {"me", "you"} for thing, owner in ours.items()):
        return False
    return not any(map(_speaks_of_anybody, (first, second)))


def _speaks_of_anybody(question: ParsedQuestion) -> bool:
    """Whether "your" may mean anybody's: "how do you cancel your order", "the best way to cancel your order"."""
    asker = any(_PERSONS.get(word) == "me" for word in question.words)
    return not asker and (bool({"you", "to"} & set(question.words)) or question.asks in ("how", ""))


def _things(question: ParsedQuestion) -> dict[str, str]:
    """Return whose each thing is that has an owner, by its stem."""
    pairs = zip(question.tokens, question.tokens[1:], strict=False)
    return {thing.stem: _PERSONS[owner.word] for owner, thing in pairs if owner.word in _OWNERS and thing.content}


def _deeds(question: ParsedQuestion) -> frozenset[_Deed]:
    """Return what persons do to each other in a question."""
    found: list[_Deed] = []
    actor = verb = last = next_verb = ""
    tokens = question.tokens
    for n, token in enumerate(tokens):
        before = tokens[n - 1] if n and not token.opens else None
        if before is None:
            actor = verb = last = ""
        person = _PERSONS.get(token.word)
        if person is None:
            stem = token.stem if _is_verb(token) else ""
            verb, next_verb = verb or stem, next_verb or stem
            continue
        following = tokens[n + 1] if n + 1 < len(tokens) else None
        owns = token.word in _OWNERS or (token.word == "her" and following is not None and following.content)
        if not owns and _acts(token, before, following, actor):
            actor, verb, last = person, "", ""
            continue
        if person == actor:
            if owns or not last:
                continue
            actor, verb = last, next_verb  # "I lost the money | you owe me": the one before was no object
        governing = before.stem if before is not None and _is_verb(before) else verb
        preposition = before.word if before is not None and before.word in word_class("preposition") else ""
        thing = following.stem if owns and following is not None else ""
        if preposition == "by" and not owns:  # a passive
            found.append(_Deed(person, governing, "", actor, thing))
        else:
            found.append(_Deed(actor, governing, preposition, person, thing))
        if not owns:
            last, next_verb = person, ""
    return frozenset(found)


def _acts(token: Token, before: Token | None, following: Token | None, actor: str) -> bool:
    """Whether a pronoun is the subject of its clause; "you" is by its place."""
    if token.word in _SUBJECTS:
        return True
    if before is not None and before.word == "for" and following is not None and following.word == "to":
        return True  # "is it possible for you to call me"
    if token.word != "you":
        return False
    if before is None or before.word in word_class("polar") or before.word in _JOINTS:
        return True
    return not actor and before.word not in word_class("preposition")


def _is_verb(token: Token) -> bool:
    return token.content or token.word in _VERBS
