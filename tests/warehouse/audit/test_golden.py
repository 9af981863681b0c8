import json

import pytest

from rag.errors import ConfigurationError
from rag.identity import query_key
from warehouse.audit.golden import Golden, compare, right
from warehouse.audit.golden_files import read_golden


def golden(expected=(), reference=None):
    return Golden("main", "key", "What is it?", expected, reference, "golden.jsonl:1")


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [("cat", True), ("A cat.", True), ("THE, CAT!", True), ("the dog", False), ("", False), (None, False)],
)
def test_a_reference_is_compared_without_case_articles_and_punctuation(answer, is_right):
    assert right(golden(reference="the cat"), answer, overlap=1.0) is is_right


def test_every_expected_text_must_be_in_the_answer_in_any_case():
    both = golden(expected=("Paris", "1789"))

    assert right(both, "In PARIS, in 1789.", overlap=1.0)
    assert not right(both, "In Paris.", overlap=1.0)


def test_a_question_is_worse_only_if_it_was_right_before():
    asked = golden(expected=("yes",))

    assert compare([asked], {"key": "no"}, {"key": "yes"}, 0.5) == ([asked], [asked])
    assert compare([asked], {"key": "no"}, {"key": "never"}, 0.5) == ([asked], [])
    assert compare([asked], {"key": "no"}, None, 0.5) == ([asked], [])


def test_a_file_of_golden_questions_is_read_with_places_and_keys(tmp_path):
    path = tmp_path / "golden.jsonl"
    path.write_text(
        '{"question": "What?", "expected": "x"}\n\n{"question": "Who?", "reference": "y", "collection": "b"}'
    )

    first, second = read_golden([path], ["b", "a"])

    assert (first.collection, first.expected, first.detail) == ("a", ("x",), "golden.jsonl:1")
    assert (second.collection, second.reference, second.detail) == ("b", "y", "golden.jsonl:3")
    assert second.query_key == query_key("b", "Who?")


def test_a_question_of_an_unknown_collection_is_refused(tmp_path):
    path = tmp_path / "golden.jsonl"
    path.write_text(json.dumps({"question": "What?", "expected": ["x"], "collection": "c"}))

    with pytest.raises(ConfigurationError, match=r"golden\.jsonl:1: unknown collection 'c'; a, b"):
        read_golden([path], ["a", "b"])
