"""What a hit and a miss cost: over HTTP beside the embedding and a call to the model, and the decision alone.

    python bench/latencies.py ENCODER_FOLDER [--answers 80 1000 10000 100000] [--rounds 200]

Eighty answers have three wordings each and real vectors; the others have vectors made up at random, for it is their
number that matters. One JSON line for each number of answers and way to decide ("verifier": one wording an answer;
"selector": three). Over HTTP the kinds of request alternate, so that a busy machine slows all of them alike:
milliseconds as [tenth percentile, median], and processor time of the service as a mean. `beyond` is what a miss takes
beyond one embedding and a direct call to the (fake) model. The decision is timed in one thread, by its processor time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import http_load as http
import lmdb
import numpy as np
from exact_hits import answer, anticipated, write_release

from online.answering.question import Asked
from online.answering.semantic_hit import Permits, Search, seek_near
from online.release.open_release import OpenRelease
from online.release.opening import open_release
from rag.identity import query_key
from rag.retrieval.embedding import OnnxEncoder
from rag.retrieval.lexical_index import LexicalIndex
from rag.retrieval.token_vectors import save_token_vectors
from rag.retrieval.vector_index import QUICK_LIMIT, VectorIndex
from rag.selection.shipped import ShippedSelector
from rag.settings import RetrievalSettings

_VERBS = ("change", "cancel", "download", "report")
_THINGS = (
    "a delivery address", "a monthly invoice", "a lost card", "a library account", "a phone contract", "a train ticket",
    "a hotel booking", "a water meter", "a parking permit", "a dental appointment", "a gift voucher", "a school meal",
    "a job application", "a tax form", "a gym membership", "a newspaper subscription", "a travel insurance",
    "a bank statement", "a rental agreement", "a power cut",
)  # fmt: skip
_WORDINGS = ("How do I {}?", "I would like to {}, what are the steps?", "where does one begin if one has to {}")
_ASKED = ("How can I {}, please?", "hello, could you tell me how to {}?", "how to {}", "I need help to {}")
_TOLERATED = 0.05
_PASSAGES = 300


def real_answers() -> list[tuple[int, str, list[str]]]:
    """Return number, question and further wordings of the answers that are asked for."""
    tasks = [f"{verb} {thing}" for thing in _THINGS for verb in _VERBS]
    return [
        (number, _WORDINGS[0].format(task), [each.format(task) for each in _WORDINGS[1:]])
        for number, task in enumerate(tasks)
    ]


def asked_questions() -> list[str]:
    """Return what is asked in other words, each text once."""
    return [asked.format(f"{verb} {thing}") for asked in _ASKED for verb in _VERBS for thing in _THINGS]


def missed(number: int) -> str:
    """Return a question that nobody anticipated, of as many words as the others."""
    count = len(_THINGS)
    one, other = _THINGS[number % count], _THINGS[number // count % count]
    return f"Who lost {one} beside {other} in {1900 + number // count**2}?"


def write_desk(data: Path, answers: int, encoder_folder: Path, made: tuple[list[str], Any], *, worded: bool) -> Path:
    """Write a release of so many answers; with `worded` the real ones have their further wordings, and a selector."""
    release = data / "releases" / write_release(data, max(answers - len(real_answers()), 1), encoder_folder)
    encoder, folder = OnnxEncoder.load(release / "encoder"), release / "collections" / "main"
    real = [(query_key("main", question), number, question, more) for number, question, more in real_answers()]
    entries, wordings = [], []
    for key, number, question, more in real:
        fields = json.loads(anticipated(key, number)) | {"question": question}
        body = json.loads(answer(key, number)) | {"question": question}
        entries += [(f"p:{key}", json.dumps(fields)), (f"q:{key}", json.dumps(body))]
        for text in more if worded else ():
            also = query_key("main", text)
            entries += [(f"v:{also}", key), (f"t:{also}", json.dumps({"wording": text, "origin": "team"}))]
            wordings.append((also, text))
        if worded:
            entries.append((f"n:{key}", str(len(more))))
    _put(release, entries)
    made_up = VectorIndex.load(folder / "questions")
    rows = np.stack([made_up._index.reconstruct(row) for row in range(len(made_up))])
    vectors = np.concatenate([rows, encoder.embed([question for _, _, question, _ in real])])
    VectorIndex.build(vectors, [*made_up.ids, *(key for key, *_ in real)], QUICK_LIMIT).save(folder / "questions")
    if worded:
        further = encoder.embed([text for _, text in wordings])
        VectorIndex.build(further, [key for key, _ in wordings]).save(folder / "wordings_served")
        ShippedSelector.load().selector(1 + len(_WORDINGS[1:])).save(folder / "selector.json")
    _write_passages(release, made)
    return release


def passages(encoder: OnnxEncoder) -> tuple[list[str], Any]:
    """Return texts of some eighty words each, and their vectors and token vectors."""
    words = sorted({word for each in (*_VERBS, *_THINGS) for word in each.split()})
    chance = np.random.default_rng(2)
    texts = [" ".join(chance.choice(words, 80).tolist()) + f" {number}." for number in range(_PASSAGES)]
    return texts, encoder.embed_with_tokens(texts)


def _write_passages(release: Path, made: tuple[list[str], Any]) -> None:
    texts, (vectors, tokens) = made
    folder, ids = release / "collections" / "main", [f"c{number:04}" for number in range(len(texts))]
    VectorIndex.build(vectors, ids).save(folder / "passages")
    LexicalIndex.build(texts, ids).save(folder / "lexical")
    codes = zip(texts, (each.codes for each in tokens), strict=True)
    read = dict(zip(texts, (each.tokens for each in tokens), strict=True))
    save_token_vectors(folder / "tokens", ids, texts, read, codes)
    chunk = {
        "document_id": "d",
        "title": "Desk",
        "uri": "file:desk.md",
        "heading": "",
        "content_hash": "h",
        "tokens": 130,
    }
    _put(
        release,
        (
            (f"c:{key}", json.dumps(chunk | {"chunk_id": key, "text": text}))
            for key, text in zip(ids, texts, strict=True)
        ),
    )


def _put(release: Path, entries: Iterable[tuple[str, str]]) -> None:
    path = str(release / "serving.lmdb")
    with (
        lmdb.open(path, subdir=False, map_size=8 * 2**30, lock=False) as environment,
        environment.begin(write=True) as transaction,
    ):
        for name, value in entries:
            transaction.put(name.encode(), value.encode())


def processor_seconds(process: int) -> float:
    """Return the processor time that the threads of a process have used."""
    threads = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[0]) for each in threads) / 1e9


async def over_http(service: int, url: str, llm: str, encoder: OnnxEncoder, first: int, rounds: int) -> dict[str, Any]:
    """Return what each kind of request takes, asked in turns."""
    exact = [question for _, question, _ in real_answers()]
    semantic = asked_questions()
    async with http.connected(url) as client, http.connected(llm) as model:
        prompt = json.dumps(
            {"model": "fake-model", "max_tokens": 32, "messages": [{"role": "user", "content": "passage " * 200}]}
        )

        async def embed(number: int) -> int:
            encoder.embed([missed(first + number)])
            return 200

        kinds: dict[str, Callable[[int], Awaitable[int]]] = {
            "embedding": embed,
            "exact": lambda number: client.ask(exact[number % len(exact)]),
            "semantic": lambda number: client.ask(semantic[(first + number) % len(semantic)]),
            "direct": lambda _: model.post("/v1/chat/completions", prompt),
            "miss": lambda number: client.ask(missed(first + number)),
        }
        took: dict[str, list[float]] = {name: [] for name in kinds}
        spent: dict[str, float] = dict.fromkeys(kinds, 0.0)
        for number in range(rounds):
            for name, act in kinds.items():
                before, started = processor_seconds(service), time.perf_counter()
                status = await act(number)
                took[name].append((time.perf_counter() - started) * 1000)
                if status != 200:
                    raise RuntimeError(f"{name} {number}: status {status}")
                await asyncio.sleep(0.002)  # what follows the answer, such as the journal, is part of its cost
                spent[name] += processor_seconds(service) - before
    figures: dict[str, Any] = {name: spread(each) for name, each in took.items()}
    figures["processor"] = {
        name: round(each / rounds * 1000, 2) for name, each in spent.items() if name in ("exact", "semantic", "miss")
    }
    figures["beyond"] = [
        round(figures["miss"][n] - figures["direct"][n] - figures["embedding"][n], 2) for n in range(2)
    ]
    return figures


def spread(values: list[float]) -> list[float]:
    """Return the tenth percentile and the median."""
    ordered = sorted(values)
    return [round(ordered[len(ordered) // 10], 2), round(statistics.median(ordered), 2)]


def decision(release: OpenRelease, rounds: int) -> dict[str, Any]:
    """Return the processor time of an embedding and of a decision with its vector known, and how many hit.

    Each answer was asked for once before, as in a service that has run for a while; the questions are new.
    """
    permits = Permits(lambda _: True, lambda _: False, _TOLERATED)
    known = len(real_answers())
    everything = asked_questions()
    before, questions = everything[-known:], everything[:-known]
    embedded, decided, hits = [], [], 0
    for number, question in enumerate(before + (questions * rounds)[:rounds]):
        asked = Asked(str(number), "main", question, query_key("main", question), 0.0)
        started = time.thread_time()
        vector = release.encoder.embed([question])[0]
        embedded.append((time.thread_time() - started) * 1000)
        started = time.thread_time()
        sought = seek_near(release, Search(asked, permits, _TOLERATED), vector)
        decided.append((time.thread_time() - started) * 1000)
        hits += sought.hit is not None and number >= known
    embedded, decided = embedded[known:], decided[known:]
    embedding, decision = spread(embedded), spread(decided)
    return {
        "embedding": embedding, "decision": decision, "hits": hits / rounds,
        "decision_of_embedding": round(decision[1] / embedding[1], 3),
        "both_of_embedding": round((decision[1] + embedding[1]) / embedding[1], 3),
    }  # fmt: skip


def measure(answers: int, options: argparse.Namespace, made: tuple[list[str], Any], *, worded: bool) -> None:
    """Print the line of one release."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_desk(Path(folder), answers, options.encoder, made, worded=worded)
        checksums = json.loads((path / "manifest.json").read_text())["checksums"]
        release = open_release("bench", path, checksums, {"main": RetrievalSettings()})
        line = {
            "bench": "latencies", "answers": answers, "decided_by": "selector" if worded else "verifier",
            "processor_of_a_decision": decision(release, options.rounds),
        }  # fmt: skip
        with http.program(http.FAKE_LLM, "{}", "0") as (_, llm):
            config = {
                "data": folder,
                "collections": {"main": {"documents": [], "tolerated_error": _TOLERATED}},
                "service": {"port": 0, "comparison_share": 0.0},  # beside the fake's answers all hits look wrong
                "llm": {"endpoint": f"{llm}/v1", "model": "fake-model"},
                "sampling": {"max_tokens": 32},
            }
            with http.program(http.SERVICE, json.dumps(config)) as (process, url):
                http.wait_until_ready(url)
                asyncio.run(over_http(process.pid, url, llm, release.encoder, 0, 20))  # warm
                line["over_http"] = asyncio.run(over_http(process.pid, url, llm, release.encoder, 20, options.rounds))
        print(json.dumps(line), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("--answers", type=int, nargs="+", default=[80, 1000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    made = passages(OnnxEncoder.load(options.encoder))
    for answers in options.answers:
        for worded in (False, True):
            measure(answers, options, made, worded=worded)


if __name__ == "__main__":
    main()
