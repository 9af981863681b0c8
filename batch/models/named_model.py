"""A model as a configuration names it: where it comes from, what it must be, and what a LoRA adapter is laid upon.

A name changes no fingerprint: what enters an answer's identity is the source's own name and the content of the files,
so a model keeps its answers when it gets a name. An adapter is a model of its own, under its name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from rag.errors import ModelError
from rag.identity import stable_hash

ADAPTER = "adapter_config.json"
REVISION = 12
"""The digits of a checksum that are a revision."""
_DIGITS = 32
_ADAPTER_WEIGHTS = "adapter_model.safetensors"
_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM takes as the highest rank


@dataclass(frozen=True)
class NamedModel:
    """A model by its source: a packaged model, a Hugging Face id or a local folder.

    `name` is that of its section in the configuration, "" without one. `checksum` is what its files must have, `base`
    the model that a LoRA adapter is laid upon.
    """

    source: str
    name: str = ""
    revision: str | None = None
    checksum: str | None = None
    kind: str | None = None
    quantisation: str | None = None
    base: NamedModel | None = None

    @property
    def label(self) -> str:
        """The name by which a person knows it."""
        return self.name or self.source

    @property
    def section(self) -> str:
        """Where a message says that it is configured."""
        return f"[models.{self.name}]" if self.name else f"model {self.source!r}"

    @property
    def folder_name(self) -> str:
        """The name of its folder in the models folder; each revision of the hub has one of its own."""
        return folder_name(self.source) + (f"@{self.revision}" if self.revision and is_hub_id(self.source) else "")

    @property
    def files(self) -> tuple[str, str | None]:
        """What is loaded, whatever its name: the folder, and how its weights are quantised."""
        return self.folder_name, self.quantisation

    @property
    def own_name(self) -> str:
        """The name in its identity, and by which a server knows it."""
        if self.base is not None:
            return self.name
        folder = Path(self.source).expanduser()
        is_folder = self.source.startswith(("/", ".", "~")) or folder.is_dir()
        return folder.resolve().name if is_folder else self.source

    @property
    def pinned(self) -> str | None:
        """The revision in its identity where its files are not at hand; None if nothing pins it."""
        below = None if self.base is None else self.base.pinned
        if self.checksum is None:
            return self.revision
        if below is not None and len(self.checksum) == _DIGITS:
            return adapted(self.checksum, below)
        return self.checksum[:REVISION] + (f"-{self.quantisation}" if self.quantisation else "")


def adapted(checksum: str, base: str) -> str:
    """Return the revision of an adapter with this checksum on a revision of its base."""
    return stable_hash("adapter", checksum, base)[:REVISION]


def is_hub_id(name: str) -> bool:
    """Whether a name is a Hugging Face id ("owner/name") and no local folder."""
    return name.count("/") == 1 and not name.startswith((".", "~", "/")) and not Path(name).is_dir()


def folder_name(name: str) -> str:
    """Return the folder of a packaged model, a hub id or a local folder (by its path: two may share a name)."""
    if "/" not in name or is_hub_id(name):
        return name.replace("/", "--")
    folder = Path(name).expanduser().resolve()
    return f"{folder.name}-{stable_hash(str(folder))[:8]}"


# -- what can't be loaded ----------------------------------------------------------------------------------


def refuse_gguf(source: str) -> None:
    """Raise `ModelError` for a GGUF file, or a folder with nothing else."""
    folder = Path(source).expanduser()
    is_file = source.lower().endswith(".gguf")
    if is_file or (folder.is_dir() and any(folder.glob("*.gguf")) and not any(folder.rglob("*.safetensors"))):
        raise ModelError(_gguf(source))


def refuse_files(source: str, files: list[str], *, adapter: bool) -> None:
    """Raise `ModelError` unless the files of a repository of the hub can be loaded; before they are downloaded."""
    if adapter:
        if ADAPTER not in files or _ADAPTER_WEIGHTS not in files:
            raise ModelError(f"{source!r} is no LoRA adapter: it lacks {ADAPTER} or {_ADAPTER_WEIGHTS}")
    elif any(name.endswith(".safetensors") for name in files) and ADAPTER not in files:
        return
    elif ADAPTER in files:
        raise ModelError(_adapter(source, None))
    elif any(name.lower().endswith(".gguf") for name in files):
        raise ModelError(_gguf(source))


def require_model(folder: Path, name: str) -> None:
    """Raise `ModelError` unless a folder has a configuration and safetensors."""
    if (folder / ADAPTER).exists() and not (folder / "config.json").exists():
        raise ModelError(_adapter(name, folder / ADAPTER))
    refuse_gguf(str(folder))
    if not (folder / "config.json").exists() or not any(folder.rglob("*.safetensors")):
        raise ModelError(
            f"model {name!r} in {folder} has no config.json or no safetensors; other weights aren't loaded"
        )


def _gguf(source: str) -> str:
    return (
        f"model {source!r} is GGUF, which isn't loaded: name the repository or folder of the original weights "
        "(safetensors), or serve the file with llama.cpp or Ollama and set [llm] endpoint and "
        '[batch] generate_with = "endpoints"'
    )


def _adapter(source: str, config: Path | None) -> str:
    base = str(_adapter_config(config).get("base_model_name_or_path") or "…") if config else "…"
    return (
        f"model {source!r} is a LoRA adapter, not a whole model: give it a section [models.NAME] with "
        f"source = {json.dumps(source)} and base = {json.dumps(base)}, and name that"
    )


# -- adapters ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter that is ready; `highest_rank` is the least limit of vLLM that it fits."""

    name: str
    path: Path
    revision: str
    highest_rank: int

    @property
    def identity(self) -> str:
        """The name and the revision, by which a server knows it as well."""
        return f"{self.name}@{self.revision}"


def describe_adapter(name: str, folder: Path, revision: str) -> Adapter:
    """Return the adapter in a folder.

    Raises:
        ModelError: the folder holds none, or one that vLLM can't use.
    """
    if not (folder / ADAPTER).exists() or not (folder / _ADAPTER_WEIGHTS).exists():
        raise ModelError(
            f"[models.{name}] base: {folder} is no LoRA adapter, it lacks {ADAPTER} or {_ADAPTER_WEIGHTS}; "
            "leave base out if it is a whole model"
        )
    config = _adapter_config(folder / ADAPTER)
    rank = config.get("r")
    if config.get("peft_type") != "LORA" or not isinstance(rank, int):
        raise ModelError(f"{folder / ADAPTER}: peft_type is {config.get('peft_type')!r}; only LORA adapters are loaded")
    ranks = [rank, *_of_modules(config.get("rank_pattern"))]
    highest = next((each for each in _RANKS if each >= max(ranks)), None)
    if highest is None:
        raise ModelError(f"{folder / ADAPTER}: its rank is {max(ranks)}, and vLLM takes at most {_RANKS[-1]}")
    return Adapter(name, folder, revision, highest)


def _of_modules(pattern: object) -> list[int]:
    return [each for each in pattern.values() if isinstance(each, int)] if isinstance(pattern, dict) else []


def _adapter_config(path: Path) -> dict[str, object]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{path} can't be read ({error}); pull or copy the adapter again") from error
