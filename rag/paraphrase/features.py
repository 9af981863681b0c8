"""The features of a pair of questions, for the verifier's model.

Besides the cosine they describe what differs: how many words, how rare they are, and which. The last, `clues`, is a
learned sum over the differing words: from 20,000 pairs the model learns that a lone "India" matters and a lone
"really" does not, which no count shows. All features are symmetric in the two questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rag.paraphrase.lexicon import word_class
from rag.paraphrase.parsed_question import Alignment, ParsedQuestion, Token, inversions

_FEW = 2  # words; an exchange gets a clue of its own only if few words are exchanged


@dataclass(frozen=True)
class Vocabulary:
    """What training learned about words: `rarity` by stem (inverse document frequency), `clues` by name."""

    rarity: Mapping[str, float] = field(default_factory=dict)
    clues: Mapping[str, float] = field(default_factory=dict)

    def weight(self, tokens: Sequence[Token]) -> float:
        """Return the summed rarity of the tokens; an unknown word counts as the rarest."""
        unknown = self.rarity.get("", 1.0)
        return sum(self.rarity.get(token.stem, unknown) for token in tokens)


FEATURES = (
    "cosine", "words_jaccard", "characters_dice", "matched", "matched_share", "loose", "unmatched_fewer",
    "unmatched_more", "unmatched_weight_low", "unmatched_weight_high", "unmatched_share", "shorter", "longer",
    "length_ratio", "same_asks", "polar", "names_unmatched", "names_matched", "function_words_differ",
    "inversions", "numbers", "first_word", "last_word", "guarded", "clues",
)  # fmt: skip


def features(
    first: ParsedQuestion,
    second: ParsedQuestion,
    alignment: Alignment,
    similarity: float,
    guarded: bool,
    vocabulary: Vocabulary,
) -> dict[str, float]:
    """Return the features of a pair, with the keys of `FEATURES`; `guarded` is True if a guard refuses it."""
    grams, others = _grams(first.characters), _grams(second.characters)
    lengths = sorted((len(first.words), len(second.words)))
    low, high = sorted((vocabulary.weight(alignment.left), vocabulary.weight(alignment.right)))
    total = vocabulary.weight(first.content) + vocabulary.weight(second.content)
    return {
        "cosine": similarity,
        **_overlap(first, second, alignment),
        "characters_dice": 2 * len(grams & others) / max(len(grams) + len(others), 1),
        "unmatched_weight_low": low,
        "unmatched_weight_high": high,
        "unmatched_share": (low + high) / max(total, 1e-9),
        "shorter": float(lengths[0]),
        "longer": float(lengths[1]),
        "length_ratio": lengths[0] / max(lengths[1], 1),
        "same_asks": float(first.asks == second.asks),
        "polar": float((first.asks == "polar") + (second.asks == "polar")),
        "names_unmatched": float(sum(t.name for t in alignment.left + alignment.right)),
        "names_matched": float(sum(first.content[i].name for i, _ in alignment.pairs)),
        "inversions": float(inversions([j for _, j in alignment.pairs])),
        "numbers": float(len(first.numbers) + len(second.numbers)),
        "first_word": float(first.words[:1] == second.words[:1]),
        "last_word": float(first.words[-1:] == second.words[-1:]),
        "guarded": float(guarded),
        "clues": sum(vocabulary.clues.get(each, 0.0) for each in clues(first, second, alignment)),
    }


def _overlap(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> dict[str, float]:
    ours, theirs = set(first.words), set(second.words)
    fewer, more = sorted((len(alignment.left), len(alignment.right)))
    matched = len(alignment.pairs)
    differing = (alignment.left_words | alignment.right_words) & word_class("function")
    return {
        "words_jaccard": len(ours & theirs) / max(len(ours | theirs), 1),
        "matched": float(matched),
        "matched_share": 2 * matched / max(len(first.content) + len(second.content), 1),
        "loose": float(alignment.loose),
        "unmatched_fewer": float(fewer),
        "unmatched_more": float(more),
        "function_words_differ": float(len(differing)),
    }


def clues(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> list[str]:
    """Name what differs: "d:" unmatched stem, "f:" differing word, "o:" one-sided, "x:" exchanged, "w:" openings."""
    left, right = [token.stem for token in alignment.left], [token.stem for token in alignment.right]
    named = [f"d:{stem}" for stem in left + right]
    named += [f"f:{word}" for word in sorted(alignment.left_words) + sorted(alignment.right_words)]
    if not left or not right:
        named += [f"o:{stem}" for stem in left + right]
    elif len(left) <= _FEW and len(right) <= _FEW:
        named += ["x:" + "~".join(sorted((one, other))) for one in left for other in right]
    named.append("w:" + "~".join(sorted((" ".join(first.words[:2]), " ".join(second.words[:2])))))
    named += [f"c:{first.content[i].stem}" for i, _ in alignment.pairs]
    return sorted(set(named))


def _grams(characters: str) -> set[str]:
    return {characters[i : i + 4] for i in range(len(characters) - 3)}
