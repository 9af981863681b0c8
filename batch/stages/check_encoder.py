"""Check the encoder: does the service's ONNX encoder give the vectors that the indexes were built with?

The batch may embed with sentence-transformers while the service embeds with ONNX Runtime; a difference (another
pooling, a torn export, another tokenizer) would make every neighbour wrong without an error anywhere.
"""

from __future__ import annotations

from itertools import chain, islice
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from batch.plan import RunPlan
from batch.retrieval.prepared_chunks import chunk_blocks, chunk_text, chunk_text_hash
from batch.retrieval.question_ranking import question_hash
from batch.stores.embedding_store import find_vectors
from batch.stores.parquet import list_files, read_table
from rag.retrieval.embedding import OnnxEncoder
from warehouse.tables import QUESTIONS

_SAMPLE = 12  # texts of each kind


def encoder_agreement(plan: RunPlan) -> tuple[float, int]:
    """Return the smallest cosine between stored and ONNX vectors over a sample, and the size of the sample."""
    prepared = plan.folder("prepare")
    blocks = (block for path in list_files(f"{prepared}/chunks/*.parquet") for block in chunk_blocks(prepared, path))
    chunks = list(islice(chain.from_iterable(blocks), _SAMPLE))
    questions = read_table(f"{plan.folder('anticipate')}/questions", QUESTIONS, ["question", "origin"])
    questions = questions.filter(pc.not_equal(questions["origin"], "journal"))  # visitors' texts stop no release
    asked = questions["question"].slice(0, _SAMPLE).to_pylist()
    passages = [chunk_text(row, title) for row, title in chunks]
    if not passages and not asked:
        return 1.0, 0
    hashes = [chunk_text_hash(row["content_hash"]) for row, _ in chunks] + [
        question_hash(question) for question in asked
    ]
    stored = find_vectors(plan.embedding_store, hashes, plan.encoder_spec.dimensions)
    encoder = OnnxEncoder.load(Path(plan.encoder), spec=plan.encoder_spec)
    served = np.concatenate([encoder.embed_passages(passages), encoder.embed(asked)])
    norms = np.linalg.norm(stored, axis=1) * np.linalg.norm(served, axis=1)
    return float(((stored * served).sum(axis=1) / np.maximum(norms, 1e-12)).min()), len(served)
