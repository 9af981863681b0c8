import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rag.errors import ModelError
from rag.paraphrase.verifier import Verifier
from rag.selection.certificate import (
    ESTIMATED,
    OWN,
    SHIPPED,
    LeftOut,
    SelectionCertificate,
    certify,
    checked,
    estimated,
    looser,
)
from rag.selection.evidence import NEAREST, Wordings, nearest, weigh
from rag.selection.selector import Selector, Weights, final_objection, select
from rag.selection.shipped import SHIPPED as SHIPPED_FILE
from rag.selection.shipped import ShippedSelector

LOOKALIKES = Path(__file__).parents[1] / "paraphrase" / "lookalikes.jsonl"


def certificate(tolerated: float, threshold: float | None, source: str = OWN) -> SelectionCertificate:
    return SelectionCertificate(tolerated, threshold, source, tolerated, 0.975, 0, 0, 0, "")


SELECTOR = Selector(Weights(-2.0, 12.0, -7.0, 0.0), (certificate(0.02, 0.9), certificate(0.05, 0.6)))


def unit(*parts: float) -> np.ndarray:
    vector = np.zeros(8, dtype=np.float32)
    vector[: len(parts)] = parts
    return vector / np.linalg.norm(vector)


DESK = Wordings(
    ["How do I enable alerts?", "switch the alerts on", "Where is my parcel?", "track my order", "Do you sell tea?"],
    ["alerts", "alerts", "parcel", "parcel", "tea"],
    np.stack([unit(1, 0.1), unit(1, 0.2), unit(0, 0, 1, 0.1), unit(0, 0, 1, 0.2), unit(0, 0, 0, 0, 1)]),
)


def chosen(question: str, vector: np.ndarray, tolerated: float = 0.02):
    return select(SELECTOR, Verifier.default(), question, vector, nearest(vector, DESK), tolerated)


def test_a_question_amid_the_wordings_of_an_answer_gets_it():
    found = chosen("turn alerts on please", unit(1, 0.15))

    assert (found.answer, found.reason) == ("alerts", "accepted")
    assert found.wording in DESK.texts[:2]
    assert found.score >= found.threshold == 0.9


def test_a_question_between_two_answers_or_far_from_all_gets_none():
    assert chosen("alerts about my parcel", unit(1, 0, 1)).reason == "below_threshold"
    assert chosen("how tall is a giraffe", unit(0, 0, 0, 0, 0, 0, 1)).answer is None


def test_an_answer_with_one_wording_is_decided_by_the_pair():
    assert chosen("do you sell tea", unit(0, 0, 0, 0, 1)).reason == "accepted_pair"
    assert chosen("do you sell cups", unit(0, 0, 0, 0, 1)).answer is None


def test_a_guard_refuses_the_opposite_of_a_wording_however_near_it_is():
    found = chosen("How do I disable alerts?", unit(1, 0.1))

    assert (found.answer, found.reason) == (None, "antonyms")


def test_a_guard_does_not_refuse_what_other_words_say():
    question = "my mother lent me 500 pounds to buy groceries and clothes last week, so switch alerts on"
    near = nearest(unit(1, 0.2), DESK)
    evidence = weigh(question, unit(1, 0.2), near)

    assert evidence is not None
    assert final_objection(question, near, evidence) is None


def test_a_guard_that_parts_an_answers_own_wordings_has_no_say():
    alarms = ["set an alarm for 7", "wake me at 6 tomorrow", "set an alarm for noon", "alarm at 8", "ring at 9 please"]
    desk = Wordings(
        [*alarms, *DESK.texts[2:4]], ["alarm"] * 5 + ["parcel"] * 2, np.stack([unit(1, 0.1)] * 5 + [*DESK.vectors[2:4]])
    )
    one = Wordings(
        ["show order 7", "order 7 please", "I want order 7", "order 7", "my order 7", *DESK.texts[2:4]],
        ["seven"] * 5 + ["parcel"] * 2,
        desk.vectors,
    )

    def answer(question: str, wordings: Wordings) -> str | None:
        return select(
            SELECTOR, Verifier.default(), question, unit(1, 0.1), nearest(unit(1, 0.1), wordings), 0.02
        ).answer

    assert answer("set an alarm for 5", desk) == "alarm"
    assert answer("show order 8", one) is None


def test_every_guard_beside_the_closest_wording_is_asked_not_the_first_alone():
    ways = ["way to the hotel from the airport", "airport shuttle", "a taxi to you", "directions please", "bus to us"]
    desk = Wordings(
        [*ways, *DESK.texts[2:4]], ["way"] * 5 + ["parcel"] * 2, np.stack([unit(1, 0.1)] * 5 + [*DESK.vectors[2:4]])
    )

    def reason(question: str) -> str:
        return select(SELECTOR, Verifier.default(), question, unit(1, 0.1), nearest(unit(1, 0.1), desk), 0.02).reason

    assert reason("way from the airport to the hotel") == "accepted"
    assert reason("way from the hotel to the airport") == "directions_differ"


def test_a_condition_that_no_wording_of_the_answer_has_is_refused():
    hours = [
        "When are you open?",
        "until when can I come",
        "opening hours please",
        "do you open early",
        "closing time?",
    ]
    tea = ["Do you sell tea?", "is there tea at Christmas"]
    desk = Wordings([*hours, *tea], ["hours"] * 5 + ["tea"] * 2, np.stack([unit(1, 0.1)] * 5 + [unit(0, 0, 1)] * 2))

    def found(question: str) -> tuple[str | None, str]:
        chosen = select(SELECTOR, Verifier.default(), question, unit(1, 0.1), nearest(unit(1, 0.1), desk), 0.02)
        return chosen.answer, chosen.reason

    assert found("opening hours on Sunday please") == ("hours", "accepted")
    assert found("opening hours at Christmas please") == (None, "content_differs")


def test_a_selector_calibrated_without_guards_asks_none():
    free = replace(SELECTOR, guarded=False)
    near = nearest(unit(1, 0.1), DESK)

    assert select(free, Verifier.default(), "How do I disable alerts?", unit(1, 0.1), near, 0.02).answer == "alerts"


def test_an_answer_with_few_wordings_is_not_given_to_a_lookalike_that_changes_one_word():
    desk = Wordings(
        ["Where is my debit card?", "my debit card has not come, where is it", *DESK.texts[2:4]],
        ["card", "card", "parcel", "parcel"],
        DESK.vectors[:4],
    )

    def reason(question: str) -> str:
        return select(SELECTOR, Verifier.default(), question, unit(1, 0.15), nearest(unit(1, 0.15), desk), 0.02).reason

    assert reason("Where is my credit card?") != "accepted"
    assert reason("When is my debit card?") != "accepted"
    assert reason("I am still waiting for the plastic you promised to post") == "accepted"


@pytest.mark.parametrize("frames", [("{}",), ("{}", "Please tell me: {}", "{}, please?", "quick question, {}")])
def test_no_lookalike_hits_an_answer_whose_wordings_are_one_or_say_the_same_in_the_same_words(frames):
    verifier = Verifier.default()
    for row in map(json.loads, LOOKALIKES.read_text(encoding="utf-8").splitlines()):
        cosine, anticipated = row["similarity"], row["anticipated"].rstrip("?")
        wordings = [each.format(anticipated) for each in frames]
        near = Wordings(wordings, ["answer"] * len(wordings), np.tile(unit(1), (len(wordings), 1)))
        found = select(SELECTOR, verifier, row["asked"], unit(cosine, math.sqrt(1 - cosine**2)), near, 0.05)
        assert found.answer is None, row


def test_a_paraphrase_hits_an_answer_whose_wordings_say_the_same_in_the_same_words():
    frames = ("How do I renew a visa?", "Please tell me: how do I renew a visa?", "hello, how do I renew a visa")
    near = Wordings(frames, ["visa"] * 3, np.tile(unit(1), (3, 1)))

    found = select(SELECTOR, Verifier.default(), "how can i renew my visa", unit(1, 0.1), near, 0.02)

    assert (found.answer, found.reason) == ("visa", "accepted_pair")


def test_nothing_is_selected_without_a_certificate_or_with_a_tolerated_error_of_nought():
    assert chosen("turn alerts on please", unit(1, 0.15), tolerated=0.0).reason == "not_certified"
    assert math.isinf(Selector(SELECTOR.weights, (certificate(0.02, None),)).threshold(0.02))


def test_a_smaller_tolerated_error_that_is_certified_applies():
    assert SELECTOR.threshold(0.03) == 0.9


def test_no_wordings_give_no_answer():
    empty = Wordings([], [], np.zeros((0, 8), np.float32))

    assert select(SELECTOR, Verifier.default(), "anything", unit(1), empty, 0.02).reason == "no_candidates"


def test_the_work_does_not_grow_with_the_answers():
    chance = np.random.default_rng(0)
    vectors = chance.normal(size=(5000, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    many = Wordings([f"text {n}" for n in range(5000)], [f"answer {n // 5}" for n in range(5000)], vectors)

    near = nearest(unit(1), many)

    assert len(near.texts) == NEAREST
    assert near.texts[0] == many.texts[int((vectors @ unit(1)).argmax())]


def test_a_selector_is_the_same_after_saving_and_loading(tmp_path):
    SELECTOR.save(tmp_path / "selector.json")

    assert Selector.load(tmp_path / "selector.json") == SELECTOR


def test_answers_that_are_all_a_matter_of_pairs_are_left_to_the_verifier():
    near = nearest(unit(1, 0.15), DESK)

    found = select(
        SELECTOR, Verifier.default(), "let alerts appear", unit(1, 0.15), near, 0.02, frozenset(DESK.answers)
    )

    assert (found.answer, found.reason, found.evidence) == (None, "below_threshold", {})


@pytest.mark.parametrize("content", ["", "{}", '{"format": 0}', '{"format": 2, "weights": {}, "certificates": []}'])
def test_a_broken_selector_says_what_to_do(tmp_path, content):
    path = tmp_path / "selector.json"
    path.write_text(content)

    with pytest.raises(ModelError, match="build the release again"):
        Selector.load(path)


@pytest.mark.parametrize("wordings", [1, 2, 5, 40])
def test_the_shipped_selector_names_its_source_and_is_stricter_for_smaller_errors(wordings):
    shipped = ShippedSelector.load().selector(wordings)

    assert {each.source for each in shipped.certificates} == {SHIPPED}
    thresholds = [shipped.threshold(each) for each in (0.02, 0.05, 0.1)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert "CC BY" in SHIPPED_FILE.with_name("shipped-NOTICE.txt").read_text()


def test_the_shipped_selector_is_stricter_where_answers_have_fewer_wordings():
    shipped = ShippedSelector.load()

    for tolerated in (0.02, 0.05, 0.1):
        two, three, twelve, twenty = (shipped.selector(each).threshold(tolerated) for each in (2, 3, 12, 20))
        assert min(two, three) > max(twelve, twenty)
    assert shipped.selector(4.5) == shipped.selector(3)


def rows(right: int, wrong: int, score: float = 0.95) -> list[LeftOut]:
    good = [LeftOut(f"good {n}", f"answer {n % 40}", f"answer {n % 40}", score) for n in range(right)]
    return good + [LeftOut(f"bad {n}", f"answer {n}", "other", score) for n in range(wrong)]


def test_few_wordings_certify_nothing_and_many_do():
    assert certify(rows(60, 0), 0.02).threshold is None

    enough = certify(rows(2000, 4), 0.02)

    assert enough.threshold == 0.95
    assert (enough.accepted, enough.errors) == (2004, 4)
    assert enough.bound <= 0.02


def test_own_wordings_raise_the_shipped_threshold_only_where_they_contradict_it():
    shipped = certificate(0.02, 0.9, SHIPPED)

    assert checked(rows(100, 1), shipped).threshold == 0.9
    raised = checked(rows(100, 0, 0.97) + rows(0, 10, 0.92), shipped).threshold
    assert raised is not None
    assert 0.9 < raised <= 0.97


def test_hundreds_of_sure_wordings_loosen_the_threshold_and_dozens_do_not():
    def spread(count: int) -> list[LeftOut]:
        return [LeftOut(f"q{n}", f"a{n % 40}", f"a{n % 40}", 0.999 - 0.05 * n / count) for n in range(count)]

    hundreds, thousands = estimated(spread(900), 0.02), estimated(spread(3000), 0.02)

    assert estimated(spread(60), 0.02).threshold is None
    assert hundreds.threshold is not None and thousands.threshold is not None
    assert thousands.threshold < hundreds.threshold
    assert (thousands.source, thousands.errors) == (ESTIMATED, 0)
    assert thousands.bound <= 0.02


def test_errors_that_were_seen_outweigh_sure_scores():
    assert estimated(rows(1000, 0, 0.999), 0.02).threshold == 0.999
    found = estimated(rows(800, 0, 0.999) + rows(0, 80, 0.998), 0.02).threshold
    assert found is not None
    assert found > 0.998


def test_the_looser_of_two_certificates_counts():
    assert looser(certificate(0.02, None), certificate(0.02, 0.9)).threshold == 0.9
    assert looser(certificate(0.02, 0.8), certificate(0.02, 0.9)).threshold == 0.8
    assert looser(certificate(0.02, 0.8), certificate(0.02, None)).threshold == 0.8
