"""Measures retrieval (recall@k, MRR) and answers (exact match, F1).

Exact match and F1 compare as SQuAD does (arXiv 1606.05250): in lower case, without punctuation, articles and extra
white space, and against the best of several references. They reward the same words, not the same meaning: good for
regressions on one set of questions, weak for comparing models of different verbosity.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb, fsum, sqrt

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)

_Z = 1.959964  # of a normal distribution, for 95 %


@dataclass(frozen=True)
class Summary:
    """Means over `questions` judged questions."""

    questions: int
    means: Mapping[str, float]


def recall_at(k: int, ranked: Sequence[str], relevant: Collection[str]) -> float:
    """Return the share of the relevant ids that are among the first `k`.

    Raises:
        ValueError: nothing is relevant; leave such a question out.
    """
    wanted = set(relevant)
    if not wanted:
        raise ValueError("recall needs at least one relevant id")
    return len(wanted.intersection(ranked[:k])) / len(wanted)


def reciprocal_rank(ranked: Sequence[str], relevant: Collection[str]) -> float:
    """Return 1 / rank of the first relevant id, ranks starting at 1; 0 where there is none."""
    return next((1 / rank for rank, item in enumerate(ranked, start=1) if item in relevant), 0.0)


def normalise_answer(text: str) -> str:
    """Normalise an answer as SQuAD does before comparing."""
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(answer: str, references: Iterable[str]) -> float:
    """Return 1 if the answer equals a reference after normalisation, otherwise 0."""
    return float(normalise_answer(answer) in {normalise_answer(reference) for reference in references})


def token_f1(answer: str, references: Iterable[str]) -> float:
    """Return the F1 of the answer's words against the best reference; 0 without references."""
    words = normalise_answer(answer).split()
    return max((_f1(words, normalise_answer(reference).split()) for reference in references), default=0.0)


def judge_retrieval(
    ranked: Mapping[str, Sequence[str]], relevant: Mapping[str, Collection[str]], ks: Sequence[int]
) -> Summary:
    """Average recall@k and MRR over the questions that have relevant ids; one without results counts as 0."""
    rows = [
        {f"recall@{k}": recall_at(k, ranked.get(question, ()), wanted) for k in ks}
        | {"mrr": reciprocal_rank(ranked.get(question, ()), wanted)}
        for question, wanted in relevant.items()
        if wanted
    ]
    return summarise(rows)


def judge_answers(answers: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> Summary:
    """Average exact match and F1 over the questions that have references; a missing answer counts as 0."""
    rows = [
        {"exact_match": exact_match(answers[question], wanted), "f1": token_f1(answers[question], wanted)}
        if question in answers
        else {"exact_match": 0.0, "f1": 0.0}
        for question, wanted in references.items()
        if wanted
    ]
    return summarise(rows)


def summarise(rows: Sequence[Mapping[str, float]]) -> Summary:
    """Average measures over questions, each with the same weight."""
    names = rows[0].keys() if rows else ()
    return Summary(len(rows), {name: fsum(row[name] for row in rows) / len(rows) for name in names})


def _f1(words: Sequence[str], reference: Sequence[str]) -> float:
    if not words or not reference:
        return float(words == reference)
    common = (Counter(words) & Counter(reference)).total()
    return 2 * common / (len(words) + len(reference))


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson's score), which stays sensible for few trials and near 0 and 1.

    Raises:
        ValueError: there are no trials.
    """
    if trials < 1:
        raise ValueError("an interval needs at least one trial")
    share, spread = successes / trials, _Z * _Z / trials
    middle = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * sqrt(share * (1 - share) / trials + spread / (4 * trials))
    return max(0.0, middle - half), min(1.0, middle + half)


def sign_test(successes: int, trials: int) -> float:
    """Return how probable a result as uneven as this one is if both sides are equally good (two-sided, exact)."""
    uneven = max(successes, trials - successes)
    tail = sum(comb(trials, each) for each in range(uneven, trials + 1)) / float(2**trials)
    return min(1.0, 2 * tail)
