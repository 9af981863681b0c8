"""Words of code, compared to the letter: `sort` is not `sorted`, /user is not /users, getItem is not getItems.

A word is one of code if it is in code marks, or written as no word of prose is: with an underscore, a capital inside, a
call's brackets, a slash before it, a flag's dashes, or a point inside. In a question about using or calling something,
a participle is another name ("use sorted").
"""

from __future__ import annotations

import functools
import re

from rag.paraphrase.lexicon import stem
from rag.paraphrase.parsed_question import Alignment, ParsedQuestion

_CODE = re.compile(
    r"`([^`]+)`"  # in code marks
    r"|((?<![\w/])/\w[\w/{}.-]*)"  # a path
    r"|((?<![\w-])(?:--[A-Za-z][\w-]*|-[A-Za-z]\b))"  # a flag
    r"|(\b[A-Za-z_]\w*\(\))"  # a call
    r"|(\b\w*[a-z\d]_\w+|\b_+\w+)"  # an underscore
    r"|(\b[a-z]+[a-z\d]*[A-Z]\w*)"  # a capital inside
    r"|(\b[a-z_]\w*(?:\.[a-z_]\w*)+)"  # a dotted name
    r"|((?<![\w/~])~/[\w/.-]*|(?<!\S)(?:\.|::?|\*\*?)[a-z][a-z_-]+(?![\w*]))"  # a sign before the name
    r"|((?<!\w)\$(?:\{\w+\}|[A-Za-z_]\w*)|(?<!\S)(?:\+\+|--)\w+|(?<!\S)\+[a-z]\b)"  # a variable, an operator before it
    r"|((?<!\S)(?:(?![.!-]+\s)[=<>!&|+*/%^~?:@$#.\\-]{2,4}|\(\)|\[\]|\{\}|[|\\])(?=\s+\S))"  # an operator
)
# each word of code has one of these
_MARKED = re.compile(r"[`/(_.~:*$+=<>&|%^@#\\\[{-]|[?!]{2}|[a-z\d][A-Z]")
_NO_CODE = frozenset(".net .com e.g i.e a.m p.m u.s u.k u.s.a iPhone iPad iOS iMac iCloud eBay macOS".split())
_USES = frozenset("use call import function method class module return argument parameter keyword command".split())
_USE_STEMS = frozenset(map(stem, _USES))


@functools.lru_cache(maxsize=65536)
def code_terms(question: str) -> frozenset[str]:
    """Return the words of code in a question, as written, without code marks and brackets."""
    if not _MARKED.search(question):
        return frozenset()
    found = (next(filter(None, match.groups())) for match in _CODE.finditer(question))
    return frozenset(term for each in found if (term := _bare(each.strip())) and term not in _NO_CODE)


def _bare(term: str) -> str:
    return term.rstrip("().,:;?!") if any(map(str.isalnum, term)) else term


def code_differs(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    """Whether a word of code in one question does not stand in the other, letter for letter."""
    one, other = first.written, second.written
    return (
        _lacks(one, code_terms(other)) or _lacks(other, code_terms(one)) or _names_inflected(first, second, alignment)
    )


def _lacks(question: str, terms: frozenset[str]) -> bool:
    return any(not _holds(question, each) for each in terms)


def _holds(question: str, term: str) -> bool:
    if not any(map(str.isalnum, term)):
        return term in question.split()
    pattern = rf"(?<![\w/:.@#$*+~-]){re.escape(term)}(?![\w/])"
    return re.search(pattern, question, re.IGNORECASE if "." in term else 0) is not None


def _names_inflected(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    """Whether a name of code is inflected: "use sort", "use sorted"; "what does sort do", "what does sorted do"."""
    if any(token.stem in _USE_STEMS for token in first.tokens):
        pairs = ((first.content[i].word, second.content[j].word) for i, j in alignment.pairs)
        if any(_participle(word, longer) for a, b in pairs for word, longer in (sorted((a, b), key=len),)):
            return True
    one, other = _named(first), _named(second)
    return (
        one != other
        and bool(one and other)
        and any((first.content[i].word, second.content[j].word) == (one, other) for i, j in alignment.pairs)
    )


def _participle(word: str, longer: str) -> bool:
    return longer in (word + "ed", word + "d")


def _named(question: ParsedQuestion) -> str:
    """Return the word without an article that a question asks about: "what does sort do"."""
    words = question.words
    return words[2] if words[:2] == ("what", "does") and words[3:4] and words[3] in _DOES else ""


_DOES = frozenset("do return mean print take accept give".split())
