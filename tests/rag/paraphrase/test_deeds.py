"""A question that is a wording of an answer but for its verb wants another thing done."""

from __future__ import annotations

import pytest

from rag.paraphrase.deeds import does_another_thing, is_about_another_thing
from rag.paraphrase.question_parser import parse

VOICEMAIL = ("How do I set up voicemail?", "turn on the mailbox", "I want an answering machine on my phone")
LOANS = ("How many books can I borrow?", "loan limit", "Is there a loan limit at the branch in Leeds?")
CANCEL = ("How do I cancel my subscription?", "please end my membership", "I want to stop it")


@pytest.mark.parametrize("asked", ["How do I pause my subscription?", "please renew my membership"])
def test_a_verb_that_no_wording_has_is_another_thing(asked: str) -> None:
    assert does_another_thing(parse(asked), CANCEL)


@pytest.mark.parametrize(
    "asked",
    [
        "How do I stop my subscription?",  # another wording has the verb
        "How do I terminate my subscription?",  # a synonym
        "How do I cancel my contract?",  # no verb
        "Is there a way to pause my subscription?",  # more differs: the evidence decides
    ],
)
def test_other_differences_are_left_to_the_evidence(asked: str) -> None:
    assert not does_another_thing(parse(asked), CANCEL)


@pytest.mark.parametrize("asked", ["How do I turn off voicemail?", "I'd like to cancel my mailbox"])
def test_to_end_a_thing_is_another_thing_where_no_wording_ends_it(asked: str) -> None:
    assert does_another_thing(parse(asked), VOICEMAIL)


@pytest.mark.parametrize(
    "asked", ["Where can I delete what I pay for?", "Can I cancel online?", "Can you stop my payments?"]
)
def test_other_words_for_ending_are_left_to_the_evidence(asked: str) -> None:
    assert not does_another_thing(parse(asked), CANCEL)


def test_what_has_been_ended_is_not_about_ending() -> None:
    assert does_another_thing(
        parse("How do I delete a project?"), ("How do I restore a deleted project?", "undelete it")
    )


@pytest.mark.parametrize("asked", ["How many films can I borrow?", "How many large books can I borrow?"])
def test_one_other_or_added_word_that_no_wording_has_is_another_thing(asked: str) -> None:
    assert is_about_another_thing(parse(asked), LOANS)


@pytest.mark.parametrize(
    ("asked", "wordings"),
    [
        ("How many loans can I borrow?", LOANS),  # a word of another wording
        ("How many boks can I borrow?", LOANS),  # a misspelling
        ("How many books can my daughter borrow at home?", LOANS),  # more differs: the evidence decides
        ("What time is it in Rome?", ("What time is it in Oslo?", "time in Paris")),
        ("Do you speak Italian?", ("Do you speak German?", "Do you speak French?")),
        ("set an alarm", ("set a timer", "start the clock")),  # no question
    ],
)
def test_a_gap_that_wordings_fill_differently_is_left_to_the_evidence(asked: str, wordings: tuple[str, ...]) -> None:
    assert not is_about_another_thing(parse(asked), wordings)
