"""The stores of answers and embeddings: readable after a crash, and compacted without loss."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.stores.compaction import compact_store, drop_torn
from batch.stores.embedding_store import EMBEDDINGS, find_vectors, known_hashes
from batch.stores.generation_store import (
    GENERATIONS,
    GenerationRow,
    batch_name,
    count_generations,
    find_generations,
    generated_since,
    known_fingerprints,
    write_generations,
)
from batch.stores.parquet import list_files, sweep_hidden, write_table


def generation(fingerprint: str, text: str = "Yes [1].") -> GenerationRow:
    return {
        "fingerprint": fingerprint,
        "text": text,
        "finish_reason": "stop",
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "cached_tokens": 0,
        "run_id": "r",
        "generated_at": datetime(2026, 11, 20, tzinfo=UTC),
        "seconds": 0.5,
    }


def write_batches(store: Path, batches: list[list[str]]) -> None:
    for batch in batches:
        write_generations(str(store), [generation(each, f"answer to {each}") for each in batch])


def texts(store: Path, wanted: list[str]) -> dict[str, str]:
    return {fingerprint: row["text"] for fingerprint, row in find_generations(str(store), wanted).items()}


FINGERPRINTS = st.lists(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=4, unique=True), max_size=8)


@settings(max_examples=25)
@given(batches=FINGERPRINTS)
def test_each_generation_is_found_once_before_and_after_compaction(
    batches: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = tmp_path_factory.mktemp("store")
    write_batches(store, batches)
    everything = {each for batch in batches for each in batch}
    found = {each: f"answer to {each}" for each in everything}

    assert known_fingerprints(str(store)) == everything
    assert texts(store, [*everything, "never written"]) == found
    compact_store(str(store), GENERATIONS, "fingerprint", most=1)

    assert texts(store, [*everything, "never written"]) == found
    assert len(list_files(f"{store}/*.parquet")) <= 1
    assert count_generations(str(store)) == len(everything)


@pytest.mark.parametrize("first", ["old", "new"])
def test_of_two_generations_the_newest_counts_before_and_after_compaction(tmp_path: Path, first: str) -> None:
    store, noon = str(tmp_path), datetime(2026, 11, 20, 12, tzinfo=UTC)
    rows = {"old": generation("a", "old"), "new": generation("a", "new") | {"generated_at": noon}}
    order = [first, *(rows.keys() - {first})]
    for each, other in zip(order, ("b", "c"), strict=True):  # another file each
        write_generations(store, [rows[each], generation(other)])
    assert texts(tmp_path, ["a"]) == {"a": "new"}
    assert generated_since(store, noon) == {"a"}
    compact_store(store, GENERATIONS, "fingerprint", most=1)
    assert texts(tmp_path, ["a", "b", "c"])["a"] == "new"
    assert count_generations(store) == 3


@given(st.lists(st.text(max_size=5), unique=True), st.randoms())
def test_a_batch_has_one_name_in_any_order(fingerprints: list[str], dice: Any) -> None:
    shuffled = dice.sample(fingerprints, len(fingerprints))

    assert batch_name(shuffled) == batch_name(fingerprints)


def test_a_batch_that_runs_twice_is_stored_once(tmp_path: Path) -> None:
    write_batches(tmp_path, [["a", "b"], ["b", "a"]])

    assert count_generations(str(tmp_path)) == 2


def test_few_files_are_left_alone(tmp_path: Path) -> None:
    write_batches(tmp_path, [[f"{n}"] for n in range(5)])
    before = list_files(f"{tmp_path}/*")

    assert compact_store(str(tmp_path), GENERATIONS, "fingerprint", most=5) == 0
    assert list_files(f"{tmp_path}/*") == before


def test_a_crash_between_merging_and_deleting_doubles_nothing(tmp_path: Path) -> None:
    write_batches(tmp_path, [["a", "b"], ["c"], ["d"]])
    parts = {path: Path(path).read_bytes() for path in list_files(f"{tmp_path}/*")}
    compact_store(str(tmp_path), GENERATIONS, "fingerprint", most=1)
    for path, content in parts.items():
        Path(path).write_bytes(content)  # as if the parts had not been deleted

    assert texts(tmp_path, ["a", "b", "c", "d"]) == {each: f"answer to {each}" for each in "abcd"}
    compact_store(str(tmp_path), GENERATIONS, "fingerprint", most=1)

    assert count_generations(str(tmp_path)) == 4
    assert len(list_files(f"{tmp_path}/*")) == 1
    assert texts(tmp_path, list("abcd")) == {each: f"answer to {each}" for each in "abcd"}


def test_vectors_survive_compaction_bit_by_bit(tmp_path: Path) -> None:
    vectors = np.random.default_rng(3).normal(size=(12, 4)).astype(np.float32)
    for start in range(0, 12, 3):
        hashes = [f"h{row}" for row in range(start, start + 3)]
        table = pa.table({"text_hash": hashes, "vector": list(vectors[start : start + 3])}, schema=EMBEDDINGS)
        write_table(f"{tmp_path}/{batch_name(hashes)}.parquet", table)

    compact_store(str(tmp_path), EMBEDDINGS, "text_hash", most=2)

    wanted = ["h7", "h0", "h7", "h11"]
    assert len(known_hashes(str(tmp_path))) == 12
    assert np.array_equal(find_vectors(str(tmp_path), wanted, 4), vectors[[7, 0, 7, 11]])
    with pytest.raises(KeyError, match="2 texts have no vector"):
        find_vectors(str(tmp_path), ["h1", "nowhere", "none"], 4)


def test_hidden_files_of_a_killed_writer_are_never_read_and_are_removed(tmp_path: Path) -> None:
    write_batches(tmp_path, [["a"]])
    (tmp_path / ".half.parquet.1a2b3c4d").write_bytes(b"PAR1 half of it")

    assert known_fingerprints(str(tmp_path)) == {"a"}
    assert sweep_hidden(str(tmp_path)) == 1
    assert [path.name for path in tmp_path.glob(".*")] == []
    assert known_fingerprints(str(tmp_path)) == {"a"}


def test_a_torn_file_is_dropped_and_its_answers_are_unknown(tmp_path: Path) -> None:
    write_batches(tmp_path, [["a"], ["b"]])
    torn = tmp_path / f"{batch_name(['b'])}.parquet"
    torn.write_bytes(torn.read_bytes()[:40])

    assert drop_torn(str(tmp_path)) == 1
    assert known_fingerprints(str(tmp_path)) == {"a"}


def test_a_missing_store_is_empty(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")

    assert known_fingerprints(nowhere) == set()
    assert sweep_hidden(nowhere) == 0
    assert drop_torn(nowhere) == 0
    assert compact_store(nowhere, GENERATIONS, "fingerprint") == 0
