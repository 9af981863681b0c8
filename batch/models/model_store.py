"""The models of a project as `beforehand models` shows, verifies and removes them.

Reading every byte takes a second a GB. So a verification is noted with the size and time of each file, and a listing
says only whether those are still the same; `models verify` reads the files again.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from batch.models.model_folder import (
    CHECKSUMS,
    ModelFolder,
    checksum_of,
    faults_of,
    has_checksums,
    hash_files,
    list_models,
    locate,
    read_checksums,
)
from batch.models.named_model import NamedModel
from batch.models.pull import PACKAGED
from rag.errors import ModelError

_NOTES = ".verified"


@dataclass(frozen=True)
class Listed:
    """A model of a project; `state` says whether it is present and verified, or in a sentence why it can't be used."""

    name: str
    kind: str
    source: str
    revision: str
    size: int
    state: str

    @property
    def usable(self) -> bool:
        """Whether it is there and what it should be."""
        return bool(self.revision)


def describe(model: NamedModel, models: Path) -> Listed:
    """Return what there is of a model."""
    kind = model.kind or ("adapter" if model.base else "")
    source = _source(model)
    try:
        found = locate(model, models)
    except ModelError as error:
        there = _folder(model, models).is_dir()
        return Listed(model.label, kind, source, "", 0, str(error) if there or not _can_pull(model) else "missing")
    kind = f"adapter of {model.base.label}" if model.base else found.kind
    return Listed(model.label, kind, source, found.revision, found.size, _state(model, models))


def others(models: Path, named: list[NamedModel]) -> list[NamedModel]:
    """Return the models of the models folder that are none of the named ones."""
    known = {each.folder_name for each in named}
    return [NamedModel(each.name) for each in list_models(models) if each.path.name not in known]


def verify_model(model: NamedModel, models: Path) -> ModelFolder:
    """Read every file of a model and compare it with its checksum; note that, and return the model.

    A folder that no pull has made is compared with the last time that it was verified, and with the configured
    checksum.

    Raises:
        ModelError: it is missing, or files differ; the message names them.
    """
    found = locate(model, models)
    folder = _folder(model, models)
    expected = read_checksums(folder)["files"] if has_checksums(folder) else _noted(model, models).get("files")
    faults = faults_of(folder, expected) if isinstance(expected, dict) else []
    if faults:
        again = (
            f"delete {folder} and pull the model again"
            if has_checksums(folder)
            else f"if that was meant, remove {_note(model, models)} and verify again"
        )
        raise ModelError(f"model {model.label!r}: {', '.join(faults)}; {again}")
    _write_note(model, models, expected if isinstance(expected, dict) else hash_files(folder.resolve()))
    return found


def remove(model: NamedModel, models: Path) -> Path:
    """Remove a pulled model, and return where it was.

    Raises:
        ModelError: it is not in the models folder; a folder elsewhere is the user's own.
    """
    folder = models / model.folder_name
    if not folder.is_dir():
        own = Path(model.source).expanduser()
        why = f"it is a folder of yours, {own}, which is never deleted" if own.is_dir() else f"it is not in {models}"
        raise ModelError(f"model {model.label!r} can't be removed: {why}")
    (folder / CHECKSUMS).unlink(missing_ok=True)  # first, so that what a crash leaves is no whole model
    shutil.rmtree(folder)
    _note(model, models).unlink(missing_ok=True)
    return folder


def _source(model: NamedModel) -> str:
    where = model.source + (f"@{model.revision}" if model.revision else "")
    return f"package {where}" if model.source in PACKAGED else where


def _folder(model: NamedModel, models: Path) -> Path:
    pulled = models / model.folder_name
    return pulled if pulled.is_dir() else Path(model.source).expanduser()


def _can_pull(model: NamedModel) -> bool:
    """Whether a pull may help; a file is no model."""
    return not model.source.lower().endswith(".gguf")


def _state(model: NamedModel, models: Path) -> str:
    noted = _noted(model, models)
    if not noted:
        return "present, not verified"
    if noted.get("stamps") != _stamps(_folder(model, models)):
        return "changed since it was verified"
    return f"verified {str(noted.get('at', ''))[:10]}"


def _write_note(model: NamedModel, models: Path, files: dict[str, str]) -> None:
    note = _note(model, models)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    noted = {"at": at, "checksum": checksum_of(files), "files": files, "stamps": _stamps(_folder(model, models))}
    with suppress(OSError):  # a models folder that is mounted read-only is verified all the same
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(noted, indent=1) + "\n", encoding="utf-8")


def _noted(model: NamedModel, models: Path) -> dict[str, object]:
    with suppress(OSError, ValueError, TypeError):
        return dict(json.loads(_note(model, models).read_text(encoding="utf-8")))
    return {}


def _note(model: NamedModel, models: Path) -> Path:
    return models / _NOTES / f"{model.folder_name}.json"


def _stamps(folder: Path) -> dict[str, list[int]]:
    """Return the size and time of each file: what changes when a file is written."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(each.relative_to(folder)): [each.stat().st_size, each.stat().st_mtime_ns] for each in files}
