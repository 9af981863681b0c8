"""The language model as a judge: does this passage answer this question?

Each candidate is judged alone, by the probability of a yes against that of a no where the server tells the likeliest
tokens, else by the word. The passage comes first in the prompt, so that all questions about it share a prefix. What is
neither yes nor no is no verdict.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

from batch.generation.wording import filled, prompt_id
from rag.identity import fingerprint, stable_hash
from rag.llm.protocol import Completion, Message, Sampling
from rag.prompting.answer_rules import without_reasoning
from rag.prompting.template import fenced, quoted
from rag.retrieval.passages import StoredChunk

SAMPLING = Sampling(max_tokens=4, top_logprobs=10)

_LEAST_MASS = 0.2  # of yes and no together; below it the model was about to say something else
_SAID = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


def judging_messages(question: str, chunk: StoredChunk) -> list[Message]:
    """Return the chat that asks whether a passage answers a question."""
    return filled("judge", passage=quoted(chunk), question=fenced(question))


def judging_key(question: str, chunk: StoredChunk, model: str) -> str:
    """Return the fingerprint of a verdict: that of the question, the passage, the template and the model."""
    return fingerprint(
        query_key=stable_hash("judge", question),
        passages=[chunk.content_hash],
        template=prompt_id("judge"),
        model=model,
        sampling=SAMPLING.identity(),
    )


def verdict_text(completion: Completion) -> str:
    """Return what is stored of a completion: its text, and the probability of a yes if there is one."""
    return json.dumps({"said": completion.text, "yes": _yes(completion)})


def verdict(stored: str) -> float | None:
    """Return the probability of a yes, from 0 to 1, or None if the model said neither."""
    try:
        found = json.loads(stored)["yes"]
    except (ValueError, LookupError, TypeError):
        return None
    return float(found) if isinstance(found, int | float) else None


def _yes(completion: Completion) -> float | None:
    yes, no = (_mass(completion.first_tokens, word) for word in ("yes", "no"))
    if yes + no >= _LEAST_MASS:
        return round(yes / (yes + no), 4)
    said = _SAID.match(without_reasoning(completion.text)[0])
    return None if said is None else float(said[1].lower() == "yes")


def _mass(tokens: Mapping[str, float], word: str) -> float:
    """Return the probability of all tokens that stand for a word, in any case and with blanks."""
    return sum(
        probability
        for token, probability in tokens.items()
        if math.isfinite(probability) and 0 <= probability <= 1 and token.strip(" \u2581\u0120\n\"'*").lower() == word
    )
