"""Decides which prepared answer a question wants, or none.

An answer with several wordings is chosen by what all wordings around the question say (`rag.selection.evidence`), at
a certified threshold (`rag.selection.certificate`); a guard that sees another number, negation, name or role than in
the closest wording is final (`rag.paraphrase.guards`). An answer with a single wording, or with several that say the
same in the same words, is a matter of pairs, and the verifier decides it (`rag.paraphrase.verifier`).
"""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from rag.errors import ModelError
from rag.paraphrase.alignment import align
from rag.paraphrase.calibration import applying, stricter_error, threshold_for
from rag.paraphrase.conditions import adds_a_condition, adds_a_phrase
from rag.paraphrase.deeds import does_another_thing, is_about_another_thing
from rag.paraphrase.guards import objection, objections
from rag.paraphrase.question_parser import parse
from rag.paraphrase.restating import restated
from rag.paraphrase.verifier import Candidate, Decision, Verifier
from rag.retrieval.vectors import Vectors
from rag.selection.certificate import SelectionCertificate
from rag.selection.evidence import Evidence, Wordings, weigh

FORMAT = 2  # raised whenever the evidence changes: a certificate is valid only for what it was calibrated with
_JUDGED = 4  # single wordings that the verifier looks at
_JUDGED_SIMILARITY = 0.5  # from here on
_GUARDED = 3  # wordings of the best answer that the guards look at
_COMPARED = 5  # of its wordings among themselves, where a guard refuses it
_LOOKALIKE = 3  # words left over on both sides; a look-alike has no more
_FEW = 4  # wordings; an answer with so few must be asked for in nearly the same words, or in quite other ones
# Guards that read meaning off one pair; "content_differs" only asks for nearly the same words.
FINAL_GUARDS = frozenset(
    "numbers_differ units_differ dates_differ negation_differs antonyms names_differ roles_swapped directions_differ "
    "quantifiers_differ asks_differ tense_differs modality_differs".split()
)
_FINAL_ALONE = FINAL_GUARDS - {"roles_swapped"}  # beside the closest wording alone


@dataclass(frozen=True)
class Weights:
    """The logistic model on the responses of the best and the next answer, and on the best one's number of wordings."""

    bias: float
    first: float
    second: float
    known: float

    def score(self, evidence: Evidence) -> float:
        """Return how sure it is that the question wants the best answer, from 0 to 1."""
        logit = self.bias + self.first * evidence.first + self.second * evidence.second
        logit += self.known * math.log(evidence.known)
        return float(1 / (1 + math.exp(-max(-500.0, min(500.0, logit)))))


@dataclass(frozen=True)
class Selection:
    """The chosen answer, or why there is none.

    `reason` is "accepted", "accepted_pair" (by the verifier), "no_candidates", "below_threshold", "not_certified" or
    the label of a guard. `wording` is the text of the closest wording of the best answer.
    """

    answer: str | None
    score: float
    threshold: float
    reason: str
    wording: str | None = None
    runner_up: str | None = None
    evidence: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Selector:
    """The weights and thresholds of a collection; `guarded` says whether the guards were part of its calibration."""

    weights: Weights
    certificates: tuple[SelectionCertificate, ...]
    guarded: bool = True

    def certificate(self, tolerated_error: float) -> SelectionCertificate | None:
        """Return the certificate of the largest certified error that is tolerated, or None."""
        return applying(self.certificates, tolerated_error)

    def threshold(self, tolerated_error: float) -> float:
        """Return the threshold for a tolerated error, infinity if none is certified."""
        return threshold_for(self.certificates, tolerated_error)

    def stricter(self, tolerated_error: float) -> float | None:
        """Return the next smaller tolerated error that has a higher certified threshold, or None."""
        return stricter_error(self.certificates, tolerated_error)

    def save(self, path: Path) -> None:
        """Write the selector as one JSON file."""
        path.write_text(msgspec.json.encode({"format": FORMAT, **_fields(self)}).decode() + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Selector:
        """Load a selector.

        Raises:
            ModelError: the file is missing, corrupt, or from another version of the selector.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["format"] != FORMAT:
                raise ModelError(f"{path}: was made by another version of the selector; build the release again")
            return cls(
                Weights(**found["weights"]),
                tuple(SelectionCertificate(**each) for each in found["certificates"]),
                bool(found["guarded"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: can't be read as a selector ({error}); build the release again") from error


def _fields(selector: Selector) -> dict[str, object]:
    certificates = [each.as_json() for each in selector.certificates]
    return {"weights": selector.weights, "guarded": selector.guarded, "certificates": certificates}


def select(
    selector: Selector,
    verifier: Verifier,
    question: str,
    vector: Vectors,
    near: Wordings,
    tolerated_error: float,
    single: frozenset[str] | None = None,
) -> Selection:
    """Choose among the answers of the wordings near a question (nearest first).

    `single` names the answers that have one wording only; None takes those that are `near` only once.
    """
    if single is None:
        single = frozenset(answer for answer, count in Counter(near.answers).items() if count == 1)

    texts = _texts(near)

    @functools.cache
    def is_pair(answer: str) -> bool:  # asked of few answers; of all of them it would take longer than weighing
        return answer in single or _restate(texts[answer])

    found = _among_wordings(selector, question, vector, near, tolerated_error, is_pair)
    if found.answer is not None:
        return found
    return _by_pair(verifier, question, vector, near, tolerated_error, is_pair) or found


def is_restated(near: Wordings, answer: str) -> bool:
    """Whether the wordings of an answer near a question all say the same in the same words; the verifier decides."""
    return _restate(_texts(near)[answer])


def _texts(near: Wordings) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text, answer in zip(near.texts, near.answers, strict=True):
        found.setdefault(answer, []).append(text)
    return found


def _restate(wordings: Sequence[str]) -> bool:
    return len(wordings) > 1 and restated(tuple(sorted(wordings)))  # in one order, as it is remembered


def _among_wordings(
    selector: Selector,
    question: str,
    vector: Vectors,
    near: Wordings,
    tolerated_error: float,
    is_pair: Callable[[str], bool],
) -> Selection:
    threshold = selector.threshold(tolerated_error)
    if all(map(is_pair, near.answers)):  # nothing to choose among; weighing takes longer than all else
        return Selection(None, 0.0, threshold, "below_threshold" if near.texts else "no_candidates")
    evidence = weigh(question, vector, near)
    if evidence is None:
        return Selection(None, 0.0, threshold, "no_candidates")
    score = selector.weights.score(evidence)
    wording = near.texts[evidence.wording]
    if math.isinf(threshold):
        reason = "not_certified"
    elif score < threshold or is_pair(evidence.answer):
        reason = "below_threshold"
    else:
        reason = (selector.guarded and final_objection(question, near, evidence)) or "accepted"
    return Selection(
        evidence.answer if reason == "accepted" else None, score, threshold, reason, wording, evidence.runner_up,
        {"first": evidence.first, "second": evidence.second, "margin": evidence.margin, "cosine": evidence.similarity},
    )  # fmt: skip


def _by_pair(
    verifier: Verifier,
    question: str,
    vector: Vectors,
    near: Wordings,
    tolerated_error: float,
    is_pair: Callable[[str], bool],
) -> Selection | None:
    pairs = _pairs(vector, near, is_pair)

    decided: dict[int, Decision] = {}
    best: Decision | None = None
    for place, each in enumerate(pairs):
        if best is not None and best.score >= 1 and each.query_key != best.query_key:
            continue  # no other can be better
        if not verifier.may_accept(question, each):
            continue
        decision = decided[place] = verifier.decide_pair(question, each, tolerated_error)
        if decision.accepted and (best is None or decision.score > best.score):
            best = decision
    if best is None:
        return None
    same = [place for place, each in enumerate(pairs) if each.query_key == best.query_key]
    for place in same:
        decision = decided.get(place) or verifier.decide_pair(question, pairs[place], tolerated_error)
        if decision.reason in FINAL_GUARDS:
            return None  # what a guard sees beside one restatement holds for all
    return Selection(best.query_key, best.score, best.threshold, "accepted_pair", pairs[same[0]].question)


def _pairs(vector: Vectors, near: Wordings, is_pair: Callable[[str], bool]) -> list[Candidate]:
    """Return the nearest wordings that the verifier decides about."""
    found: list[Candidate] = []
    cosines = near.vectors @ vector if near.texts else np.zeros(0)
    for text, answer, cosine in zip(near.texts, near.answers, cosines.tolist(), strict=True):
        if len(found) == _JUDGED or cosine < _JUDGED_SIMILARITY:  # nearest first
            break
        if is_pair(answer):
            found.append(Candidate(text, answer, cosine))
    return found


def final_objection(question: str, near: Wordings, evidence: Evidence) -> str | None:
    """Return the guard that refuses the best answer, or None.

    One of pairs, or the question asks to do what no wording of the answer does, or adds a condition.
    """
    wordings = [text for text, answer in zip(near.texts, near.answers, strict=True) if answer == evidence.answer]
    if found := _objection_to_closest(question, wordings, evidence):
        return found
    asked = parse(question)
    other = adds_a_condition(question, wordings) or any(differs(asked, wordings) for differs in _DIFFERENCES)
    return "content_differs" if other else None


_DIFFERENCES = (does_another_thing, is_about_another_thing, adds_a_phrase)


def _objection_to_closest(question: str, wordings: Sequence[str], evidence: Evidence) -> str | None:
    """Return the guard that refuses the closest wordings of the best answer, or None.

    A guard on one wording alone is right only where hardly a word is left over: the wordings of an answer name other
    amounts and places too. Otherwise all of the three closest wordings have to be refused. A guard that parts the
    answer's own wordings has no say. Where an answer has few wordings, hardly a word left over is one too many for any
    guard.
    """
    few = evidence.known <= _FEW
    first = parse(question)
    labels: list[str] = []
    for wording in wordings[:_GUARDED]:
        second = parse(wording)
        alignment = align(first, second)
        left_over = len(alignment.left) + len(alignment.right)
        if not labels and left_over > _LOOKALIKE:
            return None
        found = objection(first, second, alignment, evidence.similarity)
        if few and not labels and left_over < _LOOKALIKE:
            return found
        if found and not labels and left_over < _LOOKALIKE:
            alone = (each for each in objections(first, second, alignment) if each in _FINAL_ALONE)
            if told := next((each for each in alone if not _parts(wordings[:_COMPARED], each)), None):
                return told
        if found not in FINAL_GUARDS:
            return None
        labels.append(found)
    if not labels or (not few and _parts(wordings[:_COMPARED], labels[0])):
        return None
    return labels[0]


def _parts(wordings: Sequence[str], label: str) -> bool:
    """Whether a guard refuses one of an answer's wordings beside another; then it says nothing about that answer."""
    parsed = [parse(each) for each in wordings]
    return any(
        label in objections(first, second, align(first, second)) for first, second in itertools.combinations(parsed, 2)
    )
