"""Models by name: a name changes no identity, and what can't be loaded is said in one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from batch.models.model_folder import facts_of, locate
from batch.models.model_store import describe, remove, verify_model
from batch.models.named_model import NamedModel
from batch.models.pull import pull
from rag.errors import ModelError


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A local folder that looks like a language model."""
    return write(tmp_path / "whole", {"config.json": "{}", "model.safetensors": "weights"})


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    config = {"peft_type": "LORA", "r": 12, "base_model_name_or_path": "owner/whole"}
    files = {"adapter_config.json": json.dumps(config), "adapter_model.safetensors": "difference"}
    return write(tmp_path / "adapter", files)


def write(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_name_and_its_pins_change_no_identity(whole: Path, tmp_path: Path) -> None:
    plain = locate(str(whole), tmp_path)
    named = locate(NamedModel(str(whole), "answers", checksum=plain.checksum, kind="language model"), tmp_path)

    assert named.identity == plain.identity
    assert facts_of(NamedModel(str(whole), "answers"), named) == {
        "name": "answers",
        "source": "folder:whole",
        "revision": plain.revision,
        "checksum": plain.checksum,
    }


def test_a_checksum_pins_the_identity_that_the_files_would_give(whole: Path, adapter: Path, tmp_path: Path) -> None:
    base = NamedModel(str(whole), "whole", checksum=locate(str(whole), tmp_path).checksum, quantisation="fp8")
    upon = NamedModel(str(adapter), "tuned", base=base)
    tuned = NamedModel(str(adapter), "tuned", checksum=locate(upon, tmp_path).checksum, base=base)

    assert base.pinned == locate(base, tmp_path).revision
    assert tuned.pinned == locate(tuned, tmp_path).revision


def test_quantising_or_adapting_a_model_makes_another(whole: Path, adapter: Path, tmp_path: Path) -> None:
    base = NamedModel(str(whole))
    quantised = NamedModel(str(whole), "small", quantisation="fp8")
    tuned = locate(NamedModel(str(adapter), "tuned", base=base), tmp_path)

    identities = {locate(each, tmp_path).identity for each in (base, quantised)} | {tuned.identity}
    assert len(identities) == 3
    assert (tuned.name, tuned.path, tuned.kind) == ("tuned", whole, "language model")
    assert tuned.adapter is not None
    assert (tuned.adapter.path, tuned.adapter.highest_rank) == (adapter, 16)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"checksum": "0" * 12}, r"\[models\.mine\] checksum = 000000000000: the files have [0-9a-f]{32}"),
        ({"kind": "encoder"}, r"\[models\.mine\] kind = 'encoder': the files are those of a model of kind 'language"),
    ],
)
def test_files_that_are_not_what_is_configured_are_refused(
    whole: Path, tmp_path: Path, wrong: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ModelError, match=sentence):
        locate(NamedModel(str(whole), "mine", **wrong), tmp_path)  # type: ignore[arg-type]


def test_a_folder_with_an_adapter_says_how_it_is_named(adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a LoRA adapter, not a whole model: give it a section") as raised:
        locate(str(adapter), tmp_path)

    assert 'base = "owner/whole"' in str(raised.value)


@pytest.mark.parametrize("source", ["file", "folder", "./nosuch.gguf"])
def test_gguf_is_refused_with_the_two_ways_out(tmp_path: Path, source: str) -> None:
    folder = write(tmp_path / "gguf", {"model.gguf": "GGUF"})
    named = {"file": str(folder / "model.gguf"), "folder": str(folder)}.get(source, source)

    for asked in (locate, pull):
        with pytest.raises(ModelError, match=r"is GGUF, which isn't loaded: name .* or serve the file with llama\.cpp"):
            asked(named, tmp_path)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"peft_type": "IA3", "r": 8}, "only LORA adapters are loaded"),
        ({"peft_type": "LORA", "r": 8, "rank_pattern": {"q": 1024}}, "its rank is 1024, and vLLM takes at most 512"),
    ],
)
def test_an_adapter_that_vllm_cannot_use_is_refused(
    whole: Path, adapter: Path, tmp_path: Path, config: dict[str, object], sentence: str
) -> None:
    (adapter / "adapter_config.json").write_text(json.dumps(config))

    with pytest.raises(ModelError, match=sentence):
        locate(NamedModel(str(adapter), "tuned", base=NamedModel(str(whole))), tmp_path)


# -- the listing, verification, removal -------------------------------------------------------------------


def test_a_listing_says_whether_files_are_still_those_that_were_verified(whole: Path, tmp_path: Path) -> None:
    models, mine = tmp_path / "models", NamedModel(str(whole), "mine")
    states = [describe(mine, models).state]
    verify_model(mine, models)
    states.append(describe(mine, models).state[:8])
    (whole / "model.safetensors").write_text("other weights")
    states.append(describe(mine, models).state)

    assert states == ["present, not verified", "verified", "changed since it was verified"]
    assert describe(NamedModel("owner/none"), models).state == "missing"


def test_verifying_again_names_every_file_that_differs(whole: Path, tmp_path: Path) -> None:
    mine = NamedModel(str(whole), "mine")
    verify_model(mine, tmp_path)
    (whole / "model.safetensors").write_text("other weights")
    (whole / "config.json").write_text('{"other": 1}')

    with pytest.raises(ModelError, match=r"config\.json has changed, .*model\.safetensors has changed; if that was"):
        verify_model(mine, tmp_path)


def test_a_folder_of_the_users_own_is_never_deleted(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a folder of yours"):
        remove(NamedModel(str(whole)), tmp_path / "models")

    assert (whole / "model.safetensors").exists()


# -- the hub ----------------------------------------------------------------------------------------------

REPOSITORIES = {
    "gated": (403, ["config.json", "model.safetensors"]),
    "private": (401, []),
    "gguf": (200, ["config.json", "model.Q4_K_M.gguf"]),
    "lora": (200, ["adapter_config.json", "adapter_model.safetensors"]),
}


class Hub(BaseHTTPRequestHandler):
    """What a hub says about a repository before anything is downloaded."""

    def do_GET(self) -> None:
        name = self.path.split("/")[4].partition("?")[0]
        status, files = REPOSITORIES[name]
        siblings = [{"rfilename": each} for each in files]
        body = json.dumps({"id": f"owner/{name}", "sha": "0" * 40, "siblings": siblings}).encode()
        self.send_response(status)
        self.send_header("X-Error-Code", {403: "GatedRepo", 401: "RepoNotFound"}.get(status, ""))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gated", "is gated: accept its terms on its page of the hub, and set HF_TOKEN"),
        ("private", "or it is private: check the name, or set HF_TOKEN"),
        ("gguf", "is GGUF, which isn't loaded"),
        ("lora", "is a LoRA adapter, not a whole model"),
    ],
)
def test_what_a_hub_refuses_or_lacks_is_said_before_a_download(
    hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, sentence: str
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", hub)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", hub)

    with pytest.raises(ModelError, match=sentence):
        pull(f"owner/{name}", tmp_path)
    assert [each for each in tmp_path.iterdir() if each.name != ".lock"] == []
