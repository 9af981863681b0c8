"""Two releases side by side: what differs, what both cost, and what people say of pairs that they judge blind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.warehouse.conftest import Rows, key, publish_in, sample_rows
from warehouse.audit.golden import Golden
from warehouse.editorial.blind_pairs import (
    Pair,
    exported_pairs,
    judge,
    pairs,
    sample_pairs,
    verdicts,
    waiting_pairs,
)
from warehouse.editorial.review import export_pairs
from warehouse.editorial.review_import import import_reviews
from warehouse.errors import ReviewError
from warehouse.evaluation.side_by_side import SideBySide, compare_releases, judged_by
from warehouse.releases.release import Release
from warehouse.settings import CostSettings

GOLDEN = Golden("main", key("q1"), "What is q1?", ("eleven",), None, "golden.jsonl:1")
BOTH = CostSettings(gpu_hour=36.0)
HOSTED = CostSettings(gpu_hour=0.0, prompt_million=2.0, completion_million=10.0)


def by_another_model() -> Rows:
    """Return the sample as another model answered it: otherwise in two answers, with a refusal."""
    rows = sample_rows()
    rows["answers"][0] |= {"answer": "It is eleven, says the passage [1].", "support": 1.0}
    rows["answers"][1] |= {"answer": "I don't know.", "status": "withheld", "withheld_reason": "refusal"}
    rows["answers"][2] |= {"answer": "Three, says the passage [1].", "completion_tokens": 30}
    return rows


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Release, Release]:
    data = tmp_path_factory.mktemp("two")
    return publish_in(data, sample_rows()), publish_in(data, by_another_model())


def compared(releases: tuple[Release, Release], *costs: CostSettings) -> SideBySide:
    return compare_releases(("old", "new"), releases, (costs[0], costs[1]), [GOLDEN], 0.5)


def test_figures_are_of_the_questions_that_both_answer(two: tuple[Release, Release]) -> None:
    found = compared(two, BOTH, BOTH)

    assert (found.common, found.changed, found.share) == (3, 3, 1.0)
    assert found.before.figures["served"] == 3
    assert (found.after.figures["served"], found.after.figures["refusals"]) == (2, 1)
    assert found.after.figures["support"] == pytest.approx((1.0 + 0.9 + 0.9) / 3)
    assert found.before.figures["completion_tokens"] == 30
    assert found.after.figures["completion_tokens"] == 50


def test_golden_questions_that_only_one_side_answers_rightly_are_named(two: tuple[Release, Release]) -> None:
    found, turned = compared(two, BOTH, BOTH), compared((two[1], two[0]), BOTH, BOTH)

    assert (found.golden, found.gained, found.lost) == (1, ["What is q1?"], [])
    assert (turned.gained, turned.lost) == ([], ["What is q1?"])


def test_each_side_costs_what_its_own_prices_say(two: tuple[Release, Release]) -> None:
    found = compared(two, BOTH, HOSTED)

    # the run took 3 s for one token, in the sample: thirty tokens are 90 s of a machine at 36 an hour
    assert found.before.figures["cost"] == pytest.approx(90 / 3600 * 36.0)
    assert found.after.figures["cost"] == pytest.approx(150 * 2.0 / 1e6 + 50 * 10.0 / 1e6)


def test_a_release_beside_itself_differs_in_nothing(two: tuple[Release, Release]) -> None:
    found = compared((two[0], two[0]), BOTH, BOTH)

    assert (found.changed, found.differences) == (0, [])
    assert found.before.figures == found.after.figures


# -- pairs for people -------------------------------------------------------------------------------------


@pytest.fixture
def sampled(two: tuple[Release, Release], tmp_path: Path) -> SideBySide:
    """A comparison whose pairs wait for people."""
    found = compared(two, BOTH, BOTH)
    sample_pairs(tmp_path, found.differences, 10)
    return found


def test_only_pairs_of_served_answers_are_sampled_and_each_once(sampled: SideBySide, tmp_path: Path) -> None:
    again = sample_pairs(tmp_path, sampled.differences, 10)

    assert again == 0
    assert sorted(each.question for each in waiting_pairs(tmp_path)) == ["What is q1?", "What is q3?"]


def test_what_a_person_sees_tells_nothing_of_the_sides(sampled: SideBySide, tmp_path: Path) -> None:  # noqa: ARG001
    shown = {name for row in exported_pairs(tmp_path) for name, value in row.items() if value}

    assert shown == {"pair", "collection", "question", "first", "second"}


def test_the_sides_are_shuffled(two: tuple[Release, Release], tmp_path: Path) -> None:
    found = compared(two, BOTH, BOTH)
    for number in range(40):
        sample_pairs(tmp_path / str(number), found.differences, 1)
    firsts = {each.first_is_before for number in range(40) for each in pairs(tmp_path / str(number))}

    assert firsts == {True, False}


def better_side(pair: Pair, side: str) -> str:
    return "first" if pair.first_is_before == (side == "old") else "second"


def test_verdicts_are_counted_for_the_release_whose_text_won(sampled: SideBySide, tmp_path: Path) -> None:
    one, other = waiting_pairs(tmp_path)
    judge(tmp_path, one.pair, better_side(one, "new"), "Ada")
    judge(tmp_path, other.pair, better_side(other, "old"), "Ada")
    judge(tmp_path, other.pair, better_side(other, "new"), "Grace")  # the last verdict about a pair counts
    tally = judged_by(verdicts(tmp_path, sampled.differences))

    assert (tally.before, tally.after, tally.same, tally.waiting) == (0, 2, 0, 0)
    assert tally.share == 1.0
    assert tally.interval is not None
    assert tally.interval[0] == pytest.approx(0.342, abs=0.001)
    assert tally.p == 0.5


def test_verdicts_hold_for_the_releases_asked_for_the_other_way_round(
    two: tuple[Release, Release], sampled: SideBySide, tmp_path: Path
) -> None:
    (one, _) = waiting_pairs(tmp_path)
    judge(tmp_path, one.pair, better_side(one, "new"), "Ada")
    turned = compared((two[1], two[0]), BOTH, BOTH)

    assert verdicts(tmp_path, sampled.differences).after == 1
    assert verdicts(tmp_path, turned.differences).before == 1


@pytest.mark.parametrize("ending", ["csv", "xlsx", "jsonl", "parquet"])
def test_pairs_go_through_the_files_in_which_people_review(sampled: SideBySide, tmp_path: Path, ending: str) -> None:
    from warehouse.editorial.review_files import read_rows, write_rows

    file = tmp_path / f"pairs.{ending}"
    count = export_pairs(tmp_path, file)
    with pytest.raises(ReviewError, match="not decided and imported yet"):
        export_pairs(tmp_path, file)
    names = ("pair", "question", "better", "reviewer", "note")
    rows = [row for row in read_rows(file, names) if isinstance(row, dict)]
    rows[0]["better"], rows[1]["better"] = "Same", "the left one"
    write_rows(file, names, rows)
    imported = import_reviews(tmp_path, file, "Ada")

    assert count == 2
    assert imported.verdicts == 1
    assert [each.message for each in imported.refused] == [
        "'better' is 'the left one', which is none of first, second, same."
    ]
    assert verdicts(tmp_path, sampled.differences).same == 1
