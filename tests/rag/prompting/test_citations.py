"""References resolved to passages of the prompt, and how far the passages support an answer."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rag.prompting.citations import link, without_references
from rag.prompting.support import support
from rag.retrieval.passages import Passage, StoredChunk

CASES = [json.loads(line) for line in (Path(__file__).parent / "cases/citations.jsonl").read_text().splitlines()]
SHOWN = re.compile(r"\[\s*\d+(?:\s*[,;&\u2013-]\s*\d+)*\s*\](?!\()")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
PIECES = [
    "[1]", "[2]", "[3]", "[4]", "[12]", "[1, 9]", "[2-7]", "[3-1]", "[passage 5]", "[ 6 ]", "[7;8]", "[99999999999]",
    "[", "]", "1", "9", ",", "-", " ", "\n", "(", "word", "A sentence.", "é", "`", "```",
]  # fmt: skip
ANSWERS = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)


def _passages(count=3, texts=()):
    texts = texts or [f"text {number}" for number in range(1, count + 1)]
    return [
        Passage(number, StoredChunk(f"c{number}", f"d{number}", "Title", "uri", "Heading", text, f"h{number}"), 1.0)
        for number, text in enumerate(texts, start=1)
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["why"])
def test_references(case):
    linked = link(case["answer"], _passages(3))

    assert linked.text == case["text"]
    assert [each.passage.number for each in linked.citations if each.kind == "cited"] == case["cited"]
    assert linked.invalid == case["invalid"]


@given(ANSWERS | st.text(max_size=60), st.integers(0, 4))
@example("[" * 50 + "9" + "]" * 50, 1)
def test_every_citation_is_a_passage_of_the_prompt(answer, count):
    passages = _passages(count)

    linked = link(answer, passages)

    assert {each.passage.number for each in linked.citations} <= set(range(1, count + 1))
    assert len({each.kind for each in linked.citations}) <= 1
    assert linked.invalid >= 0
    if not any(each.kind == "cited" for each in linked.citations):
        assert [each.passage for each in linked.citations] == passages


@given(ANSWERS)
@example("[[9]9]")
@example("[3[7]4]")
@example("[9][9](x)")
def test_a_reference_to_a_missing_passage_is_never_shown(answer):
    shown = link(answer.replace("`", "'"), _passages(3)).text

    numbers = [int(number) for reference in SHOWN.findall(shown) for number in re.findall(r"\d+", reference)]
    assert set(numbers) <= {1, 2, 3}


@given(ANSWERS)
def test_linking_is_idempotent(answer):
    once = link(answer.replace("`", "'"), _passages(3))

    again = link(once.text, _passages(3))

    assert (again.text, again.citations, again.invalid) == (once.text, once.citations, 0)


@given(st.lists(st.sampled_from([piece for piece in PIECES if "`" not in piece]), max_size=12).map("".join), ANSWERS)
def test_code_is_left_alone(code, answer):
    block = f"```\n{code}\n```"

    linked = link(f"{answer.replace('`', '')}\n{block}", _passages(3))

    assert linked.text.endswith(block)


@given(st.text(alphabet=st.characters(blacklist_characters="[]"), max_size=80))
def test_an_answer_without_brackets_is_unchanged(answer):
    assert link(answer, _passages(2)).text == answer.strip()


def test_a_number_of_five_thousand_digits_is_an_invalid_reference():
    linked = link(f"So [{'9' * 5000}].", _passages(1))

    assert (linked.text, linked.invalid) == ("So.", 1)


def test_an_answer_without_passages_has_no_sources():
    assert link("So [1].", []).citations == ()


BIRDS = "The robin is a small bird. It sings at dawn and builds a nest in spring."


def test_an_answer_in_the_words_of_its_passage_is_supported():
    assert support("The robin sings at dawn [1].", _passages(texts=[BIRDS])) == 1.0


def test_an_answer_from_elsewhere_is_not_supported():
    assert support("Quantum processors need liquid helium cooling.", _passages(texts=[BIRDS])) == 0.0


def test_one_invented_sentence_weighs_as_much_as_the_whole():
    honest = support("The robin is a small bird. It sings at dawn.", _passages(texts=[BIRDS]))
    mixed = support("The robin is a small bird. Quantum processors need helium.", _passages(texts=[BIRDS]))

    assert honest == 1.0
    assert 0.2 < mixed < 0.4


def test_what_is_shown_around_a_passage_counts():
    (found,) = _passages(texts=["Robins sing."])
    beside = _passages(texts=["They nest in April."])[0].chunk

    assert support("They nest in April.", [found]) == 0.0
    assert support("They nest in April.", [replace(found, after=(beside,))]) == 1.0


def test_the_title_and_heading_shown_to_the_model_count():
    assert support("Heading, title.", _passages(1)) == 1.0


@given(st.text(max_size=100))
def test_support_is_between_0_and_1(answer):
    assert 0.0 <= support(answer, _passages(texts=[BIRDS])) <= 1.0


@given(st.sampled_from(["The robin sings.", "Helium is cold.", "Small birds build nests at dawn."]), ANSWERS)
def test_more_passages_never_lower_the_support(answer, text):
    assert support(answer, _passages(texts=[BIRDS, text])) >= support(answer, _passages(texts=[BIRDS]))


@pytest.mark.parametrize("answer", ["", "   ", "[1]", "...", "the of and"])
def test_an_empty_answer_has_no_support(answer):
    assert support(answer, _passages(texts=[BIRDS])) == 0.0


def test_references_can_be_removed_from_an_answer():
    assert without_references("It sings [1]. It rests [2, 3].") == "It sings. It rests."


@pytest.mark.parametrize("answer", ["What does the robin do?", "The robin does something.", "What the robin does [1]."])
def test_an_answer_that_only_repeats_its_question_has_no_support(answer):
    assert support(answer, _passages(texts=[BIRDS]), "What does the robin do?") == 0.0


def test_only_what_an_answer_adds_to_its_question_is_judged():
    asked = "What is the robin, the small bird?"

    assert support("The robin sings at dawn.", _passages(texts=[BIRDS]), asked) == 1.0
    assert support("The robin, the small bird, is quantum.", _passages(texts=[BIRDS]), asked) == 0.0


def test_a_plain_yes_is_judged_by_the_question_it_affirms():
    asked = "Does the robin sing at dawn?"

    assert support("Yes, the robin sings at dawn.", _passages(texts=[BIRDS]), asked) == 1.0
    assert support("Yes, the robin sings at dawn.", _passages(texts=["A cat."]), asked) == 0.0
    assert support("Yes.", _passages(texts=[BIRDS]), asked) == 0.0


TRAVEL = "Meals are refunded up to 40 euros a day. Alcohol is not refunded. You can't get a refund after 30 days."


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("Is alcohol refunded?", "Alcohol is not refunded.", 1.0),
        ("Is alcohol refunded?", "Alcohol is not refunded [1].", 1.0),
        ("Is alcohol refunded?", "No, alcohol is not refunded.", 1.0),
        ("Is alcohol refunded?", "Alcohol isn't refunded.", 1.0),
        ("Is alcohol refunded?", "Alcohol is refunded.", 0.0),
        ("Is alcohol refunded?", "Yes, alcohol is refunded [1].", 0.0),
        ("What is refunded?", "Alcohol is refunded.", 0.0),
        ("Are meals refunded?", "Meals are refunded.", 1.0),
        ("Are meals refunded?", "Meals are not refunded.", 0.0),
        ("Can I get a refund?", "You can get a refund.", 1.0),
        ("What is said of refunds after 30 days?", "You can't get a refund after 30 days.", 1.0),
    ],
)
def test_an_answer_to_a_yes_or_no_question_is_held_to_what_the_passages_affirm_and_deny(question, answer, expected):
    assert support(answer, _passages(texts=[TRAVEL]), question) == expected


def test_a_sentence_that_denies_a_passage_lowers_the_support_of_the_others():
    passages = _passages(texts=[TRAVEL])
    assert support("Meals are refunded. Alcohol is refunded.", passages, "What about alcohol?") <= 0.5


def test_a_denial_in_one_passage_counts_for_nothing_where_another_affirms_the_same():
    passages = _passages(texts=["Alcohol is not refunded.", "Alcohol is refunded."])
    assert support("Yes, alcohol is refunded.", passages, "Is alcohol refunded?") == 1.0


def test_a_heading_that_asks_the_question_supports_no_answer_that_repeats_it():
    passages = _passages(texts=["What does the robin do? The robin sings at dawn."])
    assert support("What does the robin do?", passages, "What does the robin do?") == 0.0


def test_stop_words_of_the_language_of_the_collection_support_nothing():
    passages = _passages(texts=["Die Rückgabe ist innerhalb von dreißig Tagen möglich."])
    answer = "Für die Rückgabe sind dreißig Tage vorgesehen, aber der Versand ist von ihnen nicht ausgenommen."

    in_english, in_german = (support(answer, passages, "", (language,)) for language in ("en", "de"))

    assert support("Die Rückgabe ist in dreißig Tagen möglich.", passages, "", ("de",)) == 1.0
    assert in_german > in_english
