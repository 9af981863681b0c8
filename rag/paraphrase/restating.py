"""Do several wordings of an answer say the same in the same words?

Beside "How do I renew a visa?", "Please tell me: how do I renew a visa?" teaches nothing: neither says in which other
words the answer may be asked for, nor which words matter. Such an answer is known by one wording: a matter of pairs.
"""

from __future__ import annotations

import functools

from rag.paraphrase.everyday import everyday_form
from rag.paraphrase.question_parser import parse

_TELLING = 3  # content words; a text that repeats so many may say anything beside them


@functools.lru_cache(maxsize=16384)
def restated(wordings: tuple[str, ...]) -> bool:
    """Whether all wordings repeat the content words of the one that has the fewest; few of those, and no others."""
    contents = [_content(each) for each in wordings]
    core = min(contents, key=len)
    return all(core == each or (core < each and len(core) >= _TELLING) for each in contents)


@functools.lru_cache(maxsize=65536)
def _content(wording: str) -> frozenset[str]:
    return frozenset(token.stem for token in parse(everyday_form(wording)).content)
