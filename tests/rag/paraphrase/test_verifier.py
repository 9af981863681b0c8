"""Look-alikes never hit, most paraphrases do; the cases are in the two files beside this one."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.errors import ModelError
from rag.paraphrase.boosted_trees import BoostedTrees
from rag.paraphrase.calibration import Certificate
from rag.paraphrase.features import FEATURES
from rag.paraphrase.verifier import Candidate, Decision, Verifier

HERE = Path(__file__).parent
TOLERANT = 0.2


def cases(name: str) -> list[dict[str, str | float]]:
    return [json.loads(line) for line in (HERE / name).read_text(encoding="utf-8").splitlines()]


def decide(case: dict[str, str | float], verifier: Verifier, turned: bool = False) -> Decision:
    asked, anticipated = (case["anticipated"], case["asked"]) if turned else (case["asked"], case["anticipated"])
    candidate = Candidate(str(anticipated), "key", float(case["similarity"]))
    return verifier.decide(str(asked), [candidate], TOLERANT)


def certified(threshold: float | None, tolerated: float = 0.1) -> Certificate:
    return Certificate(tolerated, threshold, 1000, 100, 1, 0.05, 0.95, "hash")


def credulous() -> Verifier:
    """A verifier whose model accepts everything, so that only the guards prevent a false hit."""
    return Verifier(trees=constant_trees(20.0), certificates=(certified(0.5),))


def constant_trees(bias: float) -> BoostedTrees:
    return BoostedTrees(np.zeros((1, 1), np.int32), np.zeros((1, 1)), np.zeros((1, 2)), bias)


def test_the_sets_are_large_and_varied_enough_to_mean_something() -> None:
    lookalikes, paraphrases = cases("lookalikes.jsonl"), cases("paraphrases.jsonl")
    assert len(lookalikes) >= 200
    assert len(paraphrases) >= 60
    assert len({case["kind"] for case in lookalikes}) >= 12


@pytest.mark.parametrize("turned", [False, True])
def test_no_lookalike_hits_without_labelled_pairs(turned: bool) -> None:
    hits = [case for case in cases("lookalikes.jsonl") if decide(case, Verifier.default(), turned).accepted]
    assert hits == []


@pytest.mark.parametrize("turned", [False, True])
def test_guards_stop_lookalikes_even_if_the_model_accepts_them(turned: bool) -> None:
    hits = [case for case in cases("lookalikes.jsonl") if decide(case, credulous(), turned).accepted]
    assert [case["asked"] for case in hits] == []


def test_paraphrases_mostly_pass_the_guards() -> None:
    found = [decide(case, credulous()).accepted for case in cases("paraphrases.jsonl")]
    assert sum(found) >= 0.9 * len(found)


def test_the_default_accepts_near_identical_wording() -> None:
    found = [decide(case, Verifier.default()).accepted for case in cases("paraphrases.jsonl")]
    assert sum(found) >= 0.5 * len(found)


def test_the_default_takes_everyday_wordings() -> None:
    found = [decide(case, Verifier.default()).accepted for case in cases("everyday_paraphrases.jsonl")]
    assert sum(found) >= 0.9 * len(found)


@pytest.mark.parametrize("turned", [False, True])
def test_no_everyday_lookalike_hits_without_labelled_pairs(turned: bool) -> None:
    hits = [case for case in cases("everyday_lookalikes.jsonl") if decide(case, Verifier.default(), turned).accepted]
    assert hits == []


@pytest.mark.parametrize(
    ("asked", "anticipated"),
    [
        ("What is new in version 3.1?", "What is new in version 3.10?"),
        ("What does `sort` return?", "What does `sorted` return?"),
        ("What does GET /user return?", "What does GET /users return?"),
        ("What does getItem do?", "What does getItems do?"),
        ("Wann kommt meine Zahlung?", "Wann kommt meine Zählung?"),
        ("Wo finde ich meinen Vertrag?", "Wo finde ich meinen Vortrag?"),
        ("我可以退货吗", "我可以换货吗"),
    ],
)
def test_one_letter_is_another_word(asked: str, anticipated: str) -> None:
    for verifier in (Verifier.default(), credulous()):
        assert not verifier.decide(asked, [Candidate(anticipated, "key", 0.99)], 0.1).accepted


def test_money_and_measures_are_decimals() -> None:
    same = [Candidate("Is 2.5 kg too much for $3.50?", "key", 0.95)]
    assert Verifier.default().decide("Is 2.50 kg too much for $3.5?", same, 0.1).accepted


def test_semantic_hits_need_guards_or_pairs_in_the_language() -> None:
    german = Verifier(trees=constant_trees(20.0), certificates=(certified(0.5),), details={"language": "de"})
    assert [german.knows(each) for each in ("en", "de", "fr")] == [True, True, False]
    assert not Verifier.default().knows("de")


@pytest.mark.parametrize(
    ("asked", "anticipated", "reason"),
    [
        ("How do I enable it?", "How do I disable it?", "antonyms"),
        ("Is 5 mg too much?", "Is 10 mg too much?", "numbers_differ"),
        ("Is it due on 03/04/2024?", "Is it due on 04/03/2024?", "numbers_differ"),
        ("How far is 5 km?", "How far is 5 miles?", "units_differ"),
        ("Is it open on Monday?", "Is it open on Friday?", "dates_differ"),
        ("Who can vote?", "Who can't vote?", "negation_differs"),
        ("What is the capital of France?", "What is the capital of Spain?", "names_differ"),
        ("How do I fly from Rome to Oslo?", "How do I fly from Oslo to Rome?", "roles_swapped"),
        ("Who signs the contract?", "When is the contract signed?", "asks_differ"),
        ("How do I zorp the blint?", "How do I zorp the frell?", "content_differs"),
        ("Do all staff pay?", "Do some staff pay?", "quantifiers_differ"),
    ],
)
def test_a_refusal_says_why(asked: str, anticipated: str, reason: str) -> None:
    decision = credulous().decide(asked, [Candidate(anticipated, "key", 0.9)], 0.1)
    assert (decision.accepted, decision.reason) == (False, reason)


@pytest.mark.parametrize(
    ("asked", "anticipated"),
    [
        ("Why can't I log in?", "Why am I unable to log in?"),
        ("How can a list be sorted in Python?", "How do I sort a list in Python?"),
        ("How do I fly to London from Paris?", "How do I fly from Paris to London?"),
        ("What are the pros and cons of tea?", "What are the cons and pros of tea?"),
        ("What is 10k in euros?", "What is 10,000 in euros?"),
        ("Is it free for one month?", "Is it free for 1 month?"),
        ("What's the law in the US?", "What is the law in the United States?"),
        ("Was Rome conquered by Carthage?", "Did Carthage conquer Rome?"),
    ],
)
def test_rephrased_questions_pass_the_guards(asked: str, anticipated: str) -> None:
    assert credulous().decide(asked, [Candidate(anticipated, "key", 0.95)], 0.1).reason == "accepted"


def test_us_the_country_is_not_us_the_pronoun() -> None:
    decision = credulous().decide("Why do they hate the US?", [Candidate("Why do they hate us?", "key", 0.9)], 0.1)
    assert not decision.accepted or decision.features["unmatched_more"] == 1


def test_nothing_is_accepted_without_a_certificate_for_the_tolerated_error() -> None:
    verifier = Verifier(trees=constant_trees(20.0), certificates=(certified(0.5, 0.1), certified(None, 0.01)))
    same = [Candidate("How do I reset my password?", "key", 1.0)]
    asked = "How can I reset my password?"
    assert verifier.decide(asked, same, 0.1).accepted
    assert verifier.decide(asked, same, 0.01).reason == "not_certified"
    assert verifier.decide(asked, same, 0.0).reason == "not_certified"
    assert not Verifier.default().decide(asked, same, 0.0).accepted


def test_a_threshold_of_zero_is_a_threshold() -> None:
    verifier = Verifier(trees=constant_trees(-5.0), certificates=(certified(0.0),))
    decision = verifier.decide("How can I pay?", [Candidate("How do I pay?", "key", 0.9)], 0.1)
    assert (decision.threshold, decision.accepted) == (0.0, True)


def test_a_stricter_certificate_serves_a_tolerance_between_two() -> None:
    verifier = Verifier(trees=constant_trees(0.0), certificates=(certified(0.9, 0.05), certified(0.4, 0.1)))
    assert verifier.threshold(0.07) == 0.9
    assert verifier.threshold(0.5) == 0.4
    assert verifier.threshold(0.04) == math.inf


def test_no_candidates_is_a_refusal_with_its_own_reason() -> None:
    decision = credulous().decide("How do I pay?", [], 0.1)
    assert (decision.accepted, decision.reason, decision.query_key) == (False, "no_candidates", None)


@pytest.mark.parametrize("similarity", [math.nan, 2.0, -3.0, math.inf])
def test_a_degenerate_similarity_never_hits(similarity: float) -> None:
    decision = credulous().decide("How do I pay?", [Candidate("How do I pay?", "key", similarity)], 0.1)
    assert decision.reason == "degenerate_similarity"


def test_a_later_candidate_is_taken_when_the_first_is_refused() -> None:
    candidates = [
        Candidate("How do I disable dark mode?", "off", 0.97),
        Candidate("How can I enable dark mode?", "on", 0.93),
    ]
    decision = credulous().decide("How do I enable dark mode?", candidates, 0.1)
    assert (decision.accepted, decision.query_key) == (True, "on")


def test_a_saved_verifier_decides_the_same(tmp_path: Path) -> None:
    path = tmp_path / "verifier.json"
    credulous().save(path)
    case = cases("paraphrases.jsonl")[0]
    assert decide(case, Verifier.load(path)) == decide(case, credulous())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99, "features": []}', '{"format": 1, "features": ["x"]}'])
def test_a_torn_or_outdated_verifier_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "verifier.json"
    path.write_text(text)
    with pytest.raises(ModelError, match="build the release again"):
        Verifier.load(path)


QUESTIONS = st.text(max_size=80) | st.lists(
    st.sampled_from("how do I not never 10 5,000 US A the from to Paris London enable disable % C++ km ? , II".split())
).map(" ".join)


@given(QUESTIONS, QUESTIONS, st.floats(-1, 1))
def test_any_text_gets_a_decision_with_finite_features(asked: str, anticipated: str, similarity: float) -> None:
    decision = credulous().decide(asked, [Candidate(anticipated, "key", similarity)], 0.1)
    assert set(decision.features) == set(FEATURES)
    assert all(math.isfinite(value) for value in decision.features.values())


@given(QUESTIONS)
def test_a_question_is_never_refused_against_itself(question: str) -> None:
    decision = credulous().decide(question, [Candidate(question, "key", 1.0)], 0.1)
    assert decision.reason == "accepted"


@given(QUESTIONS, QUESTIONS, st.floats(0, 1))
def test_decisions_are_symmetric(one: str, other: str, similarity: float) -> None:
    there = credulous().decide(one, [Candidate(other, "key", similarity)], 0.1)
    back = credulous().decide(other, [Candidate(one, "key", similarity)], 0.1)
    assert there.accepted == back.accepted


def test_the_next_stricter_tolerated_error_has_a_higher_threshold() -> None:
    thresholds = {0.0: None, 0.01: 0.9, 0.02: 0.9, 0.05: 0.8, 0.1: 0.8, 0.2: 0.5}
    certificates = tuple(certified(threshold, error) for error, threshold in thresholds.items())
    verifier = Verifier(trees=constant_trees(20.0), certificates=certificates)
    assert [verifier.stricter(error) for error in (0.2, 0.15, 0.1, 0.02)] == [0.1, 0.02, 0.02, None]
    assert Verifier.default().stricter(0.2) is None
