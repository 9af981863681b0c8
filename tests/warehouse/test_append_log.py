"""Following a growing file: each line is read once, and a file that was replaced is read again."""

from __future__ import annotations

import os
import resource
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse import append_log
from warehouse.append_log import Fold, Follower, append
from warehouse.errors import StorageError


def count(seen: Counter[str], record: append_log.Record) -> None:
    seen[str(record["word"])] += 1


def words(*each: str) -> list[dict[str, str]]:
    return [{"word": word} for word in each]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def test_a_fold_takes_each_record_once(path: Path) -> None:
    fold: Fold[Counter[str]] = Fold(path, Counter, count)
    assert not fold.follow()

    append(path, words("a", "b"))
    assert fold.follow()
    append(path, words("a"))
    assert fold.follow()

    assert fold.state == {"a": 2, "b": 1}
    assert not fold.follow()


def test_a_poll_parses_only_what_is_new(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(path, words(*"x" * 20_000))
    fold: Fold[Counter[str]] = Fold(path, Counter, count)
    fold.follow()
    parsed = []
    monkeypatch.setattr(append_log, "parse", lambda line: parsed.append(line) or {"word": "y"})

    append(path, words("y"))
    fold.follow()

    assert len(parsed) == 1
    assert fold.state == {"x": 20_000, "y": 1}


def test_a_follower_keeps_the_records_that_it_has_read(path: Path) -> None:
    append(path, words("a"))
    follower = Follower(path)
    assert follower.changed()
    assert follower.records() == words("a")
    assert not follower.changed()
    append(path, words("b"))
    assert follower.changed()
    assert follower.records() == words("a", "b")


@pytest.mark.parametrize("how", ["renamed over", "rewritten in place", "cut"])
def test_a_file_that_was_replaced_is_taken_afresh(path: Path, tmp_path: Path, how: str) -> None:
    append(path, words("a", "b"))
    fold: Fold[Counter[str]] = Fold(path, Counter, count)
    fold.follow()
    other = tmp_path / "other.jsonl"
    append(other, words("c") if how == "cut" else words("c", "d", "e"))

    if how == "renamed over":
        os.replace(other, path)  # noqa: PTH105
    else:
        path.write_bytes(other.read_bytes())

    assert fold.follow()
    assert set(fold.state) == ({"c"} if how == "cut" else {"c", "d", "e"})


def test_a_block_for_which_there_is_no_room_leaves_no_part_of_it(path: Path) -> None:
    append(path, words("one"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, limits[1]))
    try:
        with pytest.raises(StorageError):
            append(path, words("two", "three"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert path.read_text() == '{"word": "one"}\n'


def test_a_removed_file_leaves_nothing(path: Path) -> None:
    append(path, words("a"))
    fold: Fold[Counter[str]] = Fold(path, Counter, count)
    fold.follow()
    path.unlink()
    assert fold.follow()
    assert not fold.state


@settings(max_examples=30, deadline=None)
@given(batches=st.lists(st.lists(st.sampled_from("abc"), max_size=5), max_size=6))
def test_however_it_grows_a_fold_ends_with_what_the_file_holds(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[str]]
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    fold: Fold[Counter[str]] = Fold(path, Counter, count)
    for batch in batches:
        append(path, words(*batch))
        fold.follow()
    assert fold.state == Counter(word for batch in batches for word in batch)
