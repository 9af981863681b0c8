"""What the wordings around a question say, beside the same sums done plainly."""

import math
import zlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.identity import normalise
from rag.selection.evidence import Wordings, weigh

_ROOM = st.lists(st.tuples(st.text("abcé?! ", max_size=12), st.sampled_from("xyz")), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(_ROOM, st.text("abcé?! ", max_size=12), st.integers(0, 9))
def test_the_responses_are_those_of_kernel_ridge_regression(room, question, seed):
    texts, answers = [text for text, _ in room], [answer for _, answer in room]
    vectors = np.random.default_rng(seed).normal(size=(len(room) + 1, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    responses = _plainly([*texts, question], answers, vectors.astype(np.float64))

    evidence = weigh(question, vectors[-1], Wordings(texts, answers, vectors[:-1]))

    assert evidence is not None
    assert math.isclose(evidence.first, max(responses.values()), abs_tol=1e-4)
    assert math.isclose(evidence.first, responses[evidence.answer], abs_tol=1e-4)
    others = [each for answer, each in responses.items() if answer != evidence.answer]
    assert math.isclose(evidence.second, max(others, default=0.0), abs_tol=1e-4)
    assert evidence.known == answers.count(evidence.answer)


def _plainly(texts, answers, vectors):
    """Return the response of each answer to the last of the texts, step by step."""
    grams = [_grams(text) for text in texts]
    stands_in = {gram: sum(gram in each for each in grams) for each in grams for gram in each}
    rarity = {gram: math.log((len(texts) + 1) / (count + 0.5)) for gram, count in stands_in.items()}
    size = [math.sqrt(sum(rarity[gram] ** 2 for gram in each)) for each in grams]
    likeness = np.array(
        [
            [
                0.85 * math.exp(-2 * (1 - float(vectors[i] @ vectors[j])))
                + 0.15 * sum(rarity[gram] ** 2 for gram in grams[i] & grams[j]) / max(size[i] * size[j], 1e-18)
                for j in range(len(texts))
            ]
            for i in range(len(texts))
        ]
    )
    votes = np.linalg.solve(likeness[:-1, :-1] + 0.1 * np.eye(len(answers)), likeness[:-1, -1])
    return {each: sum(vote for vote, answer in zip(votes, answers, strict=True) if answer == each) for each in answers}


def _grams(text):
    marked = [f"<{word.strip('.,;:!?')}>" for word in normalise(text).split()]
    return {zlib.crc32(word[n : n + 4].encode()) % 1024 for word in marked for n in range(max(1, len(word) - 3))}
