"""Where the right passage stands: dense, lexical, fused, ranked again by late interaction, read with its section.

    python bench/retrieval.py FOLDER --encoder models/NAME [--vectors FOLDER]

One JSON line a measure. FOLDER holds `questions.jsonl` and either `documents.jsonl`, where a question names the
`document` that holds its answer, or one folder of documents a corpus, where it names its `corpus`, the `pages` and the
`phrase` that answer it, and `also` other such places; a phrase counts if it stands in a chunk of its page, letters and
digits compared in lower case. Documents are read and cut as a run does by default. `recall@k` counts the questions that
have a right passage among the first k, `in_prompt` those that have one in the prompt, with `prompt_tokens` on average
(as the encoder counts). "with section" counts a passage right if its section is. Vectors are kept in `--vectors`.
"""

from __future__ import annotations

import argparse
import hashlib
import html
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import TypedDict

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from batch.reading.chunking import chunk  # noqa: E402
from batch.reading.documents import Document, parse  # noqa: E402
from rag.retrieval.embedding import OnnxEncoder, TokenCounter  # noqa: E402
from rag.retrieval.fusion import Ranked  # noqa: E402
from rag.retrieval.late_interaction import LateInteraction  # noqa: E402
from rag.retrieval.lexical_index import LexicalIndex  # noqa: E402
from rag.retrieval.passages import StoredChunk, choose_passages  # noqa: E402
from rag.retrieval.retriever import Retriever  # noqa: E402
from rag.retrieval.token_vectors import TokenCodes, TokenVectors, save_token_vectors  # noqa: E402
from rag.retrieval.vector_index import VectorIndex  # noqa: E402
from rag.retrieval.vectors import Vectors  # noqa: E402
from rag.settings import ChunkingSettings, RetrievalSettings  # noqa: E402

KS = (1, 3, 5, 10, 40)
DEFAULT = RetrievalSettings()
MODES: Mapping[str, RetrievalSettings] = {
    "dense": RetrievalSettings(lexical_weight=0, late_candidates=0),
    "lexical": RetrievalSettings(dense_weight=0, late_candidates=0),
    "fused": RetrievalSettings(late_candidates=0),
    "late interaction": DEFAULT,
}


class Place(TypedDict):
    """A page and a phrase on it that answers a question."""

    page: str
    phrase: str


@dataclass(frozen=True)
class Asked:
    """A question and the places that answer it; an empty phrase is answered by the whole document."""

    question: str
    places: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Corpus:
    """Documents as chunks, in reading order, and the questions about them."""

    name: str
    chunks: Mapping[str, StoredChunk]
    asked: Sequence[Asked]

    def right(self, asked: Asked) -> set[str]:
        """Return the ids of the chunks that answer a question."""
        return {
            each.chunk_id
            for each in self.chunks.values()
            for page, phrase in asked.places
            if each.document_id == page and phrase in bare(f"{each.heading}\n{each.text}")
        }

    def section(self, chunk_id: str) -> set[str]:
        """Return the ids of the chunks of the section that a chunk belongs to."""
        found = self.chunks[chunk_id]
        return {
            each.chunk_id
            for each in self.chunks.values()
            if (each.document_id, each.heading) == (found.document_id, found.heading)
        }


def bare(text: str) -> str:
    """Return the letters and digits of a text, in lower case."""
    return " ".join(re.findall(r"[^\W_]+", html.unescape(text).casefold()))


def read_corpora(folder: Path, count: TokenCounter) -> Iterator[Corpus]:
    """Read a folder of either form."""
    rows = [json.loads(line) for line in (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    if (folder / "documents.jsonl").exists():
        asked = [Asked(row["question"], ((row["document"], ""),)) for row in rows]
        yield Corpus(folder.name, read_chunks([folder / "documents.jsonl"], folder, count), asked)
        return
    for name in sorted({row["corpus"] for row in rows}):
        documents = folder / name / "documents"
        chunks = read_chunks(sorted(each for each in documents.rglob("*") if each.is_file()), documents, count)
        yield Corpus(name, chunks, [_asked(row) for row in rows if row["corpus"] == name])


def _asked(row: Mapping[str, object]) -> Asked:
    pages, also = row["pages"], row.get("also", [])
    assert isinstance(pages, list) and isinstance(also, list)
    places = [(page, row["phrase"]) for page in pages] + [(each["page"], each["phrase"]) for each in also]
    return Asked(str(row["question"]), tuple((page, bare(str(phrase))) for page, phrase in places))


def read_chunks(paths: Sequence[Path], folder: Path, count: TokenCounter) -> dict[str, StoredChunk]:
    """Read and cut documents as a run does by default."""
    settings = ChunkingSettings()
    chunks: dict[str, StoredChunk] = {}
    for path in paths:
        name = path.relative_to(folder).as_posix()
        for document in parse(name, path.read_bytes(), "default"):
            if not isinstance(document, Document):
                continue
            cut = chunk(document, count, settings.max_tokens, settings.overlap_sentences)
            ids = ["", *(each.chunk_id for each in cut), ""]
            for place, each in enumerate(cut, start=1):
                around = (ids[place - 1], ids[place + 1], each.tokens)
                shown = (document.document_id, document.title, document.uri, each.heading, each.text)
                chunks[each.chunk_id] = StoredChunk(each.chunk_id, *shown, each.content_hash, *around)
    return chunks


@dataclass(frozen=True)
class Vectored:
    """What the encoder returned for a corpus: the chunks' vectors and token codes, the questions' vectors."""

    chunks: Vectors
    tokens: Sequence[TokenCodes]
    questions: Vectors


def embed(corpus: Corpus, encoder: OnnxEncoder, kept: Path | None) -> Vectored:
    """Embed a corpus, or take what an earlier run has kept of the same texts."""
    texts = [_embedded(each) for each in corpus.chunks.values()]
    questions = [each.question for each in corpus.asked]
    digest = hashlib.sha256(json.dumps([texts, questions]).encode()).hexdigest()[:16]
    path = kept / f"{corpus.name}-{digest}.npz" if kept else None
    if path is not None and path.exists():
        found = np.load(path)
        ends = found["ends"][:-1]
        tokens = [
            TokenCodes(*each) for each in zip(np.split(found["ids"], ends), np.split(found["codes"], ends), strict=True)
        ]
        return Vectored(found["chunks"], tokens, found["questions"])
    chunks, tokens = encoder.embed_with_tokens(texts)
    vectored = Vectored(chunks, tokens, encoder.embed(questions))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            path,
            chunks=chunks,
            questions=vectored.questions,
            ends=np.cumsum([len(each.tokens) for each in tokens]),
            ids=np.concatenate([each.tokens for each in tokens]),
            codes=np.concatenate([each.codes for each in tokens]),
        )
    return vectored


def _embedded(chunk: StoredChunk) -> str:
    place = " — ".join(part for part in (chunk.title, chunk.heading) if part)
    return f"{place}\n{chunk.text}" if place else chunk.text


@dataclass(frozen=True)
class Judged:
    """What became of one question: the rank of its right passage and of its section, and its prompt."""

    rank: int | None
    section_rank: int | None
    in_prompt: bool
    prompt_tokens: int
    seconds: float


def judge(corpus: Corpus, vectored: Vectored, encoder: OnnxEncoder, settings: RetrievalSettings) -> list[Judged]:
    """Retrieve for every question as the service does, one after the other."""
    order = sorted(range(len(corpus.chunks)), key=list(corpus.chunks).__getitem__)
    ids = [list(corpus.chunks)[row] for row in order]
    texts = [_embedded(corpus.chunks[each]) for each in ids]
    tokens = _token_vectors(ids, [vectored.tokens[row] for row in order])
    dense, lexical = VectorIndex.build(vectored.chunks[order], ids), LexicalIndex.build(texts, ids)
    late = LateInteraction(tokens, encoder.token_states)
    retriever = Retriever(dense, lexical, settings, None, late)
    judged = []
    for asked, vector in zip(corpus.asked, vectored.questions, strict=True):
        started = time.perf_counter()
        (ranked,) = retriever.rank([asked.question], vector[None, :], corpus.chunks.get)
        passages = choose_passages(ranked, corpus.chunks.get, settings.passages, (), settings.passage_tokens)
        seconds = time.perf_counter() - started
        right = corpus.right(asked)
        shown = [each for passage in passages for each in passage.shown]
        judged.append(
            Judged(
                _rank(ranked, right),
                _rank(ranked, {beside for each in right for beside in corpus.section(each)}),
                any(each.chunk_id in right for each in shown),
                sum(each.tokens for each in shown),
                seconds,
            )
        )
    return judged


def _token_vectors(ids: Sequence[str], coded: Sequence[TokenCodes]) -> TokenVectors:
    with tempfile.TemporaryDirectory() as folder:
        by_id = dict(zip(ids, coded, strict=True))
        codes = ((chunk_id, each.codes) for chunk_id, each in by_id.items())
        save_token_vectors(Path(folder), ids, ids, {each: by_id[each].tokens for each in ids}, codes)
        return TokenVectors.load(Path(folder))  # what is mapped outlives its name


def _rank(ranked: Sequence[Ranked], right: set[str]) -> int | None:
    return next((each.rank for each in ranked if each.chunk_id in right), None)


def report(name: str, measure: str, judged: Sequence[Judged], ranks: Sequence[int | None]) -> None:
    """Print one measure as a JSON line."""
    figures = {f"recall@{k}": fmean(rank is not None and rank <= k for rank in ranks) for k in KS}
    figures |= {
        "mrr": fmean(1 / rank if rank else 0.0 for rank in ranks),
        "in_prompt": fmean(each.in_prompt for each in judged),
        "prompt_tokens": fmean(each.prompt_tokens for each in judged),
        "p50_ms": median(each.seconds for each in judged) * 1000,
    }
    rounded = {key: round(value, 4) for key, value in figures.items()}
    print(json.dumps({"corpus": name, "measure": measure, "questions": len(judged), **rounded}), flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the embedding model")
    parser.add_argument("--vectors", type=Path, help="where vectors are kept for the next run")
    options = parser.parse_args()

    encoder, count = OnnxEncoder.load(options.encoder), TokenCounter(options.encoder)
    together: dict[str, list[Judged]] = {mode: [] for mode in MODES}
    for corpus in read_corpora(options.folder, count):
        vectored = embed(corpus, encoder, options.vectors)
        for mode, settings in MODES.items():
            judged = judge(corpus, vectored, encoder, settings)
            together[mode] += judged
            report(corpus.name, mode, judged, [each.rank for each in judged])
    for mode, judged in together.items():
        report("all", mode, judged, [each.rank for each in judged])
        report("all", f"{mode}, with section", judged, [each.section_rank for each in judged])


if __name__ == "__main__":
    main()
