"""Which questions want one answer, and which of several items with one key is kept."""

from __future__ import annotations

import json

import pytest

from batch.questions.question_files import CuratedPair, Question, Reject, parse_curated, parse_questions
from batch.questions.wordings import Asked, Fence, Item, Wording, answer_name, is_over, keep_first, of_one_answer, ruled
from rag.identity import query_key
from warehouse.editorial.wordings import Ruling


def listed(text: str) -> list[Question]:
    found = list(parse_questions("team.csv", text.encode(), "main"))
    assert not [each for each in found if isinstance(each, Reject)]
    return [each for each in found if isinstance(each, Question)]


def pairs(*rows: dict[str, object]) -> list[CuratedPair]:
    data = "\n".join(map(json.dumps, rows)).encode()
    return [each for each in parse_curated("pairs.jsonl", data, "main") if isinstance(each, CuratedPair)]


def texts(asked: list[Asked]) -> tuple[list[str], list[str]]:
    primary, wordings, _ = of_one_answer(asked)
    return [each.question for each in primary], [each.question for each in wordings]


def test_variants_are_further_wordings() -> None:
    found = listed("question,variants,owner\nHow long?,What period?; how  many days|until when,ann\n")
    primary, wordings, rejects = of_one_answer(found)
    assert [each.question for each in wordings] == ["What period?", "how many days", "until when"]
    assert {(each.answer_key, each.origin, each.approved_by) for each in wordings} == {
        (primary[0].query_key, "list", "ann")
    }
    assert not rejects


def test_rows_that_name_one_answer_want_it_and_the_first_line_is_primary() -> None:
    found = listed("question,answer\n" + "".join(f"Question {n}?,same\n" for n in range(12)))
    assert len({answer_name(each) for each in found}) == 1
    assert texts(list(reversed(found)))[0] == ["Question 0?"]


def test_the_name_of_an_answer_is_one_name_in_whatever_capitals() -> None:
    one, two, other = listed(
        "question,answer\nHow do I send it back?,Returns\nback it goes,returns\nHow to swap?,swaps\n"
    )
    assert answer_name(one) == answer_name(two) != answer_name(other)


def test_curated_pairs_with_one_answer_and_documents_want_it() -> None:
    same = {"answer": "Yes.", "documents": ["a"]}
    one, two, other, late = pairs(
        {"question": "A?", **same},
        {"question": "B?", **same},
        {"question": "C?", "answer": "Yes."},
        {"question": "D?", **same, "valid_until": "2031-01-01"},
    )
    assert answer_name(one) == answer_name(two) != answer_name(other)
    assert answer_name(late) != answer_name(one)


@pytest.mark.parametrize("answer", ["Yes.", "no", "Ja!"])
def test_what_has_a_mere_yes_or_no_as_its_answer_is_a_question_of_its_own(answer: str) -> None:
    dogs, cats = pairs({"question": "Dogs?", "answer": answer}, {"question": "Cats?", "answer": answer})

    assert answer_name(dogs) is answer_name(cats) is None


def test_a_variant_that_is_no_question_is_a_reject_of_its_own() -> None:
    _, wordings, [reject] = of_one_answer(listed("question,variants\nHow long?,???;until when\n"))
    assert [each.question for each in wordings] == ["until when"]
    assert "team.csv, line 2" in reject.item


def wording(text: str, of: str, origin: str = "list", *, by_person: bool = False) -> Wording:
    return Wording("main", query_key("main", text), query_key("main", of), text, of, origin, "w", "ann",
                   by_person=by_person)  # fmt: skip


def question(text: str, origin: str) -> Question:
    return Question("main", query_key("main", text), text, text, origin, "q")


@pytest.mark.parametrize(
    ("items", "kept", "rejected"),
    [
        ([wording("A?", "B?"), question("A?", "list")], "list", 1),
        ([wording("A?", "B?"), question("A?", "journal")], "wording", 0),
        ([wording("A?", "B?"), question("A?", "golden")], "wording", 0),
        ([wording("A?", "B?"), question("A?", "canary")], "canary", 1),
        ([wording("A?", "B?", "journal"), question("A?", "golden")], "golden", 0),
        ([wording("A?", "B?", "journal"), question("A?", "journal")], "wording", 0),
        ([wording("A?", "B?", "review", by_person=True), question("A?", "list")], "wording", 0),
        ([wording("A?", "B?"), wording("A?", "B?")], "wording", 0),
        ([wording("A?", "B?"), wording("A?", "C?")], "wording", 1),
    ],
)
def test_a_question_of_its_own_is_no_wording_unless_a_person_joined_it(
    items: list[Item], kept: str, rejected: int
) -> None:
    found, rejects = keep_first(reversed(items))
    assert ("wording" if isinstance(found, Wording) else found.origin) == kept
    assert len(rejects) == rejected


OLD_PRICE = {"question": "What is the price?", "answer": "Six.", "valid_until": "2020-01-31", "owner": "ann"}
PRICE = {"question": "What is the price?", "answer": "Eight."}


@pytest.mark.parametrize("rows", [(OLD_PRICE, PRICE), (PRICE, OLD_PRICE)])
def test_the_pair_that_follows_one_that_is_over_is_served_wherever_it_stands(
    rows: tuple[dict[str, object], ...],
) -> None:
    kept, [reject] = keep_first(pairs(*rows))

    assert isinstance(kept, CuratedPair)
    assert (kept.answer, kept.owner, is_over(kept)) == ("Eight.", "ann", False)
    assert reject.reason.endswith("that one's other answer was kept")


def test_until_when_a_list_has_a_question_ends_no_curated_answer() -> None:
    [asked] = listed("question,valid_until\nIs there a sauna?,2020-01-31\n")
    [pair] = pairs({"question": "Is there a sauna?", "answer": "No."})

    kept, _ = keep_first([asked, pair])

    assert not is_over(kept)


def test_a_ruling_makes_a_wording_or_a_fence_of_the_answer_that_there_is() -> None:
    def rule(verdict: str, about: list[Item], text: str = "new?") -> Wording | Fence | None:
        return ruled(Ruling("main", query_key("main", "A?"), text, verdict, "journal", "judge"), about)  # type: ignore[arg-type]

    asked = question("A?", "list")
    assert isinstance(rule("wording", [asked]), Wording)
    assert isinstance(rule("fence", [asked]), Fence)
    assert rule("wording", []) is None
    assert rule("fence", [asked], "a?") is None
    moved = rule("wording", [wording("A?", "B?", "review", by_person=True)])
    assert isinstance(moved, Wording)
    assert moved.answer_key == query_key("main", "B?")
