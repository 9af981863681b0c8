"""Texts that are nearly the same are found among many, and nothing else is."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batch.corpus_check.near_duplicates import character_shingles, jaccard, near_duplicates, word_shingles

WORDS = "pump filter grinder water beans steam milk cup tray hose valve heat clean rinse press hold wait drain".split()


def paragraph(seed: int, words: int = 80) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def test_an_edited_copy_is_found_beside_texts_of_its_own() -> None:
    texts = [paragraph(seed) for seed in range(200)]
    texts[150] = texts[20].replace("grinder", "burr", 1).upper() + "!"

    assert near_duplicates([word_shingles(text) for text in texts]) == [[20, 150]]


def test_all_copies_of_a_text_are_one_group_and_the_largest_group_comes_first() -> None:
    texts = [paragraph(1), paragraph(2), paragraph(1), paragraph(2), paragraph(1), paragraph(3)]

    assert near_duplicates([word_shingles(text) for text in texts]) == [[0, 2, 4], [1, 3]]


def test_texts_without_words_are_alike_to_nothing() -> None:
    assert near_duplicates([word_shingles("—"), word_shingles("***"), word_shingles("")]) == []


def test_a_script_without_spaces_is_compared_sign_by_sign() -> None:
    one, other = "咖啡机每天都要清洗一次并且每个月除垢一次", "咖啡机每天都要清洗一次并且每个月除垢两次"

    assert jaccard(word_shingles(one), word_shingles(other)) > 0.7
    assert jaccard(word_shingles(one), word_shingles("请把水箱装满然后按下启动按钮等待三分钟")) == 0


def test_a_pair_that_may_not_be_merged_is_kept_apart() -> None:
    questions = [character_shingles(text) for text in ("what does error e4 mean", "what does error e7 mean")]

    assert near_duplicates(questions, 0.6) == [[0, 1]]
    assert near_duplicates(questions, 0.6, may_merge=lambda _, __: False) == []


def test_a_long_document_is_compared_like_a_short_one() -> None:
    book = " ".join(f"word{number}" for number in range(30_000))

    assert near_duplicates([word_shingles(book), word_shingles("a page"), word_shingles(f"{book} end")]) == [[0, 2]]


@given(st.lists(st.text(max_size=40), max_size=12))
def test_groups_never_overlap_and_equal_texts_are_always_together(texts: list[str]) -> None:
    groups = near_duplicates([word_shingles(text) for text in texts])

    members = [number for group in groups for number in group]
    assert len(members) == len(set(members))
    for number, text in enumerate(texts):
        for other in range(number):
            if text == texts[other] and word_shingles(text).size:
                assert any({number, other} <= set(group) for group in groups)


@given(st.text(max_size=60))
def test_shingles_are_sorted_and_each_once(text: str) -> None:
    shingles = word_shingles(text)

    assert np.array_equal(shingles, np.unique(shingles))
