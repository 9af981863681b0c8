"""The texts on which a collection's selector is calibrated."""

from __future__ import annotations

from dataclasses import replace

from batch.selection.release_wordings import CollectionTexts, texts_of

TEXTS = CollectionTexts(
    wordings=(("How do I order a card?", "order"), ("How do I block my card?", "block")),
    fences=(
        ("how do I block my card", "order"),
        ("How do I sell my card?", "order"),
        ("How do I sell my card?", "block"),
    ),
    outside=("What is the capital of France?",),
)


def test_a_fence_that_is_a_wording_of_another_answer_wants_that() -> None:
    assert TEXTS.barred == (("How do I sell my card?", "order"), ("How do I sell my card?", "block"))


def test_what_another_fence_bars_changes_the_hash_and_a_wording_of_another_answer_does_not() -> None:
    known = replace(TEXTS, fences=(*TEXTS.fences, ("How do I order a card?", "block")))
    new = replace(TEXTS, fences=(*TEXTS.fences, ("How do I eat my card?", "block")))

    assert (known.hash == TEXTS.hash, new.hash == TEXTS.hash) == (True, False)


def test_what_visitors_typed_and_a_model_wrote_is_ruled_by_a_judge() -> None:
    def question(key: str, origin: str) -> dict[str, object]:
        return {"collection": "bank", "query_key": key, "question": f"{key}?", "origin": origin, "filters": {}}

    def wording(text: str, origin: str) -> dict[str, object]:
        return {"collection": "bank", "query_key": "order", "wording": text, "origin": origin}

    def fence(text: str, origin: str) -> dict[str, object]:
        return {"collection": "bank", "query_key": "order", "text": text, "origin": origin}

    found = texts_of(
        ["bank"],
        [question("order", "list"), question("sell", "journal")],  # type: ignore[list-item]
        [wording("get a card", "list"), wording("card pls", "model")],  # type: ignore[list-item]
        [fence("eat a card", "review"), fence("lose a card", "journal")],  # type: ignore[list-item]
    )

    assert found["bank"].judged == {"sell?", "card pls", "lose a card"}
