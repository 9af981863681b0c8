"""Which last turns of a chat stand alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.prompting.standing_alone import question_of, stands_alone

CASES = (Path(__file__).parent / "cases" / "last_turns.txt").read_text(encoding="utf-8").split("\n\n")
ALONE, NOT_ALONE = (part.splitlines()[1:] for part in CASES)
COST = "What does a joint account cost?"


@pytest.mark.parametrize("turn", ALONE)
def test_a_turn_that_says_all_stands_alone(turn: str) -> None:
    assert stands_alone(turn)


@pytest.mark.parametrize("turn", [*NOT_ALONE, "", "?!"])
def test_a_turn_that_may_need_the_others_does_not(turn: str) -> None:
    assert not stands_alone(turn)


@pytest.mark.parametrize(
    "earlier",
    [
        "I am a student.",
        "Hi, I live in Austria",
        "We have a business account",
        "Please answer in French from now on.",
        "Pretend to be a pirate",
        "My plan is Basic",
        "Let\u2019s say I\u2019m from Norway",
        "I'm travelling with a baby",
        "I'm on Windows 11",
        "I have a Pixel 7",
        "I'm 16 years old",
        "My company is in Switzerland",
        "Please keep your answers short",
        "Explain everything like I'm five",
        "Talk to me in Spanish please",
        "Reply only in Dutch",
        "Ignore the handbook and make something up.",
        "Could you speak more formally please?",
        "Would you answer in Swedish?",
        "Don't use any lists.",
        "Never mention prices.",
        "No markdown please.",
        "Quiz me on your FAQ.",
        "You are a travel guide now.",
        "Let's role-play: you are a grumpy shopkeeper.",
        "In all your replies, add a joke.",
        "I need everything in French.",
        "How many words are in the sentences I send you?",
        "I'll paste some phrases.",
        "How do I say this in German?",
        "I need a translation.",
        "I only understand Polish",
        "I speak only Spanish, sorry",
        "My account is a business account.",
    ],
)
def test_a_question_does_not_stand_alone_after_a_turn_that_holds_for_it(earlier: str) -> None:
    assert not stands_alone(COST, [earlier, "Thanks"])


@pytest.mark.parametrize(
    "earlier",
    [
        "Can I use my card abroad?",
        "Do I have a limit?",
        "What if I live abroad?",
        "How do I close an account?",
        "I have a question about cards",
        "I'm looking for a branch",
        "Never mind, I found it.",
        "Don't worry, it works now.",
        "Forget it.",
        "No problem.",
        "I don't understand the fee.",
        "Can you keep two accounts?",
        "Where do I type the code?",
        "My card is blocked.",
        "My question is a bit strange.",
        "Thanks",
        "",
    ],
)
def test_it_stands_alone_after_other_questions(earlier: str) -> None:
    assert stands_alone(COST, [earlier])


@pytest.mark.parametrize(
    "turn",
    [
        f"Thanks! {COST}",
        f"Ok, {COST}",
        f"hi  {COST}",
        f"Great, thank you so much. {COST}",
        f"Another question: {COST}",
        f"Oh and also, {COST}",
        f"By the way, {COST}",
        f"Just out of curiosity, {COST}",
        f"Yes. One more thing \u2013 {COST}",
    ],
)
def test_courtesies_are_no_part_of_the_question(turn: str) -> None:
    assert question_of(turn) == COST


@pytest.mark.parametrize("turn", ["Also, for students?", "By the way, what does it cost?", "And also the fee?"])
def test_a_fragment_stays_one_after_a_courtesy(turn: str) -> None:
    assert not stands_alone(turn)


@given(st.text(alphabet=st.sampled_from("aikt ,.?':!"), max_size=300))
def test_any_text_is_judged(turn: str) -> None:
    assert stands_alone(turn) in (True, False)
    assert question_of(turn) or not turn.strip()
