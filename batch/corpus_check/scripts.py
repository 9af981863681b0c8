"""Scripts: in which a text is written, and which of them an encoder and a language fit.

An encoder knows a script if hundreds of its tokens are written in it: all-MiniLM-L6-v2 has 488 Chinese ones and at most
92 of any other script but Latin, single letters that it was hardly trained on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from rag.paraphrase.foreign import is_foreign
from rag.retrieval.embedding import TokenCounter
from rag.text.characters import script_of
from rag.text.languages import is_guarded, language_code, scripts

_LEAST_TOKENS = {"Han": 1000}
_LEAST_TOKENS_ELSE = 300
_MOST_LATIN = 0.5
_MOST_FOREIGN = 0.5  # share of the texts
_BEGINNING = 400  # characters of a text, enough to tell
_LEAST_SHARE = 0.02  # of the letters: a few foreign names are no reason to warn


def letters_by_script(texts: Iterable[str]) -> Counter[str]:
    """Return how many letters of the texts are of each script; digits and signs are of none."""
    characters: Counter[str] = Counter()
    for text in texts:
        characters.update(text)
    found: Counter[str] = Counter()
    for character, count in characters.items():
        if script := script_of(character):
            found[script] += count
    return found


def shares(letters: Mapping[str, int]) -> dict[str, float]:
    """Return the share of each script, largest first, without those of less than one letter in 1,000."""
    whole = sum(letters.values())
    ordered = sorted(letters.items(), key=lambda each: -each[1])
    return {script: round(count / whole, 3) for script, count in ordered if count * 1000 >= whole}


@cache
def scripts_of_encoder(folder: Path) -> frozenset[str]:
    """Return the scripts that an encoder knows; its whole vocabulary is read for it, once a process."""
    return known_scripts(TokenCounter(folder).vocabulary())


def known_scripts(vocabulary: Sequence[str]) -> frozenset[str]:
    """Return the scripts in which an encoder's vocabulary has hundreds of tokens."""
    tokens: Counter[str] = Counter()
    for token in vocabulary:
        tokens.update({script for character in token if (script := script_of(character))})
    return frozenset(
        script for script, count in tokens.items() if count >= _LEAST_TOKENS.get(script, _LEAST_TOKENS_ELSE)
    )


def warnings(letters: Mapping[str, int], encoder: str, known: frozenset[str], language: str) -> list[str]:
    """Return a sentence for the scripts that the encoder does not know, and one for those of another language."""
    share = {script: part for script, part in shares(letters).items() if part >= _LEAST_SHARE}
    own = scripts(language_code(language))
    if share.get("Latin", 0) < _MOST_LATIN:  # names and code are Latin everywhere
        own = (*own, "Latin")
    sentences = []
    if unknown := {script: part for script, part in share.items() if script not in known}:
        sentences.append(
            f"{_listed(unknown)}, which the encoder {encoder} hardly knows: such passages will not be found by their "
            "meaning; set [encoder] model to a multilingual one"
        )
    if foreign := {script: part for script, part in share.items() if script not in own}:
        sentences.append(
            f'{_listed(foreign)}, which language = "{language}" does not fit: words in it are neither stemmed nor '
            "freed of stop words, and questions in it get no semantic hits; set the collection's to the "
            "language of its documents"
        )
    return sentences


def foreign_words(texts: Sequence[str], language: str) -> list[str]:
    """Return a sentence if most texts of a collection that counts as English are in another one in Latin letters."""
    if not is_guarded(language_code(language)):
        return []
    foreign = sum(_is_latin(text[:_BEGINNING]) and is_foreign(text[:_BEGINNING]) for text in texts)
    if not texts or foreign < _MOST_FOREIGN * len(texts):
        return []
    return [
        f"{foreign / len(texts):.0%} of the passages are not in English by their words, which "
        f'language = "{language}" does not fit: questions in another language get no semantic hits; set the '
        "collection's to the language of its documents"
    ]


def _is_latin(text: str) -> bool:
    return text.isascii() or shares(letters_by_script([text])).get("Latin", 0) >= _MOST_LATIN


def _listed(found: Mapping[str, float]) -> str:
    return " and ".join(f"{part:.0%} of the letters are {script}" for script, part in found.items())
