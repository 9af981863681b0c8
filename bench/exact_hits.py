"""Exact hits against a no-op: requests a second and latencies, in the same run, behind the same server.

The no-op is a FastAPI endpoint that takes the same body and returns a constant. Each is loaded with wrk at 1, 32
and 256 connections, alternating, with 1 thousand and 1 million answers in the release. One JSON line each:

    python bench/exact_hits.py [--answers 1000 1000000] [--seconds 10] [--rounds 3]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import http_load as http
import lmdb
import numpy as np

ROOT = http.ROOT
sys.path.insert(0, str(ROOT))

from bench.word_encoder import write_encoder  # noqa: E402
from rag.identity import query_key  # noqa: E402
from rag.prompting.template import PromptTemplate  # noqa: E402
from rag.retrieval.embedding import OnnxEncoder  # noqa: E402
from rag.retrieval.lexical_index import LexicalIndex  # noqa: E402
from rag.retrieval.vector_index import VectorIndex  # noqa: E402
from warehouse.releases.serving_index import FORMAT  # noqa: E402

_PASSAGE = "The setting is changed on the page of your account. " * 12
# The service refuses an encoder to which questions such as these are alike.
_UNRELATED = "How do I bake a sourdough bread? Which treaty ended the Thirty Years' War?"
QUESTION = "How do I change the setting number {} of my account?"
_NOOP = """
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

class Ask(BaseModel):
    question: str
    collection: str | None = None
    explain: bool = False
    stream: bool = False

app = FastAPI()

@app.post("/v1/answers")
async def noop(ask: Ask) -> dict[str, bool]:
    return {"ok": True}

import socket
listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
print("http://127.0.0.1:%d" % listening.getsockname()[1], flush=True)
options = {"loop": "uvloop", "http": "httptools", "access_log": False, "log_level": "warning", "server_header": False}
uvicorn.Server(uvicorn.Config(app, **options)).run(sockets=[listening])
"""
_LUA = """
local n = {answers}
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
  local number = math.random(0, n - 1)
  local body = '{{"question": "How do I change the setting number ' .. number .. ' of my account?"}}'
  return wrk.format(nil, "/v1/answers", nil, body)
end
done = function(summary, latency, requests)
  local errors = summary.errors
  local bad = errors.status + errors.connect + errors.read + errors.write
  local rate = summary.requests / summary.duration * 1e6
  local p50, p99 = latency:percentile(50) / 1000, latency:percentile(99) / 1000
  io.write(string.format("RESULT %f %f %f %d\\n", rate, p50, p99, bad))
end
"""


def write_release(data: Path, answers: int, encoder: Path | None = None, name: str = "bench") -> str:
    """Write a release with so many answers, each with one source of 600 characters, and point to it."""
    release = data / "releases" / name
    release.mkdir(parents=True)
    keys = {query_key("main", QUESTION.format(number)): number for number in range(answers)}
    environment = lmdb.open(str(release / "serving.lmdb"), subdir=False, map_size=8 * 2**30, lock=False, sync=False)
    with environment.begin(write=True) as transaction, transaction.cursor() as cursor:
        passage = {"chunk_id": "c", "document_id": "d", "title": "Settings", "uri": "file:settings.md", "heading": ""}
        cursor.putmulti([(b"c:c", json.dumps(passage | {"text": _PASSAGE, "content_hash": "h"}).encode())], append=True)
        cursor.putmulti([(b"meta", json.dumps({"release_id": name, "format": FORMAT}).encode())], append=True)
        cursor.putmulti(((b"p:" + key.encode(), anticipated(key, keys[key])) for key in sorted(keys)), append=True)
        cursor.putmulti(((b"q:" + key.encode(), answer(key, keys[key])) for key in sorted(keys)), append=True)
    environment.close()
    _write_encoder(release / "encoder", encoder)
    _write_indexes(release, sorted(keys)[:100_000])  # beyond, FAISS trains for minutes; exact hits don't look there
    (release / "prompt.txt").write_text(PromptTemplate.load(None).text, encoding="utf-8")
    checksum = hashlib.sha256((release / "encoder" / "model.onnx").read_bytes()).hexdigest()
    manifest = {"release_id": name, "checksums": {"encoder/model.onnx": checksum}}
    (release / "manifest.json").write_text(json.dumps(manifest))
    (data / "releases" / "CURRENT").write_text(name)
    return name


def _write_encoder(folder: Path, encoder: Path | None) -> None:
    if encoder is None:
        write_encoder(folder, set(re.findall(r"\w+", f"{_PASSAGE} {QUESTION} {_UNRELATED}".lower())))
        return
    shutil.copytree(encoder, folder)
    if (folder / "onnx" / "model.onnx").exists():
        (folder / "onnx" / "model.onnx").rename(folder / "model.onnx")


def _write_indexes(release: Path, keys: list[str]) -> None:
    """Write indexes of random directions: it is their size that matters here."""
    folder = release / "collections" / "main"
    encoder = OnnxEncoder.load(release / "encoder")
    directions = np.random.default_rng(1).normal(size=(len(keys), encoder.spec.dimensions)).astype(np.float32)
    VectorIndex.build(encoder.embed([_PASSAGE]), ["c"]).save(folder / "passages")
    VectorIndex.build(directions / np.linalg.norm(directions, axis=1, keepdims=True), keys).save(folder / "questions")
    LexicalIndex.build([_PASSAGE], ["c"]).save(folder / "lexical")


def anticipated(key: str, number: int) -> bytes:
    question = {"question": QUESTION.format(number), "query_key": key, "collection": "main", "fingerprint": key}
    return json.dumps(question).encode()


def answer(key: str, number: int) -> bytes:
    return json.dumps(
        {
            "question": QUESTION.format(number),
            "collection": "main",
            "answer": f"Open the page of your account and choose setting {number} [1]. Save it before you leave [1].",
            "origin": "generated",
            "citations": [
                {"number": 1, "kind": "cited", "document_id": f"d{number}", "title": "Settings",
                 "uri": "file:settings.md", "heading": "Account", "passage": _PASSAGE[:600], "chunk_id": key}
            ],
            "documents": [f"d{number}"], "model": "m", "fingerprint": key, "query_key": key,
            "generated_at": "2026-11-20T12:00:00.000000Z", "finish_reason": "stop", "support": 0.9,
        },
        separators=(",", ":"),
    ).encode()  # fmt: skip


def load(url: str, script: Path, connections: int, seconds: int) -> tuple[float, float, float]:
    """Return requests a second, p50 and p99 in milliseconds."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"RESULT (\S+) (\S+) (\S+) (\d+)", output)
    if found is None or int(found[4]):
        raise RuntimeError(f"errors under load: {output}")
    return float(found[1]), float(found[2]), float(found[3])


def measure(answers: int, seconds: int, rounds: int, journal: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        write_release(data, answers)
        script = data / "load.lua"
        script.write_text(_LUA.format(answers=answers))
        config = {
            "data": str(data),
            "collections": {"main": {"documents": []}},
            "service": {"port": 0, "journal": journal},
        }
        with http.program(_NOOP) as (_, noop), http.program(http.SERVICE, json.dumps(config)) as (_, service):
            http.wait_until_ready(service)
            for connections in (1, 32, 256):
                load(noop, script, connections, 1)
                load(service, script, connections, 1)
                pairs = [
                    (load(noop, script, connections, seconds), load(service, script, connections, seconds))
                    for _ in range(rounds)
                ]
                peer, ours = (
                    [statistics.median(column) for column in zip(*side, strict=True)]
                    for side in zip(*pairs, strict=True)
                )
                line = {
                    "bench": "exact_hits", "answers": answers, "connections": connections, "journal": journal,
                    "noop_per_second": round(peer[0]), "exact_per_second": round(ours[0]),
                    "share": round(ours[0] / peer[0], 3),
                    "noop_p50_ms": round(peer[1], 3), "noop_p99_ms": round(peer[2], 3),
                    "exact_p50_ms": round(ours[1], 3), "exact_p99_ms": round(ours[2], 3),
                }  # fmt: skip
                print(json.dumps(line), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, nargs="+", default=[1000, 1_000_000])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-journal", action="store_true", help="Measure what the journal costs.")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: apt-get install wrk")
    for answers in options.answers:
        measure(answers, options.seconds, options.rounds, not options.no_journal)


if __name__ == "__main__":
    main()
