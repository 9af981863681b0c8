"""What a run says on the terminal and in the manifest when encoder, language and documents don't fit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from batch.corpus_check.check import Expected, misfits
from batch.corpus_check.encoder_fit import encoder_fit
from batch.corpus_check.scripts import foreign_words, letters_by_script, scripts_of_encoder
from batch.plan import RunPlan
from batch.retrieval.prepared_chunks import collection_chunks
from rag.retrieval.embedding import TokenCounter
from rag.text.languages import is_guarded

_MOST_CHUNKS = 2000  # of a collection


def run_warnings(plan: RunPlan) -> list[str]:
    """Return a sentence for each collection and way in which something does not fit, from the prepared chunks."""
    tokenizer = TokenCounter(Path(plan.encoder))
    known = scripts_of_encoder(Path(plan.encoder))
    return [f"{name}: {each}" for name in plan.collections for each in _of_collection(plan, name, tokenizer, known)]


def _of_collection(plan: RunPlan, name: str, tokenizer: TokenCounter, known: frozenset[str]) -> Iterator[str]:
    texts = [row["text"] for row in islice(collection_chunks(plan.folder("prepare"), name), _MOST_CHUNKS)]
    language = plan.language(name)
    expected = Expected(Path(plan.encoder).name, known, language, 0, encoder_fit(texts, tokenizer))
    yield from misfits(letters_by_script(texts), expected)
    yield from foreign_words(texts, language)
    if plan.collections[name].tolerated_error > 0 and not is_guarded(language):
        if plan.settings.labelled_pairs and plan.settings.pairs_language == language:
            return
        yield (
            f'semantic hits are off: there are no guards for language = "{language}", and no labelled pairs in it; '
            "exact hits and live answers are as always"
        )
