"""The models folder: models that were pulled, found by name and checked by their checksums.

`checksums.json` is written last when a model is pulled (`batch.models.pull`), so a torn folder is never taken for a
model. The revision is a hash over all checksums; it enters every answer's fingerprint, so two conversions that
differ in one byte don't share answers.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypedDict

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
    """A model that is ready: `kind` is "language model", "encoder" or "reranker", `size` is in bytes."""

    path: Path
    name: str
    revision: str
    kind: str
    size: int

    @property
    def identity(self) -> str:
        """Return the name and the revision, as they enter fingerprints and manifests."""
        return str(ModelIdentity(self.name, self.revision))


def locate(name: str, models: Path) -> ModelFolder:
    """Find a model by its name in the models folder, its local folder, or its Hugging Face id once pulled.

    A local folder that no pull has made has no checksums yet: all its bytes are hashed, about a second a GB.

    Raises:
        ModelError: it is missing or torn; the message says how to get it.
    """
    pulled = models / folder_name(name)
    folder = pulled if pulled.is_dir() else Path(name).expanduser()
    if not folder.is_dir():
        raise ModelError(f"model {name!r} is not in {models}; run `beforehand models pull {name}`")
    if _has_checksums(folder) and not is_whole(folder):
        raise ModelError(f"model {name!r} in {folder} is torn; run `beforehand models pull {name}`")
    require_model(folder, name)
    return _describe(folder, name if is_hub_id(name) else Path(name).expanduser().resolve().name)


def list_models(models: Path) -> list[ModelFolder]:
    """Return the complete models of the models folder, by name."""
    if not models.is_dir():
        return []
    folders = sorted(f for f in models.iterdir() if not f.name.startswith(".") and (f / "config.json").exists())
    return [_describe(f, f.name.replace("--", "/", 1)) for f in folders if is_whole(f) or not _has_checksums(f)]


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


def is_encoder(folder: Path) -> bool:
    """Whether a folder is a sentence-transformers encoder."""
    return (folder / "modules.json").exists()


def is_reranker(folder: Path) -> bool:
    """Whether a folder is a cross-encoder: a model that classifies a pair of texts."""
    config = folder / "config.json"
    kinds = json.loads(config.read_text(encoding="utf-8")).get("architectures") if config.exists() else None
    return any(str(each).endswith("ForSequenceClassification") for each in kinds or [])


def is_hub_id(name: str) -> bool:
    """Whether a name is a Hugging Face id ("owner/name") and no local folder."""
    return name.count("/") == 1 and not name.startswith((".", "~", "/")) and not Path(name).is_dir()


def folder_name(name: str) -> str:
    """Return the folder of a packaged model, a hub id or a local folder (by its path: two may share a name)."""
    if "/" not in name or is_hub_id(name):
        return name.replace("/", "--")
    folder = Path(name).expanduser().resolve()
    return f"{folder.name}-{stable_hash(str(folder))[:8]}"


def require_model(folder: Path, name: str) -> None:
    """Raise `ModelError` unless a folder has a configuration and safetensors."""
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


def is_whole(folder: Path) -> bool:
    """Whether all files are there; `verify` also reads them."""
    return _has_checksums(folder) and all((folder / path).is_file() for path in _read_checksums(folder)["files"])


def source_of(folder: Path) -> str:
    """Return where a pulled model came from."""
    return _read_checksums(folder)["source"]


def _read_checksums(folder: Path) -> Checksums:
    try:
        found: Checksums = dict(json.loads((folder / CHECKSUMS).read_text(encoding="utf-8")))  # type: ignore[assignment]
    except (ValueError, OSError) as error:
        raise ModelError(f"{folder / CHECKSUMS} can't be read ({error}); delete {folder} and pull again") from error
    return found


def write_checksums(folder: Path, source: str) -> None:
    """Write `checksums.json` for all files of a folder."""
    files = {str(p.relative_to(folder)): _sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}
    record: Checksums = {"source": source, "revision": _revision(files), "files": files}
    (folder / CHECKSUMS).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


@cache
def _hash_files(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): _sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
