"""How strongly the wordings around a question speak for each answer.

Kernel ridge regression over the nearest wordings, solved anew for each question: a wording votes for its answer, near
wordings of one answer share their vote, and what every answer says counts for none. The likeness of two texts is a
Gaussian kernel on the encoder's vectors with a small share of character n-grams, which see names and misspellings that
the vectors blur; neither knows a language. Only the 96 nearest wordings count, so that a decision takes the same
time whatever the number of answers, and a release stores no model of its own. Measured beside cosine, centroids,
logistic regression and LDA in docs/semantic-hits.md.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from rag.identity import normalise
from rag.retrieval.vectors import Vectors

NEAREST = 96  # wordings
_CHARACTERS = 0.15  # share of the n-grams in the likeness
_SHARPNESS = 2.0  # of the Gaussian kernel: likeness exp(-2 (1 - cosine))
_RIDGE = 0.1
_LONG = 4  # characters of an n-gram
_BUCKETS = 1024
_BUCKET = np.dtype(np.uint16)


@dataclass(frozen=True)
class Wordings:
    """The wordings near a question: for each its text, its answer and its vector of length 1, nearest first."""

    texts: Sequence[str]
    answers: Sequence[str]
    vectors: Vectors


@dataclass(frozen=True)
class Evidence:
    """What speaks for the best answer: its response, the next other answer's, the closest wording of
    the best, and how many of its wordings are near.

    A response is about 1 amid the wordings of an answer and about 0 far from them.
    """

    answer: str
    first: float
    second: float
    runner_up: str | None
    wording: int
    similarity: float
    known: int

    @property
    def margin(self) -> float:
        """How much more speaks for this answer than for the next."""
        return self.first - self.second


def weigh(question: str, vector: Vectors, near: Wordings) -> Evidence | None:
    """Return the evidence for the best of the answers near a question, or None if there are no wordings."""
    if not len(near.texts):
        return None
    count = min(NEAREST, len(near.texts))
    places = {answer: place for place, answer in enumerate(dict.fromkeys(near.answers[:count]))}
    owner = np.fromiter(map(places.__getitem__, near.answers[:count]), np.intp, count)
    asked = ([*near.texts[:count], question], near.vectors[:count], vector)
    if _has_several_threads():
        with _blas().limit(limits=1, user_api="blas"):  # several wait for each other longer than one computes
            votes, cosines = _votes(*asked)
    else:
        votes, cosines = _votes(*asked)
    responses = np.bincount(owner, weights=votes, minlength=len(places))
    listed = list(places)
    order = np.argsort(-responses, kind="stable")
    best = int(order[0])
    own = np.flatnonzero(owner == best)
    closest = int(own[int(cosines[own].argmax())])
    return Evidence(
        answer=listed[best],
        first=float(responses[best]),
        second=float(responses[order[1]]) if len(order) > 1 else 0.0,
        runner_up=listed[int(order[1])] if len(order) > 1 else None,
        wording=closest,
        similarity=float(cosines[closest]),
        known=len(own),
    )


def nearest(vector: Vectors, wordings: Wordings, without: NDArray[np.bool_] | None = None) -> Wordings:
    """Return the wordings nearest to a vector, nearest first, leaving some out."""
    cosines = wordings.vectors @ vector
    if without is not None:
        cosines = np.where(without, -np.inf, cosines)
    count = min(NEAREST, len(cosines) - (int(without.sum()) if without is not None else 0))
    rows = np.argpartition(-cosines, count - 1)[:count] if 0 < count < len(cosines) else np.arange(len(cosines))[:count]
    rows = rows[np.argsort(-cosines[rows], kind="stable")]
    return Wordings([wordings.texts[i] for i in rows], [wordings.answers[i] for i in rows], wordings.vectors[rows])


def _votes(texts: Sequence[str], vectors: Vectors, vector: Vectors) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the votes of n wordings about the question, which is the last of the texts, and their cosines with it."""
    cosines = vectors @ vector
    among, with_question = _spelling(texts)
    likeness = _near(vectors @ vectors.T)
    likeness += among
    likeness.reshape(-1)[:: len(vectors) + 1] += _RIDGE
    return np.linalg.solve(likeness, _near(cosines) + with_question), cosines


def _near(cosines: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the share of the vectors in the likeness."""
    found = cosines - 1
    found *= _SHARPNESS
    np.exp(found, out=found)
    found *= 1 - _CHARACTERS
    return found


def _spelling(texts: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the share of the n-grams in the likeness of n texts among themselves, and with a further one, the last.

    It is the cosine by n-grams, of which rare ones count more.
    """
    count, found = len(texts), list(map(_buckets, texts))
    lengths = np.fromiter(map(len, found), np.intp, count) // _BUCKET.itemsize
    buckets = np.frombuffer(b"".join(found), _BUCKET).astype(np.intp)
    rows = np.repeat(np.arange(count), lengths)
    seen = np.bincount(buckets, minlength=_BUCKETS)
    rarities = _rarities(count)[seen]
    weights = rarities[buckets]
    norms = np.sqrt(np.maximum(np.bincount(rows, np.square(weights), count), 1e-18))
    shared = np.flatnonzero(seen > 1)  # the others add to the diagonal alone, which is 1
    width = len(shared) + 1
    columns = np.zeros(_BUCKETS, np.intp)  # column 0 takes the others
    columns[shared] = np.arange(1, width)
    grams = np.zeros((count, width), np.float32)
    grams.reshape(-1)[rows * width + columns[buckets]] = weights / norms[rows]
    known = grams[:, 1:]
    among: NDArray[np.float32] = known[:-1] @ known[:-1].T
    among.reshape(-1)[::count] = lengths[:-1] > 0
    among *= _CHARACTERS
    return among, known[:-1] @ known[-1] * np.float32(_CHARACTERS)


@functools.lru_cache(maxsize=2 * NEAREST)
def _rarities(texts: int) -> NDArray[np.float64]:
    """Return how much an n-gram counts that stands in 0, 1, … of so many texts."""
    return np.log((texts + 1) / (np.arange(texts + 1) + 0.5))


@functools.cache
def _has_several_threads() -> bool:
    """Whether matrix products run in several threads; asked once, since asking takes as long as a product."""
    return any(each.num_threads > 1 for each in _blas().lib_controllers if each.user_api == "blas")


@functools.cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


@functools.lru_cache(maxsize=1 << 17)
def _buckets(text: str) -> bytes:
    """Return the buckets of a text's character n-grams, as numbers of `_BUCKET`; words are marked at both ends."""
    found = set()
    for word in normalise(text).split():
        marked = f"<{word.strip('.,;:!?')}>"
        for start in range(max(1, len(marked) - _LONG + 1)):
            found.add(zlib.crc32(marked[start : start + _LONG].encode()) % _BUCKETS)
    return np.array(sorted(found), dtype=_BUCKET).tobytes()
