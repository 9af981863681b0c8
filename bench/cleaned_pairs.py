"""A cleaned set of labelled pairs, by rules that look at wording and labels only, never at a vector or a score.

The raw labels of the pairs we develop on can't show an error of 1 or 2 %: identical questions are judged
different, questions about other numbers the same. Four kinds of pair are dropped, whatever a method says:
1. both questions are the same after normalisation: an exact hit, there is nothing to decide;
2. judged different, but a chain of pairs judged the same leads from one to the other;
3. judged different, but each content word has its counterpart (an inflection or a listed synonym), and
   numbers, negations, roles and what is asked for are equal;
4. judged the same, but numbers, names of one kind or negations differ.
Rules 3 and 4 share their reading of a question with our guards, so they favour our verifier somewhat; a
cosine gains from rules 2 and 3 as well.
"""

from __future__ import annotations

from batch.verifier.labelled_pairs import LabelledPair
from rag.identity import normalise
from rag.paraphrase.alignment import align
from rag.paraphrase.calibration import connected_groups
from rag.paraphrase.guards import objection
from rag.paraphrase.question_parser import parse

_FACTS = ("numbers_differ", "units_differ", "dates_differ", "negation_differs", "names_differ")


def cleaned(pairs: list[LabelledPair]) -> list[LabelledPair]:
    """Drop the pairs whose label contradicts their own wording or other labels."""
    same = [pair for pair in pairs if pair.same]
    groups = connected_groups((pair.first, pair.second) for pair in same)
    group = {text: g for pair, g in zip(same, groups, strict=True) for text in (pair.first, pair.second)}
    return [pair for pair in pairs if not _contradictory(pair, group)]


def _contradictory(pair: LabelledPair, group: dict[str, int]) -> bool:
    if normalise(pair.first) == normalise(pair.second):
        return True
    first, second = parse(pair.first), parse(pair.second)
    alignment = align(first, second)
    reason = objection(first, second, alignment, 1.0)
    if pair.same:
        return reason in _FACTS
    chained = pair.first in group and group[pair.first] == group.get(pair.second)
    return chained or (reason is None and not alignment.left and not alignment.right)
