"""Nights of a judge: what a broken server costs, and what counts once it is repaired."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from batch.generation.chats import Chat, Replies, Task
from batch.stores.generation_store import GenerationRow
from batch.wordings.answer_judge import Judge
from batch.wordings.cases import Case, Exam, Trust
from batch.wordings.prepared_answers import PreparedAnswer
from batch.wordings.sittings import put

Says = Callable[[bool], float | None]
"""The probability of a yes, given whether the answer fits; None is neither yes nor no."""

ANSWERS = [
    PreparedAnswer("help", f"k{number}", f"What about {number}?", f"It is {number}.", f"f{number}", (), (), (), "list")
    for number in range(10)
]
EXAM = Exam(
    tuple(Case(each.question, each) for each in ANSWERS),
    tuple(Case(f"Who wrote {number}?", each) for number, each in enumerate(ANSWERS)),
)
MISS = Case("and 3?", ANSWERS[3])


def right(fits: bool) -> float:
    return 0.99 if fits else 0.01


def confused(fits: bool) -> float:
    return 1 - right(fits)


@dataclass
class Nights:
    """A store of verdicts over several runs; `asked` are the texts that the last one paid for."""

    stored: dict[str, GenerationRow] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    runs: int = 0

    def night(self, says: Says, *misses: Case, fewest: int = 100) -> Trust:
        """Run once with a server that says so, and goes away after some replies; return what its word counts for."""
        self.runs += 1
        self.asked = []
        run = f"run-{self.runs}"

        def ask(_task: Task, groups: Sequence[Sequence[Chat]]) -> Replies:
            for chat in (chat for group in groups for chat in group if chat.fingerprint not in self.stored):
                if len(self.asked) < fewest:
                    text = chat.messages()[-1].content.split("A visitor asks: ")[1].split("\n")[0]
                    self.asked.append(text)
                    yes = says(not text.startswith("Who"))
                    said = json.dumps({"yes": yes, "by_tokens": True})
                    self.stored[chat.fingerprint] = GenerationRow(
                        fingerprint=chat.fingerprint, text=said, finish_reason="stop", prompt_tokens=1,
                        completion_tokens=1, cached_tokens=0, run_id=run, generated_at=datetime.now(UTC), seconds=0.0,
                    )  # fmt: skip
            texts = {key: row["text"] for key, row in self.stored.items()}
            return Replies(texts, {"asked": len(self.asked), "rejects": 0, "left_out": 0})

        def earlier(keys: Collection[str]) -> dict[str, GenerationRow]:
            return {key: self.stored[key] for key in keys if key in self.stored and self.stored[key]["run_id"] != run}

        return put(Judge("m", run, ask, earlier), "join", {"help": EXAM}, misses).trust["help"]


@pytest.mark.parametrize("broken", [lambda _: None, lambda _: 0.99, lambda _: 0.01, confused])
def test_a_server_that_was_broken_for_nights_counts_once_it_is_repaired(broken: Says) -> None:
    nights = Nights()
    for _ in range(2):
        assert not nights.night(broken).counts_wholly

    repaired = nights.night(right, MISS)

    assert repaired.counts_wholly
    assert nights.night(right, MISS) == repaired
    assert nights.asked == []


def test_a_broken_server_is_asked_its_exam_alone_and_once_a_night() -> None:
    nights = Nights()

    for _ in range(3):
        assert not nights.night(confused, MISS).counts
        assert len(nights.asked) == 20


def test_what_was_judged_while_a_yes_did_not_count_is_judged_anew_once_it_does() -> None:
    nights = Nights()
    assert nights.night(lambda _: 0.99, MISS) == Trust(yes=False, no=True)
    nights.night(lambda _: 0.99, MISS)
    assert MISS.text not in nights.asked, "nothing has changed"

    nights.night(right, MISS)

    assert nights.asked.count(MISS.text) == 1


def test_an_exam_that_was_failed_narrowly_stands() -> None:
    nights = Nights()
    mistakes = iter([0.99, 0.99])
    assert nights.night(lambda fits: right(fits) if fits else next(mistakes, 0.01)) == Trust(yes=False, no=True)

    assert nights.night(right) == Trust(yes=False, no=True)
    assert nights.asked == []


@pytest.mark.parametrize(("mistakes", "counts"), [(1, True), (2, False)])
def test_a_mistake_may_be_chance_and_two_in_ten_are_not(mistakes: int, counts: bool) -> None:
    said = iter([0.99] * mistakes)

    trust = Nights().night(lambda fits: right(fits) if fits else next(said, 0.01))

    assert (trust.yes, trust.no) == (counts, True)


def test_a_judge_that_goes_away_in_its_exam_has_not_passed_and_goes_on_the_next_night() -> None:
    nights = Nights()
    assert not nights.night(right, fewest=4).counts

    assert nights.night(right) == Trust(yes=True, no=True)
    assert len(nights.asked) == 16


def test_a_server_that_breaks_after_its_exam_is_asked_nothing_but_what_it_had_right() -> None:
    nights = Nights()
    nights.night(right)
    assert not nights.night(confused, MISS).counts
    assert len(nights.asked) == 10
    assert MISS.text not in nights.asked

    assert nights.night(right, MISS).counts_wholly
    assert (len(nights.asked), nights.asked.count(MISS.text)) == (11, 1)
    assert nights.night(right, MISS).counts_wholly
    assert nights.asked == [], "there is nothing new to judge"
