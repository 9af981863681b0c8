import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.text.sentences import sentence_spans, sentences

CASES = [json.loads(line) for line in (Path(__file__).parent / "cases/sentences.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("expected", CASES, ids=lambda case: case[0][:30])
def test_a_text_is_split_where_a_reader_would(expected):
    gap = "\n\n" if "paragraph" in expected[0] else "\n" if expected[0][0].isdigit() else " "
    assert sentences(gap.join(expected)) == expected


WRAPPABLE = [case for case in CASES if not case[0].startswith(("1.", "a paragraph"))]


@pytest.mark.parametrize("expected", WRAPPABLE, ids=lambda case: case[0][:30])
def test_hard_wrapped_lines_make_no_difference(expected):
    wrapped = " ".join(expected).replace(" ", "\n")
    assert [" ".join(sentence.split()) for sentence in sentences(wrapped)] == expected


@pytest.mark.parametrize(
    "text", ["See Sec. 4 for the limits.", "Ask Dr. Smith about it.", "It is in Fig. 2, i.e. below."]
)
def test_an_abbreviation_ends_no_sentence(text):
    assert sentences(f"{text} Then go on.") == [text, "Then go on."]


def test_list_items_are_sentences_of_their_own():
    assert sentences("Bring:\n- a map\n- a lamp\n  and oil\n1. go") == [
        "Bring:",
        "- a map",
        "- a lamp\n  and oil",
        "1. go",
    ]


def test_an_empty_text_has_no_sentence():
    assert sentences("") == sentences(" \n\t ") == []


@given(st.text(alphabet=st.sampled_from("ab A.!?…\n\t\"')1-。e.g"), max_size=80))
def test_between_sentences_there_is_only_white_space(text):
    end = 0
    for start, stop in sentence_spans(text):
        assert not text[end:start].strip()
        assert text[start:stop] == text[start:stop].strip() != ""
        end = stop
    assert not text[end:].strip()


OTHER_SCRIPTS = [
    json.loads(line) for line in (Path(__file__).parent / "cases/other_scripts.jsonl").read_text().splitlines()
]


@pytest.mark.parametrize("expected", OTHER_SCRIPTS, ids=lambda case: case[0])
def test_the_full_stops_of_other_scripts_end_a_sentence(expected):
    assert sentences("".join(expected)) == [each.strip() for each in expected]
