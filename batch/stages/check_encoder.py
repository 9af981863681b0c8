"""Compare encoders: does the service's ONNX encoder give the vectors that the indexes were built with?

Batch may embed with sentence-transformers and the service embeds with ONNX Runtime; a difference (another
pooling, a torn export, another tokenizer) would make every neighbour wrong without an error anywhere.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from batch.plan import RunPlan
from batch.stages.index import chunk_text, text_hash, titles
from batch.stages.retrieve import question_hash
from batch.stores.embedding_store import find_vectors
from batch.stores.parquet import read_table
from rag.retrieval.embedding import OnnxEncoder
from warehouse.tables import CHUNKS, QUESTIONS

_SAMPLE = 12  # texts of each kind


def encoder_agreement(plan: RunPlan) -> tuple[float, int]:
    """Return the smallest cosine between stored and ONNX vectors over a sample, and how many were compared."""
    known_titles = titles(f"{plan.folder('prepare')}/documents")
    chunks = read_table(f"{plan.folder('prepare')}/chunks", CHUNKS).slice(0, _SAMPLE).to_pylist()
    questions = read_table(f"{plan.folder('anticipate')}/questions", QUESTIONS, ["question"]).slice(0, _SAMPLE)
    asked = questions["question"].to_pylist()
    texts = [chunk_text(row, known_titles[row["collection"], row["document_id"]]) for row in chunks] + asked
    if not texts:
        return 1.0, 0
    hashes = [text_hash(row) for row in chunks] + [question_hash(question) for question in asked]
    stored = find_vectors(plan.embedding_store, hashes, plan.encoder_spec.dimensions)
    served = OnnxEncoder.load(Path(plan.encoder)).embed(texts)
    norms = np.linalg.norm(stored, axis=1) * np.linalg.norm(served, axis=1)
    return float(((stored * served).sum(axis=1) / np.maximum(norms, 1e-12)).min()), len(texts)
