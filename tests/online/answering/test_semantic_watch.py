"""Semantic hits are tightened, then stopped, when they break the promised error rate: in all processes, for good."""

from __future__ import annotations

import asyncio
import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from online.answering.semantic_watch import SemanticWatch, likelihood_ratio
from online.telemetry.metrics import Metrics
from rag.collection_settings import CollectionSettings
from rag.paraphrase.calibration import Certificate
from rag.paraphrase.verifier import Verifier
from rag.selection.certificate import OWN, SelectionCertificate
from rag.selection.selector import Selector, Weights
from tests.fake_llm import FakeLlm
from tests.online.answering.test_semantic_hits import PARAPHRASE, ask
from tests.online.conftest import LIBRARY, Library, Serve
from tests.waiting import until
from warehouse.releases.comparisons import Comparison, comparisons_file

PLAIN = Verifier.default()


class Trained(Verifier):
    """A verifier with thresholds for some tolerated errors; none is certified for 1 %."""

    def __init__(self) -> None:
        thresholds = {0.01: None, 0.02: 0.9, 0.05: 0.8, 0.1: 0.6}
        super().__init__(
            trees=object(),  # type: ignore[arg-type]  # never asked for a score here
            certificates=tuple(
                Certificate(error, threshold, 1000, 500, 5, error, 0.95, "hash")
                for error, threshold in thresholds.items()
            ),
        )


def watch(data: Path, tolerated: float = 0.05, *, verifier: Verifier = PLAIN, enabled: bool = True) -> SemanticWatch:
    """Begin to watch the release "r1", as a worker process does when it starts."""
    made = SemanticWatch(data, {"library": tolerated, "museum": tolerated}, Metrics(), enabled=enabled)
    made.begin("r1", verifier)
    return made


def compare(watched: SemanticWatch, *agreeing: bool, score: float = 1.0) -> None:
    for agrees in agreeing:
        watched.record("r1", Comparison("library", score, agrees))
    asyncio.run(watched.follow())


def shown(watched: SemanticWatch, name: str) -> float:
    lines = watched._metrics.scrape().decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"beforehand_semantic_{name} ")))


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip fsync: these tests write a lot, and need no durability."""
    monkeypatch.setattr("warehouse.append_log.os.fsync", lambda _: None)


@given(st.floats(0.001, 0.9), st.integers(1, 1000), st.data())
def test_the_ratio_compares_twice_the_tolerated_rate_with_the_tolerated_one(
    tolerated: float, compared: int, data: st.DataObject
) -> None:
    differing = data.draw(st.integers(0, compared))
    ratio = likelihood_ratio(differing, compared, tolerated)
    if differing / compared <= tolerated:
        assert ratio <= 1
    elif differing / compared >= 2 * tolerated:
        assert ratio >= 1


def test_a_selector_is_tightened_as_a_verifier_is(tmp_path: Path) -> None:
    certificates = tuple(
        SelectionCertificate(error, threshold, OWN, error, 0.975, 100, 50, 0, "hash")
        for error, threshold in ((0.02, 0.9), (0.05, 0.7))
    )
    made = SemanticWatch(tmp_path, {"library": 0.05}, Metrics(), enabled=True)
    made.begin("r1", PLAIN, {"library": Selector(Weights(0.0, 1.0, 1.0, 0.0), certificates)})

    def compare_selected(score: float) -> None:
        for _ in range(4):
            made.record("r1", Comparison("library", score, agrees=False, selected=True))
        asyncio.run(made.follow())

    compare_selected(0.8)

    assert made.tolerated("library") == 0.02

    compare_selected(0.8)  # hits that are served no longer
    assert made.tolerated("library") == 0.02

    compare_selected(0.95)
    compare_selected(0.95)
    assert made.tolerated("library") is None, "nothing stricter is certified"


def test_the_ratio_is_that_of_two_binomials() -> None:
    def probability(rate: float) -> float:
        return math.comb(20, 3) * rate**3 * (1 - rate) ** 17

    assert likelihood_ratio(3, 20, 0.05) == pytest.approx(probability(0.1) / probability(0.05))
    assert likelihood_ratio(1, 20, 0.0) == math.inf


def test_the_figures_of_the_design_note_hold() -> None:
    """At 5 %: how often it is stopped wrongly within 1,000, and how soon it is stopped at twice the rate."""
    draw = random.Random(7).random

    def stops(rate: float) -> int | None:
        differing = 0
        for compared in range(1, 1001):
            differing += draw() < rate
            if likelihood_ratio(differing, compared, 0.05) >= 100:
                return compared
        return None

    assert sum(stops(0.05) is not None for _ in range(500)) <= 0.02 * 500
    noticed = sorted(stops(0.1) or 1001 for _ in range(200))
    assert 150 <= noticed[100] <= 230


def test_hits_go_on_while_the_promise_may_be_kept(tmp_path: Path) -> None:
    watched = watch(tmp_path)
    compare(watched, *(number % 25 != 0 for number in range(400)))  # 4 % differ
    assert watched.tolerated("library") == 0.05
    assert shown(watched, "error_estimate") == pytest.approx(0.04)
    assert 0.04 < shown(watched, "error_upper_bound") < 0.07


def test_hits_stop_when_the_promise_is_broken_beyond_doubt_and_only_there(tmp_path: Path) -> None:
    watched = watch(tmp_path)
    compare(watched, *(number % 3 != 0 for number in range(60)))  # a third differ
    assert watched.tolerated("library") is None
    assert watched.tolerated("museum") == 0.05
    assert shown(watched, "hits_enabled") == 0


def test_a_few_comparisons_prove_nothing(tmp_path: Path) -> None:
    watched = watch(tmp_path)
    compare(watched, *[False] * 6)
    assert watched.tolerated("library") == 0.05
    compare(watched, False)
    assert watched.tolerated("library") is None


def test_the_threshold_is_tightened_first_to_the_next_that_is_certified(tmp_path: Path) -> None:
    watched = watch(tmp_path, 0.1, verifier=Trained())
    compare(watched, *[False] * 4, score=0.7)
    assert watched.tolerated("library") == 0.05
    assert (shown(watched, "hits_tightened"), shown(watched, "hits_enabled")) == (1, 1)
    compare(watched, *[False] * 100, score=0.7)  # had begun before: such hits are not served any more
    assert watched.tolerated("library") == 0.05
    compare(watched, *[False] * 4, score=0.85)
    assert watched.tolerated("library") == 0.02
    compare(watched, *[False] * 6, score=0.95)
    assert watched.tolerated("library") == 0.02  # 1 % has no certificate, so there is nothing stricter
    compare(watched, False, score=0.95)
    assert watched.tolerated("library") is None


def test_earlier_hits_that_pass_the_stricter_threshold_still_count(tmp_path: Path) -> None:
    watched = watch(tmp_path, 0.1, verifier=Trained())
    compare(watched, *[True] * 20, score=0.95)
    compare(watched, *[False] * 9, score=0.7)
    assert watched.tolerated("library") == 0.05
    assert shown(watched, "error_estimate") == 0
    assert shown(watched, "error_upper_bound") == pytest.approx(1 - 0.05 ** (1 / 20), abs=1e-3)


def test_all_processes_come_to_the_same_conclusion(tmp_path: Path) -> None:
    one, other = watch(tmp_path), watch(tmp_path)
    compare(one, *[False] * 4)
    compare(other, *[False] * 3)
    assert other.tolerated("library") is None
    asyncio.run(one.follow())
    assert one.tolerated("library") is None


def test_a_restart_changes_nothing_and_a_new_release_starts_over(tmp_path: Path) -> None:
    compare(watch(tmp_path, 0.1, verifier=Trained()), *[False] * 4, score=0.7)
    again = watch(tmp_path, 0.1, verifier=Trained())
    assert again.tolerated("library") == 0.05
    again.begin("r2", Trained())
    assert again.tolerated("library") == 0.1
    assert shown(again, "error_upper_bound") == 1
    again.begin("r1", Trained())
    assert again.tolerated("library") == 0.05


def test_another_tolerated_error_judges_the_same_comparisons_again(tmp_path: Path) -> None:
    compare(watch(tmp_path, 0.05), *(number % 5 != 0 for number in range(100)))  # a fifth differ
    assert watch(tmp_path, 0.05).tolerated("library") is None
    assert watch(tmp_path, 0.25).tolerated("library") == 0.25


def test_removing_the_file_starts_over(tmp_path: Path) -> None:
    watched = watch(tmp_path)
    compare(watched, *[False] * 7)
    comparisons_file(tmp_path, "r1").unlink()
    asyncio.run(watched.follow())
    assert watched.tolerated("library") == 0.05


def test_switched_off_hits_stay_off(tmp_path: Path) -> None:
    watched = watch(tmp_path, enabled=False)
    assert watched.tolerated("library") is None
    assert shown(watched, "hits_enabled") == 0


def test_torn_lines_and_unknown_collections_do_no_harm(tmp_path: Path) -> None:
    watched = watch(tmp_path)
    watched.record("r1", Comparison("archive", 1.0, False))
    with comparisons_file(tmp_path, "r1").open("a") as file:
        file.write('{"collection": "library"}\nnonsense\n{"collection": "lib')
    compare(watched, True)
    assert shown(watched, "error_estimate") == 0


def test_a_service_that_stopped_semantic_hits_still_does_when_it_starts_again(
    library: Library, serve: Serve, llm: FakeLlm
) -> None:
    library.publish(library=LIBRARY)
    llm.behaviour.text = "Bicycles are parked in yards behind 17 trees [1]."
    collections = {"library": CollectionSettings(documents=[], tolerated_error=0.2)}
    with serve.stopping(collections, comparison_share=1.0) as client:
        until("hits stop", lambda: ask(client, PARAPHRASE)["source"] == "live")
    client = serve(collections, comparison_share=0)
    assert ask(client, PARAPHRASE)["source"] == "live"
    assert "beforehand_semantic_hits_enabled 0.0" in client.get("/metrics").text
    library.publish(library=LIBRARY)
    until("the new release is served", lambda: ask(client, PARAPHRASE)["source"] == "semantic")
