"""How good retrieval and answers are on questions whose answers are known. One JSON line a measure:

    python bench/answer_quality.py --documents documents.jsonl --questions questions.jsonl --encoder models/NAME \
        [--reranker models/NAME] [--model models/NAME] [--sample 120]

The documents are of any form that Beforehand reads; a question is a JSON line with `question`, `document` (the
id of the one that holds the answer) and `answers` (spans of it). Hybrid retrieval is measured beside its two
halves, dense and lexical, in the same run, and with the reranker where one is named. With a model, a sample of
the questions is also answered with the default template and sampling, and judged: exact match and F1 against the
spans (a whole sentence that holds the span can't match it exactly, so `contains` says how often it holds it), and
what the audit looks at.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from batch.models.model_folder import locate  # noqa: E402
from batch.reading.chunking import chunk, embedded_text  # noqa: E402
from batch.reading.document import Document  # noqa: E402
from batch.reading.documents import parse  # noqa: E402
from batch.settings import VllmSettings  # noqa: E402
from batch.vllm.engine import VllmEngine  # noqa: E402
from rag.evaluation import Summary, exact_match, judge_retrieval, normalise_answer, summarise, token_f1  # noqa: E402
from rag.llm.protocol import Completion, Llm, Sampling, complete_all  # noqa: E402
from rag.prompting.citations import link, without_references  # noqa: E402
from rag.prompting.support import support  # noqa: E402
from rag.prompting.template import PromptTemplate  # noqa: E402
from rag.retrieval.embedding import OnnxEncoder, TokenCounter  # noqa: E402
from rag.retrieval.fusion import Ranked  # noqa: E402
from rag.retrieval.lexical_index import LexicalIndex  # noqa: E402
from rag.retrieval.passages import (  # noqa: E402
    Passage,
    StoredChunk,
    choose_passages,
)
from rag.retrieval.reranking import Reranker  # noqa: E402
from rag.retrieval.retriever import Retriever  # noqa: E402
from rag.retrieval.vector_index import VectorIndex  # noqa: E402
from rag.settings import ChunkingSettings, RetrievalSettings, SamplingSettings  # noqa: E402
from warehouse.settings import AuditSettings  # noqa: E402

MODES: dict[str, dict[str, Any]] = {"hybrid": {}, "dense": {"lexical_weight": 0.0}, "lexical": {"dense_weight": 0.0}}
KS = (1, 3, 10)
Rankings = dict[str, list[list[Ranked]]]
_CONTEXT_TOKENS = 4096


@dataclass(frozen=True)
class Asked:
    """A question with the document that answers it and the spans that do."""

    question: str
    document: str
    answers: tuple[str, ...]


def read_questions(path: Path) -> list[Asked]:
    """Read the judged questions."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Asked(row["question"], row["document"], tuple(row["answers"])) for row in rows]


def read_chunks(documents: Path, encoder: Path) -> tuple[dict[str, StoredChunk], list[str]]:
    """Read and cut the documents as a run does by default; also returns what is embedded of each chunk."""
    count, settings = TokenCounter(encoder), ChunkingSettings()
    chunks, texts = {}, []
    for document in parse(documents.name, documents.read_bytes(), "default"):
        if not isinstance(document, Document):
            continue
        shown = (document.document_id, document.title, document.uri)
        for each in chunk(document, count, settings.max_tokens, settings.overlap_sentences):
            chunks[each.chunk_id] = StoredChunk(each.chunk_id, *shown, each.heading, each.text, each.content_hash)
            texts.append(embedded_text(document.title, each))
    return chunks, texts


def rank(
    chunks: Mapping[str, StoredChunk],
    texts: Sequence[str],
    asked: Sequence[Asked],
    encoder: Path,
    reranker: Path | None,
) -> Rankings:
    """Rank the chunks for every question, in each mode."""
    model, ids = OnnxEncoder.load(encoder), list(chunks)
    dense, lexical = VectorIndex.build(model.embed(texts), ids), LexicalIndex.build(texts, ids)
    questions = [each.question for each in asked]
    vectors = model.embed(questions)
    retrievers = {mode: Retriever(dense, lexical, RetrievalSettings(**weights)) for mode, weights in MODES.items()}
    if reranker:
        retrievers["reranked"] = Retriever(dense, lexical, RetrievalSettings(), Reranker.load(reranker))
    return {mode: retriever.rank(questions, vectors, chunks.get) for mode, retriever in retrievers.items()}


def judge_ranking(
    ranked: Sequence[Sequence[Ranked]], chunks: Mapping[str, StoredChunk], asked: Sequence[Asked]
) -> Summary:
    """Judge a ranking by the document of each chunk; a document counts where its first chunk stands."""
    found = {
        str(i): list(dict.fromkeys(chunks[each.chunk_id].document_id for each in row)) for i, row in enumerate(ranked)
    }
    return judge_retrieval(found, {str(i): {each.document} for i, each in enumerate(asked)}, KS)


def judge_answer(completion: Completion, passages: Sequence[Passage], asked: Asked) -> dict[str, float]:
    """Judge one answer: against the spans, and by what the audit looks at."""
    linked = link(completion.text, passages)
    bare = without_references(linked.text)
    supported, ended = support(linked.text, passages, asked.question), completion.finish_reason == "stop"
    spans = [normalise_answer(span) for span in asked.answers]
    return {
        "exact_match": exact_match(bare, asked.answers),
        "f1": token_f1(bare, asked.answers),
        "contains": float(any(span in normalise_answer(bare) for span in spans)),
        "support": supported,
        "ended": float(ended),
        "cited": float(any(each.kind == "cited" for each in linked.citations)),
        "served": float(ended and supported >= AuditSettings().least_support),
        "completion_tokens": float(completion.completion_tokens),
    }


async def answer(llm: Llm, asked: Sequence[Asked], passages: Sequence[Sequence[Passage]]) -> Summary:
    """Answer the questions together and judge the answers; one that failed counts as wrong."""
    template, sampling = PromptTemplate.load(None), Sampling(**SamplingSettings().model_dump())
    chats = [template.messages(each.question, found) for each, found in zip(asked, passages, strict=True)]
    completions = await complete_all(llm, chats, sampling, concurrency=64)
    nothing = Completion("", "error", 0, 0, llm.model)
    return summarise(
        [
            judge_answer(done if isinstance(done, Completion) else nothing, found, each)
            for done, found, each in zip(completions, passages, asked, strict=True)
        ]
    )


def report(measure: str, summary: Summary, **more: Any) -> None:
    """Print one measure as a JSON line."""
    means = {name: round(mean, 4) for name, mean in summary.means.items()}
    print(json.dumps({"measure": measure, **more, "questions": summary.questions, **means}), flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, required=True)
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the embedding model")
    parser.add_argument("--reranker", type=Path, help="folder of a cross-encoder")
    parser.add_argument("--model", type=Path, help="folder of the language model; without it only retrieval")
    parser.add_argument("--sample", type=int, default=120, help="questions to answer")
    options = parser.parse_args()

    asked = read_questions(options.questions)
    chunks, texts = read_chunks(options.documents, options.encoder)
    ranked = rank(chunks, texts, asked, options.encoder, options.reranker)
    for mode, rows in ranked.items():
        report("retrieval", judge_ranking(rows, chunks, asked), mode=mode, chunks=len(chunks))
    if options.model is None:
        return
    sample = random.Random(0).sample(range(len(asked)), min(options.sample, len(asked)))
    count = RetrievalSettings().passages
    best = ranked.get("reranked", ranked["hybrid"])
    passages = [choose_passages(best[i], chunks.get, count) for i in sample]
    engine = VllmEngine(locate(str(options.model), options.model.parent), VllmSettings(), _CONTEXT_TOKENS)
    try:
        summary = asyncio.run(answer(engine, [asked[i] for i in sample], passages))
    finally:
        engine.close()
    report("answers", summary, model=engine.model, passages=count)


if __name__ == "__main__":
    main()
