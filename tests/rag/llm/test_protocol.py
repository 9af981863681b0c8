"""Many calls to a model at once: order, limits, failures; and the identity of sampling parameters."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.errors import LlmError, LlmRefusedError
from rag.llm.protocol import Completion, Message, Sampling, complete_all


class Echo:
    """Answers with the question; the shortest waits longest, and "bad" is refused."""

    model = "echo"

    def __init__(self):
        self.now = self.most = 0

    async def complete(self, messages, _sampling):
        self.now += 1
        self.most = max(self.most, self.now)
        text = messages[-1].content
        for _ in range(10 - min(len(text), 9)):
            await asyncio.sleep(0)
        self.now -= 1
        if text == "bad":
            raise LlmRefusedError("bad")
        return Completion(text, "stop", 1, 1, self.model)


TEXTS = st.lists(st.sampled_from(["a", "bb", "cccccc", "bad"]), max_size=12)


@given(TEXTS, st.integers(1, 5))
def test_outcomes_come_in_the_order_of_the_chats_and_one_failure_is_one_row(texts, concurrency):
    echo, done = Echo(), []

    outcomes = asyncio.run(
        complete_all(echo, [[Message("user", text)] for text in texts], Sampling(), concurrency, done.append)
    )

    assert ["bad" if isinstance(each, LlmError) else each.text for each in outcomes] == texts
    assert sorted(map(id, done)) == sorted(map(id, outcomes))
    assert echo.most <= concurrency
    assert echo.most == min(concurrency, len(texts))


def test_a_bug_is_not_mistaken_for_an_llm_error():
    class Broken(Echo):
        async def complete(self, *_):
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        asyncio.run(complete_all(Broken(), [[Message("user", "a")]], Sampling(), 2))


@pytest.mark.parametrize(
    "changed",
    [
        {"max_tokens": 1},
        {"temperature": 0.5},
        {"top_p": 0.5},
        {"frequency_penalty": 1.5},
        {"presence_penalty": 1.5},
        {"repetition_penalty": 1.5},
        {"seed": None},
        {"seed": 1},
        {"stop": ("x",)},
        {"top_logprobs": 1},
    ],
)
def test_every_sampling_parameter_is_part_of_an_answers_identity(changed):
    assert replace(Sampling(), **changed).identity() != Sampling().identity()


def test_older_answers_keep_their_identity_when_a_parameter_is_added():
    every = replace(Sampling(), presence_penalty=0.5, repetition_penalty=1.5, top_logprobs=1)
    assert set(every.identity()) == set(Sampling.__dataclass_fields__)
    known = {"max_tokens", "temperature", "top_p", "frequency_penalty", "seed", "stop"}
    assert set(Sampling().identity()) == known
