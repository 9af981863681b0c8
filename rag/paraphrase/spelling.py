"""British spellings in their American form, by rule: "organise a catalogue" is "organize a catalog".

For comparing alone; nothing is shown. A rule applies only where its result is an English word and no other word than
the one written ("hour", "tour" and "timbre" stay), so that a list of exceptions can be short.
"""

from __future__ import annotations

import functools
import re

from rag.paraphrase.lexicon import english_words

_RULES = tuple(
    (re.compile(form), to)
    for form, to in (
        (r"(?<=\w{3})is(e[srd]?|ing|ations?|able)$", r"iz\1"),
        (r"ys(e[rd]?|ing)$", r"yz\1"),
        (r"our(s|ed|ing|able|ite|ites|ful|al|less|hoods?)?$", r"or\1"),
        (r"(?<=[bct])re(s|d)?$", r"er\1"),
        (r"ogue(s?)$", r"og\1"),
        (r"(?<=[fn])ence(s?)$", r"ense\1"),
        (r"amme(s|d)?$", r"am\1"),
        (r"(?<=\w{2}[aeiou]l)l(ed|ing|ers?|ors?)$", r"\1"),
        (r"ae(?=\w)|^oe(?=[sd])|(?<=f)oe(?=t)|(?<=rh)oe(?=a)|(?<=am)oe(?=b)", "e"),
    )
)
_NAMED = {
    "cheque": "check", "cheques": "checks", "licence": "license", "licences": "licenses", "practise": "practice",
    "grey": "gray", "tyre": "tire", "tyres": "tires", "kerb": "curb", "pyjamas": "pajamas", "jewellery": "jewelry",
    "aluminium": "aluminum", "plough": "plow", "mould": "mold", "moustache": "mustache", "sceptical": "skeptical",
    "sulphur": "sulfur", "instalment": "installment", "instalments": "installments", "enrol": "enroll",
    "enrols": "enrolls", "enrolment": "enrollment", "enrolments": "enrollments", "fulfil": "fulfill",
    "fulfils": "fulfills", "fulfilment": "fulfillment", "skilful": "skillful", "ageing": "aging",
    "judgement": "judgment", "acknowledgement": "acknowledgment", "cosy": "cozy", "manoeuvre": "maneuver",
    "manoeuvres": "maneuvers",
}  # fmt: skip
_OTHER_WORDS = frozenset(
    "timbre timbres poured pouring scoured scouring tours touring daemon daemons aerial refilled refilling michael "
    "walled walling willed willing palled palling milled miller filled filling billed billing stalled stalling".split()
)
_SHORTEST = 5  # letters


@functools.lru_cache(maxsize=16384)
def american(word: str) -> str:
    """Return a word in lower case as Americans spell it, or as it is."""
    if word in _NAMED:
        return _NAMED[word]
    if len(word) < _SHORTEST or word in _OTHER_WORDS:
        return word
    for form, to in _RULES:
        found = form.sub(to, word)
        if found != word and found in english_words():
            return found
    return word
