"""How well the corpus covers a question, told by the score of its best passage.

What nobody wrote down can't be answered, and then neither the model nor the prompt is to blame. The limit is found in
each collection: questions about other subjects (`foreign_questions.txt`) are searched for, and the best score among
them is what a question reaches that the corpus says nothing about. In two documentations that is 0.36 and 0.38, while
the 24 questions that are answered there reach 0.37 and 0.39 at least; of questions to other software half stay below
(docs/retrieval.md). Where the language model judges, its verdict counts instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from batch.plan import RunPlan
from batch.questions.question_files import named_question
from batch.retrieval.foreign_questions import foreign_questions
from batch.retrieval.prepared_chunks import load_chunks
from batch.retrieval.question_ranking import ReadQuestion, load_encoder, rank
from batch.rows import question_row
from rag.retrieval.fusion import Ranked
from rag.retrieval.passages import Lookup, says_something


def threshold(plan: RunPlan, collection: str) -> float | None:
    """Return the score below which no passage of a collection fits a question; None if it has no chunks."""
    chunks = load_chunks(plan.folder("prepare"), collection)
    if not chunks:
        return None
    texts = foreign_questions()
    filters = plan.collections[collection].filtering.defaults
    rows = [question_row(named_question(collection, text, "foreign", "", filters)) for text in texts]
    encoder = load_encoder(plan.encoder, plan.encoder_spec)
    read = {text: ReadQuestion(*found) for text, *found in zip(texts, *encoder.embed_with_states(texts), strict=True)}
    ranked = rank(plan, collection, rows, read, chunks.get)
    return max(best_score(plan, each, chunks.get) for each in ranked)


def best_score(plan: RunPlan, ranked: Sequence[Ranked], lookup: Lookup) -> float:
    """Return how well the best candidate with content fits: the score of the last ranking, else the cosine."""
    for each in ranked:
        chunk = lookup(each.chunk_id)
        if chunk is not None and says_something(chunk):
            if plan.reranker or plan.retrieval.late_candidates:
                return each.score
            return max((one.dense_score for one in ranked if one.dense_score is not None), default=0.0)
    return 0.0
