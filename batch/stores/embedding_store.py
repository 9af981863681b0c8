"""The embedding store: the vector of each text, computed once in the life of the store.

One Parquet file per batch, named by its content, so a killed run loses one batch at most and a batch that runs twice
writes the same file. ONNX Runtime embeds, as in the service: on a processor it is as quick in batches as
sentence-transformers, whose import alone takes 20 to 50 seconds (docs/measurements.md). With a GPU the latter embeds
what is more than a few texts; it gives the same vectors.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import apache_beam as beam
import numpy as np
import pyarrow as pa

from batch import progress
from batch.memory import give_back
from batch.pipeline import running_pipeline
from batch.plan import RunPlan
from batch.stores.fetched import fetched
from batch.stores.generation_store import batch_name
from batch.stores.parquet import read_table, read_tables, write_table
from batch.stores.token_store import write_tokens
from rag.retrieval.embedding import EncoderSpec, OnnxEncoder, read_spec
from rag.retrieval.mapped_arrays import room
from rag.retrieval.token_vectors import TokenCodes, encode
from rag.retrieval.vectors import Vectors

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_FEW = 256  # texts; up to here ONNX Runtime is done before sentence-transformers is imported
_GPUS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # of NVIDIA, of AMD, and either under WSL
_BATCH = 512  # texts per file of the store

EMBEDDINGS = pa.schema([pa.field("text_hash", pa.string()), pa.field("vector", pa.list_(pa.float32()))])

_LIST = pa.schema([pa.field("text_hash", pa.string())])

Blocks = Callable[[str], Iterator[Iterable[tuple[str, str]]]]
"""Reads a file: blocks of (hash, text); one that is not gone through should cost nothing."""


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
    if not many or not has_gpu():
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
    if not many or not has_gpu():
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


def has_gpu() -> bool:
    """Whether this machine has a GPU; asking torch would import it."""
    return any(Path(each).exists() for each in _GPUS)


def _sentence_transformer(folder: str) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    return SentenceTransformer(str(fetched(folder)), trust_remote_code=False)


def known_hashes(store: str) -> set[str]:
    """Return the hashes of the texts whose vectors are known."""
    return set(read_table(store, EMBEDDINGS, ["text_hash"])["text_hash"].to_pylist())


def find_vectors(store: str, hashes: Sequence[str], dimensions: int) -> Vectors:
    """Return the vectors of n text hashes, in order, of shape (n, dimensions); raise KeyError if one is unknown.

    Many are mapped from a temporary file, so that they take no memory that the machine could not take back.
    """
    first: dict[str, int] = {}
    again = [(row, known) for row, each in enumerate(hashes) if (known := first.setdefault(each, row)) != row]
    vectors: Vectors = room((len(hashes), dimensions), np.float32)
    missing = set(first)
    for table in read_tables(f"{store}/*.parquet", EMBEDDINGS) if hashes else ():
        here = table["text_hash"].to_pylist()
        rows = np.array([first.get(each, -1) for each in here], np.int64)
        found = np.flatnonzero(rows >= 0)
        if found.size:
            flat = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            vectors[rows[found]] = flat.reshape(-1, dimensions)[found]
            missing.difference_update(here)
    if missing:
        raise KeyError(f"{len(missing)} texts have no vector in {store}, the first is {min(missing)}")
    for row, known in again:
        vectors[row] = vectors[known]
    return vectors


@dataclass(frozen=True)
class Part:
    """Some of the missing texts of a block of a file: entries `start` to `end` of the list of their hashes."""

    path: str
    block: int
    listed: str
    start: int
    end: int

    def hashes(self) -> list[str]:
        """Return the hashes of its texts."""
        return read_list(self.listed)[self.start : self.end]


def write_list(plan: RunPlan, hashes: Sequence[str]) -> str:
    """Write hashes beside the run's other files, and return the name of the file."""
    listed = f"{plan.folder('embed')}/{batch_name(hashes)}.parquet"
    write_table(listed, pa.table({"text_hash": hashes}, schema=_LIST))
    return listed


def read_list(path: str) -> list[str]:
    """Return the hashes of a list."""
    return [str(each) for table in read_tables(path, _LIST) for each in table["text_hash"].to_pylist()]


def missing_parts(plan: RunPlan, files: Sequence[str], read: Blocks, missing: frozenset[str]) -> list[Part]:
    """List the missing texts of each block, those of about the same length together, and return them in parts.

    A text that stands in several places is embedded with the first.
    """
    left, parts = set(missing), list[Part]()
    for path in files:
        for block, pairs in enumerate(read(path)):
            found = {text_hash: len(text) for text_hash, text in pairs if text_hash in left}
            left -= found.keys()
            if found:
                hashes = sorted(found, key=lambda each: (found[each], each))
                listed = write_list(plan, hashes)
                ends = [*range(_BATCH, len(hashes), _BATCH), len(hashes)]
                parts += [Part(path, block, listed, start, end) for start, end in zip([0, *ends], ends, strict=False)]
    return parts


class _Embed(beam.DoFn):
    """A part of a file → a file in the store, and one in `token_store` if there is one; yields the number of texts."""

    def __init__(self, plan: RunPlan, read: Blocks, token_store: str | None, many: bool, passages: bool) -> None:
        self._folder = plan.encoder
        self._spec = plan.encoder_spec
        self._store = plan.embedding_store
        self._read = read
        self._token_store = token_store
        self._many = many
        self._passages = passages
        self._block: tuple[str, int] | None = None
        self._texts: dict[str, str] = {}

    def process(self, part: Part) -> Iterator[int]:
        if self._block != (part.path, part.block):  # most parts of a block come one after the other
            self._block = part.path, part.block
            self._texts = dict(next(islice(self._read(part.path), part.block, None)))
        hashes = part.hashes()
        texts = [self._texts[each] for each in hashes]
        name = f"{batch_name(hashes)}.parquet"
        if self._token_store is None:
            vectors = open_encoder(self._folder, self._spec, self._many, self._passages)(texts)
        else:
            vectors, tokens = open_token_encoder(self._folder, self._spec, self._many)(texts)
            write_tokens(f"{self._token_store}/{name}", hashes, tokens)
        write_vectors(f"{self._store}/{name}", hashes, vectors)
        progress.advance(len(hashes))
        give_back()
        yield len(hashes)


def write_vectors(path: str, hashes: Sequence[str], vectors: Vectors) -> None:
    """Write the vectors of n text hashes as one file of the store."""
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    ends = pa.array(np.arange(len(hashes) + 1, dtype=np.int32) * vectors.shape[1])
    columns = [pa.array(hashes, pa.string()), pa.ListArray.from_arrays(ends, flat)]
    write_table(path, pa.table(columns, schema=EMBEDDINGS))


def embed_missing(
    plan: RunPlan,
    files: Sequence[str],
    read: Blocks,
    missing: frozenset[str],
    token_store: str | None = None,
    passages: bool = False,
) -> None:
    """Embed the questions, or passages, whose hashes are `missing`; `read` returns the (hash, text) pairs of a file
    in blocks.

    With a `token_store`, the codes of their tokens are written there. The pipeline carries names of files and places
    in them, since what is missing is listed beside the run's other files; one block's texts are in memory at a time.
    """
    if not missing:
        return
    progress.expect("embed", len(missing), "texts")
    parts = missing_parts(plan, files, read, missing)
    with running_pipeline(plan) as pipeline:
        _ = (
            pipeline
            | "Parts" >> beam.Create(parts, reshuffle=len(parts) > 1)
            | "Embed" >> beam.ParDo(_Embed(plan, read, token_store, len(missing) > _FEW, passages))
        )
