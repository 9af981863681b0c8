"""A project with a small release of five answers, and a model over HTTP that judges and writes as a test wants."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from rag.identity import query_key
from tests.corpus_project import Project
from tests.fake_llm import FakeLlm
from tests.warehouse.conftest import key, sample_rows, write_parquet
from warehouse.history.compaction import compact
from warehouse.releases.build import begin_build, publish, seal
from warehouse.releases.load import load_release_database
from warehouse.releases.serving_index import write_serving_index
from warehouse.settings import HistorySettings

ANSWERS = {
    "How long does the warranty last?": "The warranty lasts two years from the day of purchase [1].",
    "How often should I descale the machine?": "Descale it every three months [1].",
    "May I descale the machine with vinegar?": "No, vinegar harms the seals [1].",
    "Can the drip tray go into the dishwasher?": "Yes, on the upper rack [1].",
    "Within how many days may I return a used machine?": "Within thirty days [1].",
}
WARRANTY, DESCALING, VINEGAR, TRAY, RETURNING = ANSWERS
_JUDGED = re.compile(r"The answer was prepared for this question: (.*)\n\nA visitor asks: (.*)\n")
_VARIED = re.compile(r"^Question: (.*)$", re.MULTILINE)


class JudgingLlm(FakeLlm):
    """Judges with `fits`, the probability that the answer to a question fits another; writes what `writes` returns.

    With `words` it says yes or no, and no probabilities.
    """

    def __init__(self) -> None:
        super().__init__()
        self.again()

    def again(self) -> None:
        """Forget what was asked, and judge and write as at first: only equal questions fit, and nothing is written."""
        self.requests.clear()
        self.words = False
        self.fits: Callable[[str, str], float] = lambda prepared, asked: float(prepared == asked)
        self.writes: Callable[[str, bool], str] = lambda _question, _lookalikes: ""

    @property
    def judged(self) -> list[tuple[str, str]]:
        """What was judged so far: the prepared question, and the one asked."""
        prompts = [body["messages"][-1]["content"] for body in self.requests]
        return [(found[1], found[2]) for prompt in prompts if (found := _JUDGED.search(prompt))]

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        answer = super()._answer(body)
        prompt = body["messages"][-1]["content"]
        if varied := _VARIED.search(prompt):
            answer["choices"][0]["message"]["content"] = self.writes(varied[1], "want another answer" in prompt)
        return judging_reply(answer, body, self.fits, words=self.words)


def judging_reply(
    answer: dict[str, Any], body: dict[str, Any], fits: Callable[[str, str], float], *, words: bool = False
) -> dict[str, Any]:
    """Return the reply to a chat that asks for a verdict; another chat's is returned as it is."""
    found = _JUDGED.search(body["messages"][-1]["content"])
    if found:
        yes, choice = float(fits(found[1], found[2])), answer["choices"][0]
        choice["message"]["content"] = "Yes" if yes >= 0.5 else "No"
        if body.get("logprobs") and not words:
            likeliest = [
                {"token": word, "logprob": math.log(max(share, 1e-9))}
                for word, share in (("Yes", yes), ("No", 1 - yes))
            ]
            choice["logprobs"] = {"content": [{"token": "Yes", "top_logprobs": likeliest}]}
    return answer


def publish_answers(project: Project, worded: Mapping[str, str] | None = None, asked: Collection[str] = ()) -> None:
    """Publish a release with the five answers, without a run.

    `worded` are wordings of a judge, with their answers; `asked` are questions of visitors with answers of their own.
    """
    rows = sample_rows()
    (question, answer, citation) = (rows[name][0] for name in ("questions", "answers", "citations"))
    answers = ANSWERS | {text: f"About {text} nothing is written [1]." for text in asked}
    keys = {text: query_key("default", text) for text in answers}
    rows["questions"] = [
        question
        | {"query_key": keys[text], "question": text, "normalised": text}
        | ({"origin": "journal"} if text in asked else {})
        for text in answers
    ]
    rows["answers"] = [
        answer | {"query_key": keys[text], "fingerprint": key(f"f-{number}"), "answer": said}
        for number, (text, said) in enumerate(answers.items())
    ]
    rows["citations"] = [citation | {"query_key": each} for each in keys.values()]
    for name, each in rows.items():
        rows[name] = [row | {"collection": "default"} if "collection" in row else row for row in each]
    rows |= {"retrievals": [], "changes": []}
    rows["wordings"] = [
        {"collection": "default", "query_key": answer, "wording_key": query_key("default", text), "wording": text,
         "origin": "journal", "approved_by": "m@1", "since": datetime.now(UTC) - timedelta(days=7)}
        for text, answer in (worded or {}).items()
    ]  # fmt: skip
    build = begin_build(project.data, "r2" if worded or asked else "r1")
    load_release_database(build.database, write_parquet(project.folder / "stages", rows))
    write_serving_index(build.database, build.serving_index, build.release_id)
    seal(build, {"counts": {}, "encoder": {"id": project.plan().encoder_id}})
    publish(build)


def ask(
    project: Project,
    question: str,
    askers: int = 3,
    times: int = 1,
    first: int = 0,
    source: str = "live",
    helpful: bool | None = None,
    writing: bool = False,
) -> None:
    """Write to the journal that so many visitors asked a question, each so often: in vain, unless `source` differs.

    `helpful` is what each of them said of the answer; `writing` says that a server still writes to the segment.
    """
    folder = project.data / "journal"
    folder.mkdir(exist_ok=True)
    at = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    records = [
        {"kind": "request", "request_id": f"{question}-{visitor}-{time}", "at": at, "collection": "default",
         "route": "/v1/answers", "question": question, "query_key": query_key("default", question), "source": source,
         "status": 200, "total_seconds": 0.1, "asker": f"visitor-{visitor}",
         "wording_key": query_key("default", question) if source == "exact" else None}
        for visitor in range(first, first + askers) for time in range(times)
    ]  # fmt: skip
    if helpful is not None:
        records += [
            {
                "kind": "feedback",
                "at": at,
                "helpful": helpful,
                **{name: each[name] for name in ("request_id", "collection")},
            }
            for each in records
        ]
    (folder / f"segment-{query_key('default', question)}.jsonl{'.open' if writing else ''}").write_text(
        "".join(json.dumps(each) + "\n" for each in records)
    )
    compact(project.data, HistorySettings())
