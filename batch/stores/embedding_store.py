"""The embedding store: the vector of each text, computed once in the life of the store.

One Parquet file per batch, named by its content, so a killed run loses one batch at most and a batch that runs twice
writes the same file. sentence-transformers embeds where there is much to do (it uses a GPU and batches well). For a
few texts its import alone takes twenty seconds, so ONNX Runtime embeds them: it gives the same vectors at once.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch import progress
from batch.pipeline import running_pipeline
from batch.plan import RunPlan
from batch.stores.fetched import fetched
from batch.stores.generation_store import batch_name
from batch.stores.parquet import read_table, read_tables, write_table
from batch.stores.token_store import write_tokens
from rag.retrieval.embedding import EncoderSpec, OnnxEncoder, read_spec
from rag.retrieval.token_vectors import TokenCodes, encode
from rag.retrieval.vectors import Vectors

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_FEW = 256  # texts; up to here ONNX Runtime is done before sentence-transformers is imported
_BATCH = 512  # texts per file of the store

EMBEDDINGS = pa.schema([pa.field("text_hash", pa.string()), pa.field("vector", pa.list_(pa.float32()))])

Texts = Iterable[tuple[str, str]]


def encoder_id(folder: Path, spec: EncoderSpec) -> str:
    """Return an encoder's id, from its weights and settings; `spec` may have other prefixes than its folder."""
    digest = hashlib.sha256()
    if spec != read_spec(folder):
        digest.update(json.dumps(asdict(spec)).encode())
    for name in ("encoder.json", "tokenizer.json", "checksums.json"):
        if (folder / name).exists():
            digest.update((folder / name).read_bytes())
    return f"{folder.name}-{digest.hexdigest()[:12]}"


@functools.lru_cache(maxsize=2)
def open_encoder(
    folder: str, spec: EncoderSpec, many: bool, passages: bool = False
) -> Callable[[Sequence[str]], Vectors]:
    """Return an encoder of questions, or of passages, loaded once per process.

    It is a function from n texts to float32 of shape (n, dimensions).
    """
    if not many:
        encoder = OnnxEncoder.load(fetched(folder), spec=spec)
        return encoder.embed_passages if passages else encoder.embed
    prefix = spec.passage_prefix if passages else spec.query_prefix
    model = _sentence_transformer(folder)

    def embed(texts: Sequence[str]) -> Vectors:
        prefixed = [prefix + text for text in texts]
        vectors = model.encode(prefixed, prompt="", batch_size=64, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)

    return embed


@functools.lru_cache(maxsize=2)
def open_token_encoder(
    folder: str, spec: EncoderSpec, many: bool
) -> Callable[[Sequence[str]], tuple[Vectors, list[TokenCodes]]]:
    """Return an encoder of passages, loaded once per process, that also returns the codes of each text's tokens."""
    if not many:
        return OnnxEncoder.load(fetched(folder), spec=spec).embed_with_tokens
    model = _sentence_transformer(folder)

    def embed(texts: Sequence[str]) -> tuple[Vectors, list[TokenCodes]]:
        vectors, tokens = [], []
        prefixed = [spec.passage_prefix + text for text in texts]
        for output in model.encode(prefixed, prompt="", batch_size=64, output_value=None, show_progress_bar=False):
            mask = output["attention_mask"].cpu().numpy() > 0
            states = output["token_embeddings"].float().cpu().numpy()[mask]
            tokens.append(TokenCodes(output["input_ids"].cpu().numpy()[mask].astype(np.int32), encode(states)))
            vectors.append(output["sentence_embedding"].float().cpu().numpy())
        found = np.asarray(vectors, dtype=np.float32)
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12), tokens

    return embed


def _sentence_transformer(folder: str) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    return SentenceTransformer(str(fetched(folder)), trust_remote_code=False)


def known_hashes(store: str) -> set[str]:
    """Return the hashes of the texts whose vectors are known."""
    return set(read_table(store, EMBEDDINGS, ["text_hash"])["text_hash"].to_pylist())


def find_vectors(store: str, hashes: Sequence[str], dimensions: int) -> Vectors:
    """Return the vectors of n text hashes, in order, of shape (n, dimensions); raise KeyError if one is unknown."""
    wanted = pa.array(sorted(set(hashes)), pa.string())
    rows = {text_hash: row for row, text_hash in enumerate(wanted.to_pylist())}
    vectors = np.full((len(rows), dimensions), np.nan, dtype=np.float32)
    for table in read_tables(f"{store}/*.parquet", EMBEDDINGS):
        found = table.filter(pc.is_in(table["text_hash"], wanted)).combine_chunks()
        if found.num_rows:
            places = [rows[text_hash] for text_hash in found["text_hash"].to_pylist()]
            vectors[places] = np.stack(found["vector"].to_numpy())
    gaps: list[bool] = np.asarray(np.isnan(vectors).any(axis=1)).tolist()
    unknown = [row for row, gap in enumerate(gaps) if gap]
    if unknown:
        raise KeyError(f"{len(unknown)} texts have no vector in {store}, the first is {wanted[unknown[0]]}")
    return vectors[[rows[text_hash] for text_hash in hashes]] if rows else vectors


class _Embed(beam.DoFn):
    """Batch of (hash, text) → a file in the store, and one in `token_store` if there is one; yields their number."""

    def __init__(self, plan: RunPlan, token_store: str | None, many: bool, passages: bool) -> None:
        self._folder = plan.encoder
        self._spec = plan.encoder_spec
        self._store = plan.embedding_store
        self._token_store = token_store
        self._many = many
        self._passages = passages

    def process(self, batch: list[tuple[str, str]]) -> Iterator[int]:
        hashes, texts = [each for each, _ in batch], [text for _, text in batch]
        name = f"{batch_name(hashes)}.parquet"
        if self._token_store is None:
            vectors = open_encoder(self._folder, self._spec, self._many, self._passages)(texts)
        else:
            vectors, tokens = open_token_encoder(self._folder, self._spec, self._many)(texts)
            write_tokens(f"{self._token_store}/{name}", hashes, tokens)
        table = pa.table({"text_hash": hashes, "vector": list(vectors)}, schema=EMBEDDINGS)
        write_table(f"{self._store}/{name}", table)
        progress.advance(len(batch))
        yield len(batch)


def embed_missing(
    plan: RunPlan,
    files: Sequence[str],
    read: Callable[[str], Texts],
    missing: frozenset[str],
    token_store: str | None = None,
    passages: bool = False,
) -> None:
    """Embed the questions, or passages, whose hashes are `missing`; `read` returns the (hash, text) pairs of a file.

    With a `token_store`, the codes of their tokens are written there.
    """
    if not missing:
        return
    progress.expect("embed", len(missing), "texts")
    with running_pipeline(plan) as pipeline:
        _ = (
            pipeline
            | "Files" >> beam.Create(list(files))
            | "Read" >> beam.FlatMap(lambda path: [pair for pair in read(path) if pair[0] in missing])
            | "Once" >> beam.GroupByKey()
            | "Text" >> beam.Map(lambda group: (group[0], next(iter(group[1]))))
            | "Batch" >> beam.BatchElements(min_batch_size=_BATCH, max_batch_size=_BATCH)
            | "Embed" >> beam.ParDo(_Embed(plan, token_store, len(missing) > _FEW, passages))
        )
