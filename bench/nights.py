"""Nights of a help desk: visitors ask what nobody anticipated, and each night's run anticipates the next day.

    python bench/nights.py HELP_FOLDER [--set banking] [--nights 3] [--requests 1000] [--known 1]

The questions are those of the set's `asked` rows, some of them asked again and again; the team has listed a question
with `--known` wordings for every other answer, and has a page about each. Flow, service, encoder, journal and the
judge's exam are real; the language model is a fake one that answers from the passage about the right answer, if it is
given that, and errs as a judge in `--mistakes` of the cases. Prints one JSON line a day, with what the night before it
did: the share of the requests answered beforehand, how many of those rightly, and what 1,000 questions cost in tokens:
live, with the night (whose tokens cost `--batch-price` of a live one's, as in a Batch API), and if all of them were
answered live. A night's answers serve more days than the next; so the line also has these sums over all days so far.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import hashlib
import json
import math
import os
import random
import re
import sys
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import http_load as http
import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

ROOT = http.ROOT
sys.path.insert(0, str(ROOT))

from beforehand.configuration import prepare_environment, read_settings  # noqa: E402
from bench.fake_llm import FakeLlm, served  # noqa: E402
from warehouse.editorial.listing import list_question  # noqa: E402
from warehouse.releases.release import current  # noqa: E402

if TYPE_CHECKING:
    from flows.ledger import Ledger

_KEYS = 12
_JUDGED = re.compile(r"The answer was prepared for this question: (.*)\n\nA visitor asks: (.*)\n")
_ASKED = re.compile(r"^Question: (.*)$", re.MULTILINE)
_PASSAGE = re.compile(r"<passage (\d+)>\n[^\n]*\n(.*?)\n</passage \1>", re.DOTALL)
_CONFIGURATION = """
[project]
data = "data"
models = {models}
[llm]
model = "fake-model"
endpoint = "{url}/v1"
[collections.default]
documents = ["documents"]
questions = ["questions.jsonl"]
tolerated_error = 0.02
[prompt]
template = "prompt.txt"
[retrieval]
passage_tokens = 0
[batch]
generate_with = "endpoints"
endpoints = ["{url}/v1"]
[audit]
most_alike = 1.0
least_served = 0.0
"""


@dataclass
class DeskLlm(FakeLlm):
    """The language model; `wants` names the answer that each question wants, and `spent` counts its tokens."""

    wants: Mapping[str, str] = field(default_factory=dict)
    mistakes: float = 0.0
    spent: int = 0

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        prompt = str(body["messages"][-1]["content"])
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
        if judged := _JUDGED.search(prompt):
            yes = self._judges(judged[1], judged[2])
            choice |= {
                "message": {"role": "assistant", "content": "Yes" if yes > 0.5 else "No"},
                "logprobs": _logprobs(yes),
            }
        else:
            choice["message"] = {"role": "assistant", "content": self._says(prompt)}
        usage = self._usage(body)
        self.spent += usage["total_tokens"]
        frame = {"id": "1", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]}
        return JSONResponse(frame | {"usage": usage})

    def _judges(self, prepared: str, asked: str) -> float:
        fits = prepared == asked or self.wants.get(prepared, "?") == self.wants.get(asked, "")
        errs = prepared != asked and zlib.crc32(f"{prepared} {asked}".encode()) % 1000 < 1000 * self.mistakes
        return 0.98 if fits != errs else 0.02

    def _says(self, prompt: str) -> str:
        asked = _ASKED.findall(prompt)
        page = page_about(self.wants.get(asked[-1], "")) if asked else ""
        passages = {text: number for number, text in _PASSAGE.findall(prompt)}
        if not passages:
            return "I do not know."
        text = next((each for each in passages if page.split(".")[0] in each), next(iter(passages)))
        return f"{text.strip().split('. ')[0].rstrip('.')} [{passages[text]}]."


def _logprobs(yes: float) -> dict[str, Any]:
    likeliest = [{"token": word, "logprob": math.log(share)} for word, share in (("Yes", yes), ("No", 1 - yes))]
    return {"content": [{"token": "Yes", "top_logprobs": likeliest}]}


def page_about(answer: str) -> str:
    """Return the text of the page about an answer."""
    name = answer.replace("_", " ")
    return f"For {name} open the page {name} of the app. Whoever asks about {name} finds every step there."


@dataclass(frozen=True)
class Desk:
    """The set: texts with their answers, known and asked."""

    known: Sequence[tuple[str, str]]
    asked: Sequence[tuple[str, str]]

    @property
    def answers(self) -> list[str]:
        """The answers that the desk has."""
        return sorted({answer for _, answer in self.known})


def read(path: Path) -> Desk:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    parts: dict[str, list[tuple[str, str]]] = {"known": [], "asked": []}
    for row in rows:
        if row["answer"]:
            parts[row["part"]].append((" ".join(row["text"].split()), row["answer"]))
    return Desk(parts["known"], parts["asked"])


def write_project(folder: Path, desk: Desk, url: str, known: int) -> None:
    (folder / "documents").mkdir(parents=True)
    for answer in desk.answers:
        title = answer.replace("_", " ").capitalize()
        (folder / "documents" / f"{answer}.md").write_text(f"# {title}\n\n{page_about(answer)}\n")
    listed = [[text for text, owner in desk.known if owner == answer][:known] for answer in desk.answers[::2]]
    rows = [json.dumps({"question": first, "variants": others}) for first, *others in listed]
    (folder / "questions.jsonl").write_text("\n".join(rows) + "\n")
    (folder / "prompt.txt").write_text("[user]\n{passages}\n\nQuestion: {question}\n")
    models = json.dumps(str(ROOT / "models"))
    (folder / "beforehand.toml").write_text(_CONFIGURATION.format(models=models, url=url))


def traffic(desk: Desk, requests: int, chance: random.Random) -> list[tuple[str, str]]:
    """Return a day's questions: of each answer some phrasings are asked much more often than others."""
    own: dict[str, list[tuple[str, str]]] = {}
    for each in desk.asked:
        own.setdefault(each[1], []).append(each)
    answers = sorted(own)
    popular = chance.choices(answers, [1 / (place + 3) for place in range(len(answers))], k=requests)
    return [chance.choices(own[each], [1 / (place + 1) for place in range(len(own[each]))])[0] for each in popular]


def build(folder: Path) -> dict[str, Any]:
    from beforehand.run_plan import compose_plan, new_run
    from flows.build_release import build_release
    from flows.publish_release import Publication

    settings = read_settings((folder / "beforehand.toml", ()))
    publication = Publication(settings.audit, settings.history, settings.releases.keep, settings.releases.keep_runs)
    plan = compose_plan(settings, new_run())
    ledger = build_release(folder / "beforehand.toml", plan, publication).ledger
    anticipated, joined = ledger.figures["anticipate"], ledger.figures.get("join", {})
    return {
        "questions": anticipated["questions"], "wordings": anticipated.get("wordings", 0),
        "joined": {name: joined.get(name, 0) for name in ("clusters", "wordings", "fences", "doubtful")},
        "approved": approve(settings.project.data), "seconds": round(sum(ledger.seconds.values()), 1),
        "tokens": {stage: tokens for stage in ledger.figures if (tokens := _tokens(ledger, stage))},
    }  # fmt: skip


def _tokens(ledger: Ledger, stage: str) -> int:
    return ledger.figure(stage, "prompt_tokens") + ledger.figure(stage, "completion_tokens")


def approve(data: Path) -> int:
    """List the visitors' questions that the release has, as a person does in the morning; return how many."""
    with duckdb.connect(str(current(data).database), read_only=True) as tables:
        rows = tables.execute("SELECT query_key FROM questions WHERE origin = 'journal'").fetchall()
    for (query_key,) in rows:
        list_question(data, "default", query_key, "Ada")
    return len(rows)


def key_of(visitor: int) -> str:
    """Return a visitor's API key."""
    return f"key-of-visitor-{visitor:02}-0123456789"


@contextlib.contextmanager
def service(folder: Path, url: str) -> Iterator[str]:
    keys = {
        f"visitor-{number}": {"hash": f"sha256:{hashlib.sha256(key_of(number).encode()).hexdigest()}"}
        for number in range(_KEYS)
    }
    config = {
        "data": str(folder / "data"), "collections": {"default": {"documents": [], "tolerated_error": 0.02}},
        "service": {"port": 0, "keys": keys, "comparison_share": 0.0},
        "llm": {"endpoint": f"{url}/v1", "model": "fake-model"},
        "retrieval": {"passage_tokens": 0},
    }  # fmt: skip
    with http.program(http.SERVICE, json.dumps(config)) as (_, address):
        http.wait_until_ready(address)
        yield address


async def ask_all(address: str, asked: Sequence[tuple[str, str]], chance: random.Random) -> dict[str, Any]:
    """Ask a day's questions; a visitor who got a wrong answer beforehand says so in one of three cases."""
    counts = dict.fromkeys(("exact", "semantic", "live", "other", "right", "wrong", "wrong_semantic"), 0)
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:
        for text, answer in asked:
            headers = {"authorization": f"Bearer {key_of(chance.randrange(_KEYS))}"}
            reply = (await client.post("/v1/answers", json={"question": text}, headers=headers)).json()
            source = reply.get("source", "other")
            counts[source if source in counts else "other"] += 1
            if source in ("exact", "semantic"):
                right = page_about(answer).split(".")[0] in reply["answer"]
                counts["right" if right else "wrong"] += 1
                counts["wrong_semantic"] += source == "semantic" and not right
                if not right and chance.random() < 1 / 3:
                    said = {"request_id": reply["id"], "helpful": False}
                    await client.post("/v1/feedback", json=said, headers=headers)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--set", default="banking", choices=("banking", "assistant"))
    parser.add_argument("--nights", type=int, default=3)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--known", type=int, default=1)
    parser.add_argument("--batch-price", type=float, default=0.5)
    parser.add_argument("--mistakes", type=float, default=0.03)
    options = parser.parse_args()
    desk = read(options.folder / f"{options.set}.jsonl.gz")
    llm = DeskLlm(tokens=30, wants=dict([*desk.known, *desk.asked]), mistakes=options.mistakes)
    with tempfile.TemporaryDirectory() as temporary, served(llm.app) as url:
        folder = Path(temporary) / "project"
        write_project(folder, desk, url, options.known)
        settings = read_settings((folder / "beforehand.toml", ()))
        prepare_environment(settings)
        from flows.prefect_server import prefect_server

        with prefect_server(settings.project.data / "prefect") as server:
            if server is not None:
                server.wait_until_ready()
            replay(folder, desk, llm, url, options)


@dataclass
class Spent:
    """Tokens: of live answers, of nights at their price, and of what would be if all questions were answered live."""

    questions: int = 0
    live: float = 0.0
    night: float = 0.0
    all_live: float = 0.0

    def add(self, other: Spent) -> None:
        """Add those of a day."""
        self.questions += other.questions
        self.live += other.live
        self.night += other.night
        self.all_live += other.all_live

    def of_a_thousand(self) -> dict[str, int]:
        """Return them for 1,000 questions."""
        each = 1000 / self.questions
        return {
            "live": round(self.live * each), "night": round(self.night * each),
            "total": round((self.live + self.night) * each), "all_live": round(self.all_live * each),
        }  # fmt: skip


def replay(folder: Path, desk: Desk, llm: DeskLlm, url: str, options: argparse.Namespace) -> None:
    chance = random.Random(7)
    so_far = Spent()
    night = {"night": build(folder), "tokens": llm.spent}
    for day in range(options.nights + 1):
        before = llm.spent
        with service(folder, url) as address:
            counts = asyncio.run(ask_all(address, traffic(desk, options.requests, chance), chance))
        live, hits = llm.spent - before, counts["exact"] + counts["semantic"]
        # what was answered beforehand would have cost as much as what was answered live
        all_live = live * options.requests / max(1, options.requests - hits)
        spent = Spent(options.requests, live, night["tokens"] * options.batch_price, all_live)
        so_far.add(spent)
        line = {
            "bench": "nights", "set": options.set, "day": day + 1, "requests": options.requests,
            "beforehand": round(hits / options.requests, 3), **counts, "tokens_of_1000": spent.of_a_thousand(),
            "tokens_of_1000_so_far": so_far.of_a_thousand(), "the_night_before": night["night"],
        }  # fmt: skip
        print(json.dumps(line), flush=True)
        if day < options.nights:
            before = llm.spent
            night = {"night": build(folder), "tokens": 0}
            night["tokens"] = llm.spent - before


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
