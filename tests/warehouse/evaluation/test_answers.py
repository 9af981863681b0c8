import asyncio

import pytest

from rag.errors import LlmUnavailableError
from rag.llm.protocol import Completion
from warehouse.audit.golden import Golden
from warehouse.evaluation.answers import Answered, answer_measures, judge_faith


def answered(answer, *, expected=(), reference=None, right=(), cited=()):
    golden = Golden("main", "key", "When does it open?", expected, reference, "golden.jsonl:1")
    return Answered(golden, frozenset(right), answer, frozenset(cited), ("It opens at nine.",))


class Judge:
    """Says what it was told to, one verdict after the other; an exception is raised."""

    model = "judge"

    def __init__(self, *said):
        self.said = list(said)

    async def complete(self, messages, sampling):  # noqa: ARG002
        said = self.said.pop(0)
        if isinstance(said, Exception):
            raise said
        return Completion(said, "stop", 1, 1, "judge")


def faith(answers, *said):
    return asyncio.run(judge_faith(answers, Judge(*said)))


def test_an_answer_that_is_not_served_counts_as_wrong():
    found = answer_measures([answered("At nine.", reference="at NINE"), answered(None, reference="At ten.")])

    assert found == {"served": 0.5, "exact_match": 0.5, "f1": 0.5}


def test_citations_are_judged_where_the_right_passages_are_known():
    right = answered("Nine [1].", right=["a", "b"], cited=["a", "c"])
    wrong = answered("Nine [1].", right=["a"], cited=["c"])
    uncited, unknown = answered("Nine.", right=["a"]), answered("Nine [1].", cited=["c"])

    found = answer_measures([right, wrong, uncited, unknown])

    assert found["cites_right"] == pytest.approx(1 / 3)
    assert found["citations_right"] == pytest.approx(1 / 4)


def test_what_the_judge_says_neither_yes_nor_no_to_is_counted_apart():
    four = [answered("Nine.")] * 4

    assert faith(four, "Yes.", " **No**, it does not", "nobody knows", LlmUnavailableError("busy")) == {
        "faithful": 0.5,
        "unjudged": 2,
    }


def test_a_judge_that_cannot_be_asked_at_all_is_an_error():
    with pytest.raises(LlmUnavailableError, match="nobody there"):
        faith([answered("Nine.")], LlmUnavailableError("nobody there"))
