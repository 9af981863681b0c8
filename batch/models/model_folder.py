"""The models folder: models that were pulled, found by name and checked by their checksums.

`checksums.json` is written last when a model is pulled (`batch.models.pull`), so a torn folder is never taken for a
model. The revision is a hash over all checksums; it enters every answer's fingerprint, so two conversions that
differ in one byte don't share answers.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TypedDict

from batch.models.named_model import (
    REVISION,
    Adapter,
    NamedModel,
    adapted,
    describe_adapter,
    refuse_gguf,
    require_model,
)
from rag.errors import ModelError
from rag.identity import ModelIdentity, stable_hash

CHECKSUMS = "checksums.json"


class Checksums(TypedDict):
    """The content of `checksums.json`: where a model came from, its revision, and the SHA-256 of each file."""

    source: str
    revision: str
    files: dict[str, str]


@dataclass(frozen=True)
class ModelFolder:
    """A model that is ready: `kind` is "language model", "encoder" or "reranker", `size` is in bytes.

    A LoRA adapter is a language model in the folder of its base, with `adapter`. `adapters` are what a server of a
    whole model offers besides. `checksum` is over all files.
    """

    path: Path
    name: str
    revision: str
    kind: str
    size: int
    checksum: str = ""
    quantisation: str | None = None
    adapter: Adapter | None = None
    adapters: tuple[Adapter, ...] = ()

    @property
    def identity(self) -> str:
        """Return the name and the revision, as they enter fingerprints and manifests."""
        return str(ModelIdentity(self.name, self.revision))


def locate(wanted: NamedModel | str, models: Path) -> ModelFolder:
    """Find a model: by its name in the models folder, its local folder, or its Hugging Face id once pulled.

    A local folder that no pull has made has no checksums yet: all its bytes are hashed, about a second a GB.

    Raises:
        ModelError: it is missing, torn, or not what is configured; the message says what to do.
    """
    model = wanted if isinstance(wanted, NamedModel) else NamedModel(wanted)
    if model.base is not None:
        return _with_adapter(model, model.base, models)
    folder = _whole_folder(model, models)
    require_model(folder, model.label)
    found = _describe(folder, model.own_name)
    _refuse_other(model, found.checksum, found.kind)
    if model.quantisation:
        return replace(found, revision=f"{found.revision}-{model.quantisation}", quantisation=model.quantisation)
    return found


def _with_adapter(model: NamedModel, base: NamedModel, models: Path) -> ModelFolder:
    """Return the base with an adapter laid upon it; its revision follows from both."""
    folder, below = _whole_folder(model, models), locate(base, models)
    files = _files(folder)
    checksum = checksum_of(files)
    _refuse_other(model, checksum, below.kind)
    revision = adapted(checksum, below.revision)
    adapter = describe_adapter(model.name, folder, revision)
    if below.kind != "language model":
        raise ModelError(f"{model.section} base: {base.label!r} writes no text, its kind is {below.kind}; name another")
    size = below.size + sum((folder / path).stat().st_size for path in files)
    return replace(below, name=model.own_name, revision=revision, size=size, checksum=checksum, adapter=adapter)


def _whole_folder(model: NamedModel, models: Path) -> Path:
    refuse_gguf(model.source)
    pulled = models / model.folder_name
    folder = pulled if pulled.is_dir() else Path(model.source).expanduser()
    if not folder.is_dir():
        raise ModelError(f"model {model.label!r} is not in {models}; run `beforehand models pull {model.label}`")
    if has_checksums(folder) and not is_whole(folder):
        raise ModelError(f"model {model.label!r} in {folder} is torn; run `beforehand models pull {model.label}`")
    return folder


def _refuse_other(model: NamedModel, checksum: str, kind: str) -> None:
    """Refuse content that is not what is configured."""
    if model.checksum and not checksum.startswith(model.checksum):
        raise ModelError(
            f"{model.section} checksum = {model.checksum}: the files have {checksum}; pull the right ones, or correct "
            "the checksum if they were meant to change"
        )
    if model.kind and model.kind != kind:
        raise ModelError(f"{model.section} kind = {model.kind!r}: the files are those of a model of kind {kind!r}")


def list_models(models: Path) -> list[ModelFolder]:
    """Return the complete models of the models folder, by name."""
    if not models.is_dir():
        return []
    folders = sorted(f for f in models.iterdir() if not f.name.startswith(".") and (f / "config.json").exists())
    return [_describe(f, name_of(f)) for f in folders if is_whole(f) or not has_checksums(f)]


def name_of(folder: Path) -> str:
    """Return the name of the model in a folder of the models folder."""
    return folder.name.partition("@")[0].replace("--", "/", 1)


def verify(folder: Path) -> None:
    """Compare every file of a pulled model with its checksum.

    Raises:
        ModelError: files are missing or differ; the message names them.
    """
    if not has_checksums(folder):
        raise ModelError(f"{folder} has no {CHECKSUMS}: no pull has made it, so nothing can be compared")
    faults = faults_of(folder, read_checksums(folder)["files"])
    if faults:
        raise ModelError(f"{', '.join(faults)}; delete {folder} and pull the model again")


def faults_of(folder: Path, expected: dict[str, str]) -> list[str]:
    """Return which files are missing or differ from their checksums."""
    return [
        f"{folder / path} is missing" if not (folder / path).is_file() else f"{folder / path} has changed"
        for path, checksum in expected.items()
        if not (folder / path).is_file() or _sha256(folder / path) != checksum
    ]


def is_encoder(folder: Path) -> bool:
    """Whether a folder is a sentence-transformers encoder."""
    return (folder / "modules.json").exists()


def is_reranker(folder: Path) -> bool:
    """Whether a folder is a cross-encoder: a model that classifies a pair of texts."""
    config = folder / "config.json"
    kinds = json.loads(config.read_text(encoding="utf-8")).get("architectures") if config.exists() else None
    return any(str(each).endswith("ForSequenceClassification") for each in kinds or [])


def _describe(folder: Path, name: str) -> ModelFolder:
    files = _files(folder)
    kind = "encoder" if is_encoder(folder) else "reranker" if is_reranker(folder) else "language model"
    size = sum((folder / path).stat().st_size for path in files)
    checksum = checksum_of(files)
    return ModelFolder(folder, name, checksum[:REVISION], kind, size, checksum)


def _files(folder: Path) -> dict[str, str]:
    """Return the checksums of a folder's files: those of the pull, else computed."""
    return read_checksums(folder)["files"] if has_checksums(folder) else hash_files(folder.resolve())


def checksum_of(files: dict[str, str]) -> str:
    """Return the checksum of a model from those of its files; a revision is the beginning of it."""
    return stable_hash(sorted(files.items()))


def has_checksums(folder: Path) -> bool:
    """Whether a pull has made a folder."""
    return (folder / CHECKSUMS).is_file()


def is_whole(folder: Path) -> bool:
    """Whether all files are there; `verify` also reads them."""
    return has_checksums(folder) and all((folder / path).is_file() for path in read_checksums(folder)["files"])


def source_of(folder: Path) -> str:
    """Return where a pulled model came from."""
    return read_checksums(folder)["source"]


def checksum_in(folder: Path) -> str:
    """Return the checksum of a pulled model."""
    return checksum_of(read_checksums(folder)["files"])


def read_checksums(folder: Path) -> Checksums:
    """Return the record of a pull.

    Raises:
        ModelError: it can't be read.
    """
    try:
        found: Checksums = dict(json.loads((folder / CHECKSUMS).read_text(encoding="utf-8")))  # type: ignore[assignment]
    except (ValueError, OSError) as error:
        raise ModelError(f"{folder / CHECKSUMS} can't be read ({error}); delete {folder} and pull again") from error
    return found


def write_checksums(folder: Path, source: str) -> None:
    """Write `checksums.json` for all files of a folder."""
    files = {str(p.relative_to(folder)): _sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}
    record: Checksums = {"source": source, "revision": checksum_of(files)[:REVISION], "files": files}
    (folder / CHECKSUMS).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


@cache
def hash_files(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a folder, by path; computed once in a process."""
    return {str(p.relative_to(folder)): _sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def facts_of(model: NamedModel, found: ModelFolder) -> dict[str, str]:
    """Return what may be published about a model; of a local folder only its name."""
    folder = found.path if found.adapter is None else found.adapter.path
    source = source_of(folder) if has_checksums(folder) else f"folder:{folder}"
    kind, _, where = source.partition(":")
    facts = {
        "name": model.name,
        "source": f"folder:{Path(where).name}" if kind == "folder" else source,
        "revision": found.revision,
        "checksum": found.checksum,
        "quantisation": found.quantisation or "",
        "base": model.base.label if model.base else "",
    }
    return {name: value for name, value in facts.items() if value}
