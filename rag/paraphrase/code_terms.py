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
)
_MARKED = re.compile(r"[`/(_.-]|[a-z\d][A-Z]")  # a word of code has one of these
_NO_CODE = frozenset("e.g i.e a.m p.m u.s u.k u.s.a iPhone iPad iOS iMac iCloud eBay macOS".split())
_USES = frozenset("use call import function method class module return argument parameter keyword command".split())
_USE_STEMS = frozenset(map(stem, _USES))


@functools.lru_cache(maxsize=65536)
def code_terms(question: str) -> frozenset[str]:
    """Return the words of code in a question, as written, without code marks and brackets."""
    if not _MARKED.search(question):
        return frozenset()
    found = (next(filter(None, match.groups())) for match in _CODE.finditer(question))
    return frozenset(term for each in found if (term := each.strip().rstrip("().,:;?!")) and term not in _NO_CODE)


def code_differs(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    """Whether a word of code in one question does not stand in the other, letter for letter."""
    one, other = first.written, second.written
    return (
        _lacks(one, code_terms(other)) or _lacks(other, code_terms(one)) or _names_inflected(first, second, alignment)
    )


def _lacks(question: str, terms: frozenset[str]) -> bool:
    return any(
        not re.search(rf"(?<![\w/-]){re.escape(each)}(?![\w/])", question, re.IGNORECASE if "." in each else 0)
        for each in terms
    )


def _names_inflected(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    """Whether questions about using or calling something differ in a participle: "use sort", "use sorted"."""
    if not any(token.stem in _USE_STEMS for token in first.tokens):
        return False
    pairs = ((first.content[i].word, second.content[j].word) for i, j in alignment.pairs)
    return any(longer in (word + "ed", word + "d") for a, b in pairs for word, longer in (sorted((a, b), key=len),))
