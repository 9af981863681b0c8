import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.retrieval.fusion_learning import DEPTHS, Sought, learn
from rag.retrieval.fusion import FusionWeights

CONFIGURED = FusionWeights()
CHUNKS = [f"chunk-{number:02}" for number in range(12)]


def ranking(first, *, other=()):
    """The ids with their scores: `first`, then others."""
    order = [first, *(each for each in [*other, *CHUNKS] if each != first)]
    return [(each, 1.0 / place) for place, each in enumerate(dict.fromkeys(order), start=1)]


def right_for(half, number):
    """A question whose right chunk comes first in one half, and behind all others in the other and in the late one."""
    right, wrong = CHUNKS[number % 6], CHUNKS[number % 6 + 6]
    good, bad = ranking(right), [each for each in ranking(wrong) if each[0] != right]
    late = {name: 0.9 if name == wrong else 0.1 if name == right else 0.5 for name in CHUNKS}
    dense, lexical = (good, bad) if half == "dense" else (bad, good)
    return Sought(dense, lexical, late, frozenset([right]))


def test_few_questions_change_nothing():
    found = learn([right_for("lexical", number) for number in range(11)], CONFIGURED, 60, "golden", 0)

    assert found.weights == CONFIGURED
    assert "12 questions" in found.reason


def test_a_collection_whose_questions_are_found_by_their_words_gets_the_lexical_ranking():
    found = learn([right_for("lexical", number) for number in range(40)], CONFIGURED, 60, "golden", 2)

    assert found.weights != CONFIGURED
    assert found.figures["configured"]["recall@1"] == 0
    assert found.figures["learned"]["recall@1"] == found.figures["lexical"]["recall@1"] == 1
    assert found.as_good_as_halves
    assert (found.source, found.questions, found.unlocated) == ("golden", 40, 2)


def test_where_no_weights_are_as_good_as_both_halves_that_is_said():
    halves = [right_for(half, number) for number in range(12) for half in ("dense", "lexical")]
    alike = [each for each in halves for _ in range(2)]

    found = learn(alike, CONFIGURED, 0, "golden", 0)

    least = {name: max(found.figures[half][name] for half in ("dense", "lexical")) for name in found.figures["dense"]}
    reached = all(found.figures["learned"][f"recall@{k}"] >= least[f"recall@{k}"] for k in DEPTHS)
    assert found.as_good_as_halves == reached


def test_one_more_question_right_is_no_reason_to_leave_the_configured_weights():
    alike = [right_for("dense", number) for number in range(40)]
    late_agrees = [Sought(each.dense, each.dense, dict(each.dense), each.right) for each in alike]
    odd = Sought(*(ranking(CHUNKS[0]), ranking(CHUNKS[1])), {CHUNKS[0]: 0.9, CHUNKS[1]: 0.8}, frozenset([CHUNKS[1]]))

    found = learn([*late_agrees, odd], FusionWeights(late=0.9), 60, "golden", 0)

    assert (
        found.weights == FusionWeights(late=0.9) or found.reason == "the configured weights lose to one of the halves"
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_learned_weights_are_on_their_questions_nowhere_below_a_half_unless_it_is_said(seed, late):
    chance = random.Random(seed)
    sought = []
    for _ in range(12):
        right = chance.choice(CHUNKS)
        dense, lexical = (ranking(name, other=chance.sample(CHUNKS, 12)) for name in chance.sample(CHUNKS, 2))
        sought.append(Sought(dense, lexical, {each: chance.random() for each in CHUNKS}, frozenset([right])))

    found = learn(sought, CONFIGURED, 60 if late else 0, "proposed", 0)

    shortfalls = [
        found.figures[half][f"recall@{depth}"] - found.figures["learned"][f"recall@{depth}"]
        for half in ("dense", "lexical")
        for depth in DEPTHS
    ]
    assert found.as_good_as_halves == (max(shortfalls) <= 0)
    assert (
        max(shortfalls)
        <= np.max(
            [
                found.figures[half][f"recall@{depth}"] - found.figures["configured"][f"recall@{depth}"]
                for half in ("dense", "lexical")
                for depth in DEPTHS
            ]
        )
        or found.weights == CONFIGURED
    )
