"""Everyday wordings have one plain form, British and American English one spelling, and some texts are not English."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.paraphrase.everyday import everyday_form
from rag.paraphrase.foreign import is_foreign
from rag.paraphrase.spelling import american

WORDS = st.lists(st.sampled_from("what is the price of a parcel how much do i pay to return it".split()), max_size=9)


@pytest.mark.parametrize(
    ("asked", "plain"),
    [
        ("What does a parking permit cost?", "how much is a parking permit?"),
        ("Hello, could you tell me what the steps are?", "what the steps are?"),
        ("What's the procedure for getting a loan?", "how do i getting a loan?"),
        ("I want to close my account. How do I do that?", "how do i close my account?"),
        ("My card was stolen, what now?", "what can i do if My card was stolen?"),
        ("Can I pay with a credit card?", "do you accept credit card?"),
        ("Is registration required for the course?", "do i need registration for the course?"),
        ("Where is my parcel?", "Where is my package?"),
        ("How do I sign my child up for school?", "How do I sign up my child for school?"),
        ("What are the museum's opening hours?", "when is museum open?"),
        ("When is the museum open?", "when is museum open?"),
        ("What do you charge for delivery?", "how much is delivery?"),
        ("What is the maximum number of books I can borrow?", "how many books can I borrow?"),
        ("Steps to reset the router", "how do i reset the router?"),
        ("How frequently is it updated?", "how often is it updated?"),
        ("Are guided tours available?", "is there guided tours?"),
        ("Is the manager available?", "Is the manager available?"),
        ("Is payment by card possible?", "do you accept card?"),
        ("Does the museum have a cafe?", "is there cafe in the museum?"),
        ("Signing out of the shop", "logout of the shop?"),
        ("Which colour is the lift?", "Which color is the elevator?"),
    ],
)
def test_an_everyday_wording_has_a_plain_form(asked: str, plain: str) -> None:
    assert everyday_form(asked) == plain


@pytest.mark.parametrize("question", ["What does config.yaml do?", "What does `colour` do?", "What does app() return?"])
def test_names_of_code_stay_as_they_are(question: str) -> None:
    assert everyday_form(question) == question


@pytest.mark.parametrize("part", [", ", "hi ", "turn my x ", "what do i do "])
def test_a_long_question_stays_as_it_is(part: str) -> None:
    assert everyday_form(part * 4000) == part * 4000  # and takes no seconds


@given(WORDS)
def test_a_plain_form_settles(words: list[str]) -> None:
    text = " ".join(words)
    for _ in range(4):
        text = everyday_form(text)
    assert everyday_form(text) == text


@pytest.mark.parametrize(
    "pair",
    "organise/organize favourite/favorite centre/center catalogue/catalog travelling/traveling programme/program "
    "cheque/check defence/defense paediatric/pediatric enrolment/enrollment analyse/analyze".split(),
)
def test_british_words_have_their_american_spelling(pair: str) -> None:
    british, other = pair.split("/")
    assert american(british) == other == american(other)


@pytest.mark.parametrize("word", "hour tour exercise timbre poured refilled walled advertise poet does shoe".split())
def test_a_word_that_only_looks_british_stays(word: str) -> None:
    assert american(word) == word


@pytest.mark.parametrize(
    "text",
    [
        "wie kann ich mein passwort zuruecksetzen",
        "Was kostet die Karte?",
        "Comment puis-je payer ?",
        "como me doy de alta",
        "come posso cambiare la mia password",
        "hoe kan ik mijn wachtwoord wijzigen",
        "jak zmienic haslo",
        "sifremi nasil degistirebilirim",
        "mera password kaise reset kare",
        "henpin dekimasu ka",
    ],
)
def test_a_text_in_another_language_is_foreign_without_its_accents_too(text: str) -> None:
    assert is_foreign(text)


@pytest.mark.parametrize(
    "text",
    [
        "What is Schadenfreude?",
        "Do you deliver to Côte d'Ivoire?",
        "Where is Rue de la Paix?",
        "How do I install nginx on k8s?",
        "do you have vegan food in the Kantine?",
        "reset pasword",
        "refund",
        "",
        "how do i kündigen",
    ],
)
def test_an_english_text_may_have_foreign_names_and_misspellings(text: str) -> None:
    assert not is_foreign(text)
