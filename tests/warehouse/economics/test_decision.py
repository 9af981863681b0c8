"""Two companies computed by hand, to the cent, and what must hold for any."""

from __future__ import annotations

import functools
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.warehouse.economics.companies import ALDER, BIRCH
from warehouse.economics.assumptions import DecideSettings
from warehouse.economics.decision import NAMES, cheapest, decide
from warehouse.economics.designs import Name, case, cost, with_larger_model, with_more_traffic
from warehouse.economics.latency import replicas_that_meet, waits
from warehouse.economics.plots import section
from warehouse.economics.queueing import Limits

BY_HAND: list[tuple[str, dict[Name, tuple[str, int]]]] = [
    (
        "Alder",
        {
            "monolith": ("2191.00", 1),
            "microservices": ("2248.40", 1),
            "window, live": ("2249.90", 2),
            "window, hosted": ("124.70", 1),
            "hosted": ("126.44", 0),
        },
    ),
    (
        "Birch",
        {
            "monolith": ("39438.00", 18),
            "microservices": ("13247.07", 18),
            "window, live": ("5002.61", 7),
            "window, hosted": ("13019.90", 1),
            "hosted": ("13021.64", 0),
        },
    ),
]


decided = functools.cache(lambda name: decide({"Alder": ALDER, "Birch": BIRCH}[name], Limits()))


@pytest.mark.parametrize(("company", "expected"), BY_HAND)
def test_a_company_computed_by_hand_costs_the_same_to_the_cent(
    company: str, expected: dict[Name, tuple[str, int]]
) -> None:
    found = {each.design: (f"{each.cost:.2f}", each.gpus) for each in decided(company).scenarios[0].verdicts}

    assert found == expected


def test_the_cheapest_that_meets_the_goals_is_named_and_where_it_turns() -> None:
    alder, birch = decided("Alder"), decided("Birch")

    assert (alder.scenarios[0].cheapest, birch.scenarios[0].cheapest) == ("window, hosted", "window, live")
    turn, *_ = [
        each for each in alder.break_even
        if (each.assumption, each.below, each.above) == ("requests_a_month", "window, hosted", "window, live")
        and each.among == "all"
    ]  # fmt: skip
    assert turn.value == pytest.approx(2190 / (0.3 * 0.00072), rel=1e-5)  # one replica against that many hosted misses


def test_ten_times_the_traffic_and_a_model_four_times_larger_by_hand() -> None:
    base = case(BIRCH)

    more, larger = with_more_traffic(base, 10), with_larger_model(base, 4, 4)

    assert cost("microservices", more).replicas == 172  # 684.9 a second at 4 each
    # 64 GB of weights fit into 80 GB at 0.8, so a GPU writes a quarter: 1 answer a second for 68.5
    assert (cost("microservices", larger).replicas, larger.gpus) == (69, 1)
    two = with_larger_model(base, 8, 8)  # 128 GB need two GPUs, which write twice as much as one
    assert (two.gpus, two.speed, cost("microservices", two).gpus) == (2, 0.25, 138)
    assert cost("hosted", larger).parts["hosted answers"] == pytest.approx(4 * 12_960)


def test_a_design_that_no_number_of_gpus_makes_quick_enough_does_not_meet_the_goal() -> None:
    hasty = case(ALDER.model_copy(update={"p99_seconds": 1.0}))

    found = {name: replicas_that_meet(name, hasty, Limits()) for name in NAMES}

    assert not any(each.meets(hasty) for _, each in found.values())
    assert found["monolith"][0] == 1  # more GPUs that don't help are not paid for


def test_prepared_answers_make_the_median_that_of_a_hit() -> None:
    live, window = (waits(name, case(ALDER), 1, Limits()) for name in ("microservices", "window, live"))

    assert live.p50 > 2
    assert window.p50 < 0.02
    assert window.live_p99 <= live.live_p99 * 1.1  # fewer live answers are no slower


ANY = st.builds(
    DecideSettings,
    requests_a_month=st.floats(1e3, 1e9),
    hit_rate=st.floats(0, 1),
    answer_tokens=st.floats(10, 1000),
    anticipated=st.floats(0, 1e6),
    peak_factor=st.floats(1, 4),
    peak_hours=st.sampled_from([1.0, 4.0, 6.0]),
)


@settings(max_examples=60)
@given(ANY, st.floats(1, 20), st.sampled_from(NAMES))
def test_more_traffic_never_costs_less_and_more_hits_never_more(
    assumed: DecideSettings, times: float, name: Name
) -> None:
    base = case(assumed)
    more_hits = replace(base, hit_rate=base.hit_rate + (1 - base.hit_rate) / 2)

    assert cost(name, with_more_traffic(base, times)).total >= cost(name, base).total - 1e-6
    assert cost(name, more_hits).total <= cost(name, base).total + 1e-6
    assert cost(cheapest(base), base).total <= cost(name, base).total


def test_the_section_for_the_report_is_well_formed_and_escapes() -> None:
    alder = decided("Alder")
    page = section(replace(alder, assumptions={**alder.assumptions, "currency": "<script>"}))

    tree = ElementTree.fromstring(page.replace("&nbsp;", " "))
    assert len(tree.findall(".//polyline")) == 3 * len(NAMES)
    assert "<script>" not in page
    assert "window, hosted is the cheapest that meets the goals" in page
