import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.evaluation import (
    exact_match,
    judge_answers,
    judge_retrieval,
    normalise_answer,
    recall_at,
    reciprocal_rank,
    sign_test,
    summarise,
    token_f1,
    wilson_interval,
)

IDS = st.lists(st.sampled_from("abcdefgh"), unique=True)


@pytest.mark.parametrize(("k", "expected"), [(1, 0.0), (2, 0.5), (3, 0.5), (4, 1.0), (9, 1.0)])
def test_recall_is_the_share_of_the_relevant_among_the_first(k, expected):
    assert recall_at(k, ["x", "a", "y", "b"], {"a", "b"}) == expected


def test_recall_without_anything_relevant_is_refused():
    with pytest.raises(ValueError, match="at least one relevant"):
        recall_at(3, ["a"], [])


@pytest.mark.parametrize(
    ("ranked", "expected"),
    [(["a", "b"], 1.0), (["x", "b"], 0.5), (["x", "y", "z", "a"], 0.25), (["x"], 0.0), ([], 0.0)],
)
def test_the_reciprocal_rank_is_that_of_the_first_relevant(ranked, expected):
    assert reciprocal_rank(ranked, {"a", "b"}) == expected


@given(IDS, IDS.filter(bool))
def test_recall_never_falls_with_k_and_is_whole_where_all_is_found(ranked, relevant):
    values = [recall_at(k, ranked, relevant) for k in range(9)]
    assert values == sorted(values)
    assert (values[-1] == 1.0) == (set(relevant) <= set(ranked))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Cat,\n sat!", "cat sat"),
        ("An apple a day", "apple day"),
        ("theatre another", "theatre another"),
        ("U.S.A.", "usa"),
        ("the", ""),
    ],
)
def test_answers_are_compared_without_articles_punctuation_and_capitals(text, expected):
    assert normalise_answer(text) == expected


@pytest.mark.parametrize(
    ("answer", "references", "exact", "f1"),
    [
        ("the Eiffel Tower.", ["Eiffel tower"], 1.0, 1.0),
        ("Eiffel Tower in Paris", ["Eiffel Tower"], 0.0, 2 * 2 / (4 + 2)),
        ("Paris", ["London", "in Paris"], 0.0, 2 / 3),
        ("Paris Paris", ["Paris"], 0.0, 2 / 3),
        ("Rome", ["Paris"], 0.0, 0.0),
        ("", ["Paris"], 0.0, 0.0),
        ("The", ["a"], 1.0, 1.0),
        ("Paris", [], 0.0, 0.0),
    ],
)
def test_exact_match_and_f1_take_the_best_reference(answer, references, exact, f1):
    assert exact_match(answer, references) == exact
    assert token_f1(answer, references) == pytest.approx(f1)


@given(st.text(max_size=30), st.text(max_size=30))
def test_f1_is_symmetric_between_0_and_1_and_1_for_an_exact_match(answer, reference):
    score = token_f1(answer, [reference])
    assert 0 <= score <= 1
    assert score == token_f1(reference, [answer])
    assert exact_match(answer, [reference]) <= score


def test_retrieval_is_averaged_over_the_questions_with_relevant_ids():
    ranked = {"q1": ["a", "b"], "q2": ["x", "c"], "q4": ["d"]}
    relevant = {"q1": {"a"}, "q2": {"c"}, "q3": {"e"}, "q4": set()}
    summary = judge_retrieval(ranked, relevant, ks=(1, 2))
    assert summary.questions == 3
    assert summary.means == pytest.approx({"recall@1": 1 / 3, "recall@2": 2 / 3, "mrr": 0.5})


def test_answers_are_averaged_and_a_missing_one_counts_as_wrong():
    summary = judge_answers({"q1": "Paris", "q2": "in Rome"}, {"q1": ["paris"], "q2": ["Rome"], "q3": ["x"], "q4": []})
    assert summary.questions == 3
    assert summary.means == pytest.approx({"exact_match": 1 / 3, "f1": (1 + 2 / 3) / 3})


def test_a_summary_of_nothing_has_no_means():
    assert summarise([]).questions == 0
    assert summarise([]).means == {}


def test_the_interval_of_a_share_is_wide_for_few_trials_and_never_leaves_what_is_possible():
    assert wilson_interval(8, 10) == pytest.approx((0.490, 0.943), abs=0.001)
    assert wilson_interval(0, 3)[0] == 0.0
    assert wilson_interval(3, 3)[1] == 1.0
    with pytest.raises(ValueError, match="at least one trial"):
        wilson_interval(0, 0)


@pytest.mark.parametrize(("better", "judged", "p"), [(5, 10, 1.0), (9, 10, 0.0215), (1, 10, 0.0215), (1, 1, 1.0)])
def test_the_sign_test_is_two_sided_and_exact(better, judged, p):
    assert sign_test(better, judged) == pytest.approx(p, abs=0.0001)
