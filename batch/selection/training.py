"""Certifies answer selection for a collection, from its own wordings and the shipped selector.

Each wording is asked twice: left out of its answer, which it then wants, and with its whole answer left out, when it
wants none. Only a fifth of the latter counts, as a stand-in for the share of visitors who ask something else; outside
texts all count, and fences where they would get an answer that they must not get. No question of a visitor is needed,
and no labelled pair.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from rag.identity import stable_hash
from rag.retrieval.vectors import Vectors
from rag.selection.certificate import LeftOut, SelectionCertificate, certify, checked, estimated, looser
from rag.selection.evidence import Wordings, nearest, weigh
from rag.selection.selector import Selector, Weights, final_objection, is_restated
from rag.selection.shipped import ShippedSelector

TOLERATED_ERRORS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2)
_OUTSIDE_SHARE = 5  # one in five whole answers left out
_MOST = 4000  # wordings asked; a decision takes a millisecond
_FEWEST = 2  # answers with several wordings


def train_selector(
    wordings: Wordings,
    fences: Wordings,
    outside: tuple[Sequence[str], Vectors],
    tolerated_errors: Sequence[float] = TOLERATED_ERRORS,
    shipped: Selector | None = None,
    guarded: bool = True,
    judged: Collection[str] = (),
) -> Selector | None:
    """Return the selector of a collection, or None if fewer than two of its answers have several wordings.

    `fences` are questions with an answer that they must not get, `outside` questions that want no answer of the
    collection: texts and vectors of length 1. `judged` are the texts that a language model ruled about. One that is
    not `guarded` works without guards and is certified without them, on its own wordings alone, since the shipped
    thresholds were certified with guards.
    """
    counts = Counter(wordings.answers)
    several = [count for count in counts.values() if count > 1]
    if len(several) < _FEWEST:
        return None
    base = shipped or ShippedSelector.load().selector(statistics.median(several))
    rows = leave_out(base.weights, wordings, fences, outside, guarded, judged)
    certificates = []
    for tolerated in sorted({*tolerated_errors, *TOLERATED_ERRORS} - {0.0}):
        own, general = certify(rows, tolerated), base.certificate(tolerated) if guarded else None
        certificates.append(looser(own, looser(checked(rows, general), estimated(rows, tolerated))) if general else own)
    return Selector(base.weights, tuple(certificates), guarded)


def leave_out(
    weights: Weights,
    wordings: Wordings,
    fences: Wordings,
    outside: tuple[Sequence[str], Vectors],
    guarded: bool = True,
    judged: Collection[str] = (),
) -> list[LeftOut]:
    """Ask each wording without itself, and a fifth without their answers; then the outside texts and the fences."""
    owners = np.array(wordings.answers)
    single = frozenset(answer for answer, count in Counter(wordings.answers).items() if count == 1)
    asked = _sample(wordings.texts)
    found = []
    for row in asked:
        text, vector, owner = wordings.texts[row], wordings.vectors[row], wordings.answers[row]
        if owner not in single:
            itself = np.arange(len(owners)) == row
            found.append(ask(weights, text, vector, nearest(vector, wordings, itself), owner, single, guarded))
        if int(stable_hash("outside", text), 16) % _OUTSIDE_SHARE == 0:
            found.append(ask(weights, text, vector, nearest(vector, wordings, owners == owner), "", single, guarded))
    for text, vector in zip(*outside, strict=True):
        found.append(ask(weights, text, vector, nearest(vector, wordings), "", single, guarded))
    barred: dict[str, set[str]] = {}
    for text, answer in zip(fences.texts, fences.answers, strict=True):
        barred.setdefault(text, set()).add(answer)
    for text, vector in dict(zip(fences.texts, fences.vectors, strict=True)).items():
        got = ask(weights, text, vector, nearest(vector, wordings), "", single, guarded)
        # whether it wants another answer is not known
        found.append(got if got.chosen in barred[text] else LeftOut(text, "", "", -np.inf))
    ruled = frozenset(judged)
    return [replace(each, judged=True) if each.text in ruled else each for each in found]


def ask(
    weights: Weights,
    text: str,
    vector: Vectors,
    near: Wordings,
    wanted: str,
    single: frozenset[str] = frozenset(),
    guarded: bool = True,
) -> LeftOut:
    """Return what the selector would choose for a text; minus infinity for what it may not choose."""
    evidence = weigh(text, vector, near)
    if evidence is None or evidence.answer in single or is_restated(near, evidence.answer):
        return LeftOut(text, wanted, "", -np.inf)
    refused = guarded and final_objection(text, near, evidence) is not None
    return LeftOut(text, wanted, evidence.answer, -np.inf if refused else weights.score(evidence))


def _sample(texts: Sequence[str]) -> list[int]:
    """Return the rows of at most 4,000 texts, the same ones for the same texts."""
    rows = sorted(range(len(texts)), key=lambda row: stable_hash("sample", texts[row]))[:_MOST]
    return sorted(rows)


def recomputed(
    stored: Selector,
    wordings: Wordings,
    fences: Wordings,
    outside: tuple[Sequence[str], Vectors],
    judged: Collection[str] = (),
    shipped: Selector | None = None,
) -> list[tuple[SelectionCertificate, SelectionCertificate | None]]:
    """Derive each certificate of a stored selector again from its wordings: (stored, recomputed)."""
    errors = [each.tolerated_error for each in stored.certificates]
    again = train_selector(wordings, fences, outside, errors, shipped, stored.guarded, judged)
    found = {each.tolerated_error: each for each in again.certificates} if again else {}
    return [(each, found.get(each.tolerated_error)) for each in stored.certificates]
