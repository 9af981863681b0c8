"""A real, small release for the service's tests, and the service itself over real HTTP.

The encoder is a real ONNX model, made here: each word has its own random direction, a text is their mean. So
questions that share words are near, in a millisecond, and no model has to be pulled.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from online.app import create_app
from online.http.authentication import hash_key
from online.settings import ServiceSettings
from rag.collection_settings import CollectionSettings
from rag.filters import Filters, as_marks, marks_of
from rag.identity import ModelIdentity, content_hash, fingerprint, normalise, query_key
from rag.llm.openai_client import OpenAIEndpoint
from rag.prompting.answer_rules import AnswerRules
from rag.prompting.template import PromptTemplate
from rag.retrieval.embedding import OnnxEncoder
from rag.retrieval.lexical_index import LexicalIndex
from rag.retrieval.row_groups import RowGroups
from rag.retrieval.vector_index import VectorIndex
from tests.fake_llm import MODEL, FakeLlm, served
from tests.waiting import PATIENCE, until
from warehouse.editorial.reviewed_build import apply_reviews
from warehouse.releases.build import begin_build, publish, seal
from warehouse.releases.load import load_release_database, writing
from warehouse.releases.release import current_id
from warehouse.releases.serving_index import served_keys, write_serving_index
from warehouse.tables import TABLES

DIMENSIONS = 64
GENERATED = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
WORDS = 4096
# The fake model's texts have little to do with the passages.
LENIENT = AnswerRules(least_support=0.0)


@dataclass(frozen=True)
class Corpus:
    """Documents as (id, text) and prepared answers as question -> (answer, document id).

    Some are withheld, and some of the questions were asked by visitors. `links` lead readers to documents.
    Some are withheld, and some of the questions were asked by visitors. `marks` are what documents say of themselves in
    the `fields` of the collection's filters, `variants` further answers as (question, filters, answer, document id).
    `wordings` are further ones of questions as (text, origin), `fences` texts that must not get a question's answer.
    """

    documents: Mapping[str, str]
    answers: Mapping[str, tuple[str, str]]
    withheld: frozenset[str] = frozenset()
    visitors: frozenset[str] = frozenset()
    links: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    marks: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    variants: Sequence[tuple[str, Filters, str, str]] = ()
    wordings: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    fences: Mapping[str, str] = field(default_factory=dict)


LIBRARY = Corpus(
    {
        "hours": "The library opens at nine in the morning and closes at five in the afternoon.",
        "loans": "A book may be borrowed for four weeks. A loan can be renewed twice at the desk.",
        "fees": "A lost card costs ten euros. Late books cost one euro a week.",
    },
    {
        "When does the library open?": ("The library opens at nine in the morning [1].", "hours"),
        "How long may I borrow a book?": ("A book may be borrowed for four weeks [1].", "loans"),
        "How do I renew a loan?": ("A loan can be renewed twice at the desk [1].", "loans"),
        "What does a lost card cost?": ("A lost card costs ten euros [1].", "fees"),
    },
)
MUSEUM = Corpus(
    {"museum-hours": "The museum opens at eleven in the morning."},
    {"When does the museum open?": ("The museum opens at eleven [1].", "museum-hours")},
)


def write_encoder(folder: Path) -> None:
    """Write an encoder that gives each of 4,096 hash buckets of words a random direction."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    folder.mkdir(parents=True, exist_ok=True)
    directions = np.random.default_rng(7).normal(size=(WORDS, DIMENSIONS)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    node = helper.make_node("Gather", ["directions", "input_ids"], ["hidden"], axis=0)
    graph = helper.make_graph(
        [node],
        "words",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["batch", "tokens", DIMENSIONS])],
        [numpy_helper.from_array(directions, "directions")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(folder / "model.onnx"))
    tokenizer = Tokenizer(models.WordLevel(_vocabulary(), unk_token="[unk]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    spec = {"max_tokens": 128, "dimensions": DIMENSIONS, "pooling": "mean", "normalise": True}
    (folder / "encoder.json").write_text(json.dumps(spec))


def _vocabulary() -> dict[str, int]:
    texts = [text for corpus in (LIBRARY, MUSEUM) for text in (*corpus.documents.values(), *corpus.answers)]
    texts += ["how do i bake a sourdough bread which treaty ended the thirty years ' war ?"]
    texts += ["bicycles are parked in yards behind 17 trees [ 1 ]. [ 1 ] ."]
    texts += ["at what time is open where can people park their cars here please tell me about story"]
    words = sorted({word for text in texts for word in re.findall(r"\w+|[^\w\s]+", text.lower())})
    return {"[unk]": 0, **{word: number for number, word in enumerate(words, start=1)}}


@dataclass
class Library:
    """A data folder in which releases are published; `template` is that of all of them."""

    data: Path
    encoder: Path
    template: PromptTemplate = field(default_factory=lambda: PromptTemplate.load(None))

    def publish(self, suffix: str = "", facts: Mapping[str, object] | None = None, **corpora: Corpus) -> str:
        """Publish a release of these collections; `suffix` is put after each answer. Returns its id.

        `facts` are further ones of its manifest. Many tests begin with the same release, so the first one of a data
        folder is made once and copied.
        """
        if self.data.exists():
            return self._publish(suffix, facts, corpora)
        known = repr((suffix, facts, corpora, self.template.text))
        kept = self.encoder.parent / f"release-{content_hash(known)}"
        if kept.exists():
            shutil.copytree(kept, self.data)
            return str(current_id(self.data))
        published = self._publish(suffix, facts, corpora)
        shutil.copytree(self.data, kept)
        return published

    def _publish(self, suffix: str, facts: Mapping[str, object] | None, corpora: Mapping[str, Corpus]) -> str:
        build = begin_build(self.data, "r1")
        parquet = build.path / "stages"
        rows = _rows(corpora, self.template, suffix)
        parquet.mkdir()
        files = {}
        for table, content in rows.items():
            path = parquet / f"{table}.parquet"
            pq.write_table(pa.Table.from_pylist(content, schema=TABLES[table]), path)
            files[table] = [path]
        load_release_database(build.database, files)
        with writing(build.database) as connection:
            apply_reviews(connection, self.data)
        for paths in files.values():
            paths[0].unlink()
        parquet.rmdir()
        write_serving_index(build.database, build.serving_index, build.release_id)
        self._indexes(build.path, corpora, served_keys(build.database))
        (build.path / "prompt.txt").write_text(self.template.text)
        seal(build, {"audit": [], **(facts or {})})
        return publish(build).release_id

    def _indexes(self, path: Path, corpora: Mapping[str, Corpus], served: set[str]) -> None:
        (path / "encoder").mkdir()
        for file in self.encoder.iterdir():
            (path / "encoder" / file.name).write_bytes(file.read_bytes())
        encoder = OnnxEncoder.load(self.encoder)
        for name, corpus in corpora.items():
            folder = path / "collections" / name
            texts, ids = list(corpus.documents.values()), [chunk_id(name, each) for each in corpus.documents]
            VectorIndex.build(encoder.embed(texts), ids).save(folder / "passages")
            LexicalIndex.build(texts, ids).save(folder / "lexical")
            asked: list[tuple[str, Filters]] = [(question, ()) for question in corpus.answers]
            asked += [(question, filters) for question, filters, _, _ in corpus.variants]
            keys = {query_key(name, *each): each for each in asked}
            for stem, some in (("questions", keys.keys() & served), ("withheld", keys.keys() - served)):
                vectors = encoder.embed([keys[each][0] for each in sorted(some)])
                VectorIndex.build(vectors.reshape(len(some), DIMENSIONS), sorted(some)).save(folder / stem)
                worded = {
                    query_key(name, text): text
                    for question, texts in corpus.wordings.items()
                    for text, _ in texts
                    if query_key(name, question) in some
                }
                if worded:
                    stem_of = {"questions": "wordings_served", "withheld": "wordings_withheld"}[stem]
                    ids = sorted(worded)
                    VectorIndex.build(encoder.embed([worded[each] for each in ids]), ids).save(folder / stem_of)
                if corpus.fields:
                    marks = [as_marks(keys[each][1]) for each in sorted(some)]
                    RowGroups.build(corpus.fields, marks).save(folder / stem)
            if corpus.fields:
                marks = [marks_of(corpus.fields, corpus.marks.get(each, {})) for each in corpus.documents]
                RowGroups.build(corpus.fields, marks).save(folder / "passages")


def chunk_id(collection: str, document: str) -> str:
    return content_hash(f"{collection}/{document}")


def _rows(corpora: Mapping[str, Corpus], template: PromptTemplate, suffix: str) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for name, corpus in corpora.items():
        for document, text in corpus.documents.items():
            rows["documents"].append(
                {"collection": name, "document_id": document, "uri": f"file:{document}.md", "title": document.title(),
                 "media_type": "text/markdown", "content_hash": content_hash(text), "characters": len(text),
                 "read_at": GENERATED}
            )  # fmt: skip
            rows["chunks"].append(
                {"collection": name, "chunk_id": chunk_id(name, document), "document_id": document, "position": 0,
                 "heading": "", "text": text, "content_hash": content_hash(text), "tokens": len(text.split()),
                 "url": corpus.links.get(document)}
            )  # fmt: skip
        for question, (answer, document) in corpus.answers.items():
            rows = _add_answer(rows, name, question, answer + suffix, document, template)
            if question in corpus.visitors:
                rows["questions"][-1]["origin"] = "journal"
            if question in corpus.withheld:
                rows["answers"][-1] |= {"status": "withheld", "withheld_reason": "refusal"}
        for question, texts in corpus.wordings.items():
            rows["wordings"] += [
                {"collection": name, "query_key": query_key(name, question), "wording_key": query_key(name, text),
                 "wording": text, "origin": origin, "approved_by": "ann", "since": GENERATED}
                for text, origin in texts
            ]  # fmt: skip
        rows["fences"] += [
            {"collection": name, "query_key": query_key(name, question), "text_key": query_key(name, text),
             "text": text, "origin": "review", "since": GENERATED}
            for text, question in corpus.fences.items()
        ]  # fmt: skip
        for question, filters, answer, document in corpus.variants:
            rows = _add_answer(rows, name, question, answer + suffix, document, template, filters)
    rows["models"].append({"model_id": "m", "kind": "language", "name": MODEL, "revision": "1", "details": "{}"})
    rows["prompt_templates"].append({"template_id": template.id, "name": "answer.txt", "text": template.text})
    run = {n: 1 for n in TABLES["runs"].names if TABLES["runs"].field(n).type == pa.int64()}
    rows["runs"].append(
        run | {"run_id": "r1", "started_at": GENERATED, "finished_at": GENERATED, "status": "completed",
               "runner": "FnApiRunner", "generation_seconds": 1.0, "settings": "{}"}
    )  # fmt: skip
    return rows


def _add_answer(
    rows: dict[str, list[dict[str, Any]]],
    name: str,
    question: str,
    answer: str,
    document: str,
    template: PromptTemplate,
    filters: Filters = (),
) -> dict[str, list[dict[str, Any]]]:
    key = query_key(name, question, filters)
    mark = fingerprint(query_key=key, passages=[answer], template=template.id, model="m", sampling={})
    rows["questions"].append(
        {"collection": name, "query_key": key, "question": question, "normalised": normalise(question),
         "origin": "list", "detail": "questions.txt:1", "filters": dict(filters)}
    )  # fmt: skip
    rows["answers"].append(
        {"collection": name, "query_key": key, "fingerprint": mark, "answer": answer, "origin": "generated",
         "status": "served", "withheld_reason": None, "model_id": "m", "template_id": template.id, "sampling": "{}",
         "passages_hash": mark, "finish_reason": "stop", "prompt_tokens": 5, "completion_tokens": 5,
         "cached_tokens": 0, "support": 0.9, "invalid_citations": 0, "run_id": "r1", "generated_at": GENERATED,
         "seconds": 0.1, "filters": dict(filters)}
    )  # fmt: skip
    rows["citations"].append(
        {"collection": name, "query_key": key, "number": 1, "chunk_id": chunk_id(name, document),
         "document_id": document, "kind": "cited"}
    )  # fmt: skip
    return rows


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    write_encoder(folder)
    return folder


@pytest.fixture
def library(tmp_path: Path, encoder_folder: Path) -> Library:
    """A data folder without a release."""
    return Library(tmp_path / "data", encoder_folder)


class _OneByOne:
    """An application that is the model of the test that runs; all of them share one server."""

    url = ""

    def __init__(self) -> None:
        self.model = FakeLlm()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.model.app(scope, receive, send)


@pytest.fixture(scope="session")
def model_server() -> Iterator[_OneByOne]:
    models = _OneByOne()
    with served(models) as models.url:
        yield models


@pytest.fixture
def llm(model_server: _OneByOne) -> Iterator[FakeLlm]:
    """A language model behind real HTTP."""
    fake = model_server.model = FakeLlm()
    fake.url = f"{model_server.url}/v1"
    yield fake
    if fake.behaviour.gate is not None:
        fake.behaviour.gate.set()  # so that nothing of this test waits in the server any longer


@dataclass
class Serve:
    """Starts the service on a data folder, over real HTTP; by default live answers need no support."""

    library: Library
    llm: FakeLlm
    stack: contextlib.ExitStack
    rules: AnswerRules = LENIENT
    identity: ModelIdentity | None = None

    def __call__(self, collections: Mapping[str, CollectionSettings] | None = None, **settings: Any) -> httpx.Client:
        """Start it until the end of the test and return a client for it."""
        return self.stack.enter_context(self.stopping(collections, **settings))

    @contextlib.contextmanager
    def stopping(
        self, collections: Mapping[str, CollectionSettings] | None = None, **settings: Any
    ) -> Iterator[httpx.Client]:
        """Start it for a while."""
        quick = {"poll_seconds": 0.05, "breaker_seconds": 0.2, "comparison_share": 0}  # no comparison by chance
        service = ServiceSettings.model_validate(quick | settings)
        model = OpenAIEndpoint(self.llm.url, MODEL, timeout=PATIENCE)
        app = create_app(
            service,
            self.library.data,
            collections or {"library": CollectionSettings(documents=[])},
            model,
            rules=self.rules,
            identity=self.identity,
            on_stop=model.aclose,
        )
        with served(app) as url, httpx.Client(base_url=url, timeout=PATIENCE) as client:
            client.app = app  # type: ignore[attr-defined]  # for the few tests that look inside
            yield client


@pytest.fixture
def serve(library: Library, llm: FakeLlm) -> Iterator[Serve]:
    with contextlib.ExitStack() as stack:
        yield Serve(library, llm, stack)


@pytest.fixture
def keys() -> dict[str, dict[str, Any]]:
    """Four keys, as the configuration has them; each is its own name."""
    return {
        "reader": {"hash": hash_key("reader"), "collections": ["library"]},
        "other": {"hash": hash_key("other")},
        "asker": {"hash": hash_key("asker"), "scopes": ["ask"], "requests_per_minute": 3},
        "boss": {"hash": hash_key("boss"), "scopes": ["admin"]},
    }


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path) -> Path:
    """A data folder with one release, to be copied: that is quicker than to publish again."""
    data = tmp_path_factory.mktemp("published")
    Library(data, encoder_folder).publish(library=LIBRARY)
    return data


@pytest.fixture
def client(library: Library, published: Path, serve: Serve) -> httpx.Client:
    """The service with one collection and one release."""
    shutil.copytree(published, library.data)
    return serve()


@pytest.fixture
def official(client: httpx.Client) -> openai.OpenAI:
    with openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="unused", max_retries=0) as official:
        yield official


def journal(data: Path) -> list[dict[str, Any]]:
    """Return what the journal holds, open segments too, but for a line that is just being written."""
    lines = [line for path in sorted((data / "journal").glob("*")) for line in _text(path).splitlines(keepends=True)]
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _text(segment: Path) -> str:
    try:
        return segment.read_text()
    except FileNotFoundError:  # it was finished just now, and has lost its ".open"
        return segment.with_suffix("").read_text()


def recorded(data: Path, count: int = 1, kind: str | None = None) -> list[dict[str, Any]]:
    """Return the journal as soon as it holds so many rows (of this kind): a thread writes it after the answer."""

    def rows() -> list[dict[str, Any]]:
        return [row for row in journal(data) if kind is None or row["kind"] == kind]

    return until(f"{count} rows of the journal are written", rows, lambda found: len(found) >= count)
