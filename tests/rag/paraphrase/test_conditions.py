"""A question that adds a condition of a closed class is none of the wordings of an answer that has none of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag.paraphrase.conditions import adds_a_condition, adds_a_phrase
from rag.paraphrase.question_parser import parse
from rag.paraphrase.verifier import Candidate, Verifier

HOURS = ("When are you open?", "What are your opening hours?", "Are you open on Sundays?")
KINDS = ("lookalikes", "paraphrases")
DESKS = [json.loads(line) for line in Path(__file__).with_name("condition_lookalikes.jsonl").open(encoding="utf-8")]
LIMITS = ("What are the rate limits?", "How many requests may I send per minute?", "too many calls")
TOURS = ("Do you offer guided tours?", "Can I join a tour in Spanish?", "when is the next tour with a guide")


@pytest.mark.parametrize(
    "asked",
    [
        "What are your opening hours at Christmas?",
        "Are you open on New Year's Day?",
        "When are you open for school classes?",
        "Are you open to dogs?",
        "When are you open for the blind?",
        "What are your opening hours abroad?",
        "Do you open earlier for someone else?",
        "Why did my entry to the building fail?",
        "What is the price of a day?",
    ],
)
def test_a_condition_that_no_wording_has_wants_another_answer(asked: str) -> None:
    assert adds_a_condition(asked, HOURS)


@pytest.mark.parametrize("asked", ["Do you have tours in German?", "Which languages are the tours in?"])
def test_a_condition_of_which_a_wording_has_another_member_is_a_gap_filled_differently(asked: str) -> None:
    assert not adds_a_condition(asked, TOURS)


def test_each_condition_of_a_question_is_looked_for() -> None:
    assert adds_a_condition("Do you have tours in German for children?", TOURS)


@pytest.mark.parametrize(
    "asked", ["When are you open on Mondays?", "Are you open in Oslo?", "Are you open in the morning?"]
)
def test_weekdays_places_and_times_are_left_to_the_evidence(asked: str) -> None:
    assert not adds_a_condition(asked, HOURS)


def test_lookalikes_that_add_a_condition_are_told_from_paraphrases() -> None:
    refused = {
        kind: [adds_a_condition(text, desk["wordings"]) for desk in DESKS for text in desk[kind]] for kind in KINDS
    }

    assert sum(refused["lookalikes"]) >= 39  # of 40; a country is a gap that people fill differently
    assert not any(refused["paraphrases"])


@pytest.mark.parametrize(
    ("asked", "wording"),
    [
        ("What are your opening hours at Christmas?", "What are your opening hours?"),
        ("Do you offer guided tours in German?", "Do you offer guided tours?"),
        ("Do you have audio guides for the blind?", "Do you have audio guides?"),
        ("How much is a ticket for a group?", "How much is a ticket?"),
        ("How long does delivery abroad take?", "How long does delivery take?"),
    ],
)
def test_beside_a_single_wording_the_verifier_refuses_any_added_word(asked: str, wording: str) -> None:
    candidate = Candidate(wording, "answer", 0.99)
    verifier = Verifier.default()

    assert not verifier.decide_pair(asked, candidate, 0.2).accepted
    assert verifier.decide_pair(f"Please, {wording.lower()}", candidate, 0.2).accepted


@pytest.mark.parametrize("asked", ["What are the rate limits for uploads?", "What are the limits of rates in Asia?"])
def test_a_phrase_behind_the_words_of_a_wording_wants_another_answer(asked: str) -> None:
    assert adds_a_phrase(parse(asked), LIMITS)


@pytest.mark.parametrize(
    "asked",
    [
        "What are the rate limits per hour?",  # a wording has another phrase with the preposition
        "What are the rate limits for calls?",  # a wording has the word
        "In theory, what are the rate limits?",  # said before what is asked
        "For uploads I send requests from Asia with a limit",  # no question, and more differs
    ],
)
def test_other_phrases_are_left_to_the_evidence(asked: str) -> None:
    assert not adds_a_phrase(parse(asked), LIMITS)
