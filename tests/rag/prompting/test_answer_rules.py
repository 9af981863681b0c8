"""What a generated answer must pass before anybody takes it for an answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.prompting.answer_rules import AnswerRules, VisibleText, fault, without_reasoning

GOOD = "The library opens at nine [1]."


def judged(answer: str = GOOD, **change: object) -> str | None:
    found: dict[str, object] = {"finish_reason": "stop", "support": 0.9, "cited": 1, "consulted": 0}
    return fault(answer, **{"rules": AnswerRules(), **found, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "change", "expected"),
    [
        (GOOD, {}, None),
        ("", {}, "empty"),
        (" … \n", {}, "empty"),
        ("", {"finish_reason": "tool_calls"}, "tool_call"),
        ('<tool_call>{"name": "search", "arguments": {"q": "hours"}}</tool_call>', {}, "tool_call"),
        ('<tool_call>{"name": "search"', {}, "tool_call"),
        ('{"name": "search", "arguments": {"q": "hours"}}', {}, "tool_call"),
        ('Send {"name": "Ada", "arguments": {}} to the API [1].', {}, None),
        ("I do not know.", {}, "refusal"),
        ("I don\u2019t know that.", {}, "refusal"),
        ("\n\nI'm sorry, but no.", {}, "refusal"),
        (GOOD, {"finish_reason": "content_filter"}, "refusal"),
        ("Ask those who know. I do not know everything.", {}, None),
        (GOOD, {"finish_reason": "length"}, "cut_off"),
        (GOOD, {"finish_reason": "length", "rules": AnswerRules(withhold_truncated=False)}, None),
        (GOOD, {"cited": 0}, "uncited"),
        (GOOD, {"cited": 0, "consulted": 3}, None),
        (GOOD, {"cited": 0, "consulted": 3, "rules": AnswerRules(require_citation=True)}, "uncited"),
        (GOOD, {"support": 0.29}, "unsupported"),
        (GOOD, {"support": 0.3}, None),
        ("I do not know.", {"rules": AnswerRules(refusals=())}, None),
    ],
)
def test_each_fault_has_its_name(answer: str, change: dict[str, object], expected: str | None) -> None:
    assert judged(answer, **change) == expected


REASONED = [
    ("<think>hm</think>At nine.", "At nine.", "hm"),
    ("<think>\nhm\n</think>\n\nAt nine.", "At nine.", "hm"),
    ("At <think>hm</think>nine.", "At nine.", "hm"),
    ("At nine. <think>or ten", "At nine.", "or ten"),
    ("<think>at nine, I think", "", "at nine, I think"),
    ("hm, so</think>At nine.", "At nine.", "hm, so"),
    ("< think >hm</ think >At nine.", "At nine.", "hm"),
    ('<think budget="9">hm</think\n>At nine.', "At nine.", "hm"),
    ("<seed:think>hm</seed:think>At nine.", "At nine.", "hm"),
    ("<reflection>hm</reflection>At nine.", "At nine.", "hm"),
    ("If a < b, and b < thinkers, at nine.", "If a < b, and b < thinkers, at nine.", None),
    ("<THINKING>hm</THINKING>At nine.", "At nine.", "hm"),
    ("[THINK]hm[/THINK]At nine.", "At nine.", "hm"),
    ("<think>a<think>b</think>c</think>At nine.", "At nine.", "abc"),
    ("At nine.", "At nine.", None),
    ("Models mark it as `<think>`.", "Models mark it as `<think>`.", None),
    ("1 < 2 [1]", "1 < 2 [1]", None),
]


@pytest.mark.parametrize(("text", "answer", "reasoning"), REASONED)
def test_reasoning_is_no_part_of_the_answer(text: str, answer: str, reasoning: str | None) -> None:
    assert without_reasoning(text) == (answer, reasoning)


@given(st.sampled_from([text for text, _, _ in REASONED]), st.lists(st.integers(0, 60)))
def test_a_text_in_pieces_is_separated_like_the_whole(text: str, cuts: list[int]) -> None:
    ends = sorted({*(cut for cut in cuts if cut < len(text)), len(text)})
    stream = VisibleText()
    for start, end in zip([0, *ends], ends, strict=False):
        stream.feed(text[start:end])
    stream.finish()

    answer, reasoning = without_reasoning(text)
    assert (stream.text.strip(), stream.reasoning) == (answer, reasoning)


def test_no_reasoning_is_ever_among_the_pieces_to_show() -> None:
    stream = VisibleText()
    shown = [stream.feed(letter) for letter in "<think>secret</think>At nine [1]."]
    assert "".join(shown) + stream.finish() == "At nine [1]."
