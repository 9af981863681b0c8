"""Do two answers contradict each other? Cosine can't tell.

"Gift cards can be exchanged for cash" and "… cannot be exchanged …" have a cosine of 0.82, "above 8 degrees" and "below
8 degrees" one of 1.00. The guards for questions see the difference, but answers are longer, so they run clause by
clause, on clauses about the same thing: those that share at least 60 % of the shorter one's content words. Omitting
something contradicts nothing. It misses swapped roles ("members pay, guests don't") and short clauses that share only
their subject; the word lists are English. Figures are in docs/semantic-hits.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag.paraphrase.alignment import align
from rag.paraphrase.guards import contradiction
from rag.paraphrase.lexicon import are_opposites, word_class
from rag.paraphrase.parsed_question import Alignment, ParsedQuestion
from rag.paraphrase.question_parser import parse
from rag.text.sentences import sentences

_REFERENCES = re.compile(r"\s*\[\d+(?:\s*,\s*\d+)*\]")
_VERDICT = re.compile(r"(yes|no)\b[,.:;!]\s*", re.IGNORECASE)
_CLAUSE = re.compile(r"[,;:]\s+|\s+(?:but|so|because|since)\s+")
_OPPOSED = ("negation_differs", "antonyms")
_ADDED = 1  # content words by which a clause that denies another may say more
_ABOUT_THE_SAME = 0.6  # share of the shorter clause's content words found in the other


def contradict(one: str, other: str) -> str | None:
    """Return why two answers can't both be right, as a short label, or None if no contradiction is found."""
    ours, theirs = _REFERENCES.sub("", one).strip(), _REFERENCES.sub("", other).strip()
    verdicts = {match[1].lower() for text in (ours, theirs) if (match := _VERDICT.match(text))}
    if len(verdicts) == 2:
        return "negation_differs"
    candidates = _clauses(theirs)
    found = (_contradicted(clause, candidates) for clause in _clauses(ours))
    return next((reason for reason in found if reason is not None), None)


def denied(statement: str, others: Sequence[str]) -> bool:
    """Whether the sentences nearest to a statement all say the opposite, by a negation or an antonym.

    Only clauses about the same count: "no refund after 30 days" denies no refund, but "refunds up to 40 euros" denies
    that there is none.
    """
    candidates = [clause for other in others for clause in _clauses(other)]
    return any(_is_denied(clause, candidates) for clause in _clauses(_REFERENCES.sub("", statement)))


def _is_denied(clause: ParsedQuestion, candidates: list[ParsedQuestion]) -> bool:
    near = [(each, found) for each in candidates if _is_comparable(clause, each, found := align(clause, each))]
    return bool(near) and all(contradiction(clause, *each) in _OPPOSED for each in near)


def _is_comparable(clause: ParsedQuestion, other: ParsedQuestion, alignment: Alignment) -> bool:
    """Whether a clause says nothing beyond another, apart from negations and one antonym.

    The other may say more if it is the one without a negation, otherwise by one word at most.
    """
    left, right = (
        [token.word for token in side if token.word not in word_class("negation")]
        for side in (alignment.left, alignment.right)
    )
    opposed = len(left) == len(right) == 1 and are_opposites(left[0], right[0])
    says_more = len(right) > _ADDED and clause.negations <= other.negations
    return bool(alignment.pairs) and (opposed or (not left and not says_more))


def _clauses(text: str) -> list[ParsedQuestion]:
    without_verdict = _VERDICT.sub("", text, count=1)
    return [parse(clause) for each in sentences(without_verdict) for clause in _CLAUSE.split(each) if clause]


def _contradicted(clause: ParsedQuestion, candidates: list[ParsedQuestion]) -> str | None:
    """Return why a clause contradicts the nearest candidates, or None; the others are about something else."""
    aligned = [(each, align(clause, each)) for each in candidates]
    shares = [_shared(clause, each, alignment) for each, alignment in aligned]
    nearest = max(shares, default=0.0)
    if nearest < _ABOUT_THE_SAME:
        return None
    near = [each for each, share in zip(aligned, shares, strict=True) if share == nearest]
    return next((reason for each in near if (reason := contradiction(clause, *each)) is not None), None)


def _shared(one: ParsedQuestion, other: ParsedQuestion, alignment: Alignment) -> float:
    return len(alignment.pairs) / max(1, min(len(one.content), len(other.content)))
