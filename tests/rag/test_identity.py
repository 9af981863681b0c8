"""Keys and fingerprints: what makes them equal, and what makes them differ."""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rag.identity import content_hash, fingerprint, normalise, query_key, stable_hash, template_id

CASES = [json.loads(line) for line in (Path(__file__).parent / "cases/normalisation.jsonl").read_text().splitlines()]
TEXT = st.text(max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
INGREDIENTS = {
    "query_key": "k",
    "passages": ["a", "b"],
    "template": "t",
    "model": "m@1",
    "sampling": {"temperature": 0.0, "max_tokens": 9},
}


def _cases(kind):
    return [pytest.param(case[kind], id=case["why"]) for case in CASES if kind in case]


@pytest.mark.parametrize("questions", _cases("same"))
def test_questions_that_differ_in_form_only_share_a_key(questions):
    assert len({query_key("docs", question) for question in questions}) == 1


@pytest.mark.parametrize("questions", _cases("different"))
def test_questions_that_differ_in_meaning_have_keys_of_their_own(questions):
    for first, second in combinations(questions, 2):
        assert query_key("docs", first) != query_key("docs", second), (first, second)


@pytest.mark.parametrize("questions", _cases("empty"))
def test_punctuation_alone_becomes_nothing(questions):
    assert [normalise(question) for question in questions] == [""] * len(questions)


@given(TEXT)
@example("ᾳͅ?")
@example("...?.?")
@example("¿ ¿.")
def test_normalising_twice_changes_nothing(question):
    once = normalise(question)

    assert normalise(once) == once


@given(TEXT)
def test_a_normalised_question_has_single_spaces_and_nothing_invisible(question):
    text = normalise(question)

    assert text == " ".join(text.split())
    assert not any(unicodedata.category(character)[0] == "C" for character in text)


WORDS = st.lists(
    st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=8), min_size=1, max_size=8
)


@given(WORDS, st.randoms(use_true_random=False))
def test_capitals_spaces_full_width_and_question_marks_never_change_the_key(words, random):
    spaces = [" ", "  ", "\t", "\n", "\u00a0", "\u3000"]
    typed = "".join(
        random.choice(spaces) + "".join(random.choice([c, c.upper(), _full_width(c)]) for c in word) for word in words
    )
    typed += random.choice(["", "?", " ?", "\uff1f", "??", "!", " \n", "?\u200b"])

    assert query_key("docs", typed) == query_key("docs", " ".join(words))


def _full_width(character: str) -> str:
    return chr(ord(character) + 0xFEE0)


@given(TEXT, TEXT, TEXT, TEXT)
def test_two_collections_never_share_a_key(one, other, question, another):
    if one != other:
        assert query_key(one, question) != query_key(other, another)


def test_characters_cannot_move_between_collection_and_question():
    assert query_key("docs", "a b") != query_key("docs a", "b")
    assert query_key("docs", 'a","b') != query_key('docs","a', "b")


@given(st.lists(JSON, max_size=4), st.lists(JSON, max_size=4))
def test_hashes_are_equal_exactly_when_their_parts_are(parts, others):
    same = json.dumps(parts, sort_keys=True) == json.dumps(others, sort_keys=True)

    assert (stable_hash(*parts) == stable_hash(*others)) is same


@given(TEXT, TEXT)
def test_moving_a_boundary_changes_the_hash(left, right):
    assert stable_hash(left, right) != stable_hash(left + right)
    assert stable_hash([left], right) != stable_hash([left, right])


@given(JSON)
def test_a_hash_is_32_hexadecimal_digits(part):
    digits = stable_hash(part)

    assert len(digits) == 32
    assert set(digits) <= set("0123456789abcdef")


def test_the_order_of_a_mapping_does_not_matter_but_that_of_a_list_does():
    assert stable_hash({"a": 1, "b": 2}) == stable_hash({"b": 2, "a": 1})
    assert stable_hash([1, 2]) != stable_hash([2, 1])


def test_hashes_are_the_same_in_every_process_and_release():
    """Pinned: a change of these values would orphan every stored answer."""
    assert content_hash("x") == "cd65ea2c2ad99e94a85b1b6df72efef9"
    assert query_key("docs", "What is X?") == "40e92cf419bf1eb88146ca0257b2fa4e"

    code = "from rag.identity import query_key; print(query_key('docs', 'What is X?'))"
    elsewhere = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={"PYTHONHASHSEED": "77"},
    )

    assert elsewhere.stdout.strip() == query_key("docs", "What is X?")


@pytest.mark.parametrize(
    "changed",
    [
        {"query_key": "other"},
        {"passages": ["b", "a"]},
        {"passages": ["a"]},
        {"passages": ["ab"]},
        {"passages": []},
        {"passages": ["a", "b", "b"]},
        {"template": "other"},
        {"model": "m@2"},
        {"sampling": {"temperature": 0.1, "max_tokens": 9}},
        {"sampling": {"temperature": 0.0, "max_tokens": 10}},
        {"sampling": {"temperature": 0.0}},
        {"sampling": {"temperature": 0.0, "max_tokens": 9, "seed": 0}},
    ],
)
def test_each_part_changes_the_fingerprint(changed):
    assert fingerprint(**{**INGREDIENTS, **changed}) != fingerprint(**INGREDIENTS)


def test_nothing_else_changes_the_fingerprint():
    reordered = {"max_tokens": 9, "temperature": 0.0}

    again = fingerprint(query_key="k", passages=("a", "b"), template="t", model="m@1", sampling=reordered)

    assert again == fingerprint(**INGREDIENTS)


@given(st.permutations(["a", "b", "c"]))
def test_the_order_of_the_passages_is_part_of_the_fingerprint(passages):
    ordered = fingerprint(**{**INGREDIENTS, "passages": ["a", "b", "c"]})

    assert (fingerprint(**{**INGREDIENTS, "passages": passages}) == ordered) is (passages == ["a", "b", "c"])


def test_different_kinds_of_hashes_never_collide():
    assert len({content_hash("x"), template_id("x"), query_key("x", "x"), stable_hash("x", "x")}) == 4
