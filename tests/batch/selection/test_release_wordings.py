"""The texts on which a collection's selector is calibrated."""

from __future__ import annotations

from dataclasses import replace

from batch.selection.release_wordings import CollectionTexts

TEXTS = CollectionTexts(
    wordings=(("How do I order a card?", "order"), ("How do I block my card?", "block")),
    fences=(
        ("how do I block my card", "order"),
        ("How do I sell my card?", "order"),
        ("How do I sell my card?", "block"),
    ),
    outside=("What is the capital of France?",),
)


def test_a_fence_wants_no_answer_unless_it_is_a_wording_of_another_and_is_asked_once() -> None:
    assert TEXTS.barred == ("How do I sell my card?",)


def test_what_another_fence_bars_changes_the_hash_and_a_wording_of_another_answer_does_not() -> None:
    known = replace(TEXTS, fences=(*TEXTS.fences, ("How do I order a card?", "block")))
    new = replace(TEXTS, fences=(*TEXTS.fences, ("How do I eat my card?", "block")))

    assert (known.hash == TEXTS.hash, new.hash == TEXTS.hash) == (True, False)
