"""Resolve a model's name; every command and function that takes a model uses this.

    glider-nano, nano          a model of the catalogue (`glider models`)
    any-model.gguf             a GGUF file
    mine/adapter               an adapter's folder
    models/llama               a folder in Hugging Face's layout
    runs/mine                  a finished training or tuning: what it ended with
    hf/ORG/NAME[@REVISION]     a model of the Hugging Face hub

A prefix `embedded/`, `hf/`, `fast/` or `vllm/` only selects the engine. Resolving a name looks at
this machine only; weights are fetched and prepared on first use.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from glider.core.errors import ModelFileError, RunError, SetupError, UnknownName
from glider.models.catalog import (
    CATALOG,
    DEFAULT,
    AdapterModel,
    ModelFile,
    base_named,
    catalogue_name,
    find,
    is_adapter,
    trained_format,
)
from glider.models.fetch import Progress

Kind = Literal["catalogue", "gguf", "adapter", "folder", "hub"]

ENGINES = ("embedded", "hf", "fast", "vllm")
"""Engines that run a model in this process; other providers have their own model names."""
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w./-]+)?")
_WEIGHTS = (".safetensors", ".bin", ".json", ".jinja", ".model")


@dataclass(frozen=True, slots=True)
class TorchWeights:
    """Weights as transformers loads them, and their identity."""

    source: str
    """A folder or a hub id."""
    name: str
    revision: str
    """Content hash of 12 hexadecimal digits; for a hub model, its commit."""
    trained_format: Mapping[str, str] | None = None
    """As `trained_format`."""

    @property
    def hub_revision(self) -> str:
        """The revision to ask the hub for; nothing to a folder."""
        return "main" if Path(self.source).is_dir() else self.revision


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model that a name refers to, not yet loaded."""

    kind: Kind
    name: str
    """Catalogue name, hub name, or the path as given."""
    path: Path | None = None
    """The model file, or the folder with the weights or the adapter."""
    revision: str | None = None
    """Requested revision of a hub model."""
    run: Path | None = None
    """The training run that produced `path`."""

    @property
    def engine(self) -> str:
        """The default engine for this model."""
        return "hf" if self.kind in ("folder", "hub") else "embedded"

    def gguf(self, progress: Progress | None = None) -> ModelFile:
        """Return the model as one GGUF file, first fetching it or merging its adapter if needed.

        Raises:
            SetupError: the model has no GGUF, or its adapter cannot be merged.
            ModelFileError: as `glider.models.catalog.find`.
        """
        if self.kind in ("folder", "hub"):
            raise SetupError(
                f"{self.name} is a model in Hugging Face's layout, and the embedded engine runs "
                "GGUF files and adapters",
                hint=f"--model hf/{self.name}, or `glider export FOLDER --to gguf`",
            )
        return find(self.name if self.path is None else str(self.path), progress)

    def torch(self, progress: Progress | None = None) -> TorchWeights:
        """Return the weights for transformers; a GGUF is dequantised into the cache once.

        Raises:
            MissingExtra: torch or transformers is not installed.
            ModelFileError: as `gguf`, or the hub does not answer and the model is not cached.
        """
        if self.kind == "hub":
            from glider.models.hub import on_hub

            source, commit = on_hub(self.name, self.revision or "main")
            return TorchWeights(source, self.name, commit)
        if self.kind == "folder":
            assert self.path is not None
            name = self.path.resolve().name
            return TorchWeights(
                str(self.path), name, folder_hash(self.path), trained_format(self.path)
            )
        from glider.models.dequantise import to_hf_folder

        file = self.gguf(progress)
        to_hf_folder(file.path, file.hf_folder)
        return TorchWeights(str(file.hf_folder), file.name, file.sha256[:12], file.trained_format)

    @property
    def adapter(self) -> Path | None:
        """The adapter's folder; None if the model has no separate adapter."""
        known = CATALOG.get(self.name) if self.kind == "catalogue" else None
        if isinstance(known, AdapterModel):
            return Path(str(known.folder))
        return self.path if self.kind == "adapter" else None

    def base_and_adapter(self) -> tuple[str, Path | None]:
        """Return the starting point of a training: the name of the base, and its adapter.

        Raises:
            SetupError: the base of the adapter is not in the catalogue.
        """
        if self.adapter is None:
            at = f"@{self.revision}" if self.revision else ""
            return (self.name if self.path is None else str(self.path)) + at, None
        known = CATALOG.get(self.name) if self.kind == "catalogue" else None
        if isinstance(known, AdapterModel):
            return known.base, self.adapter
        from glider.models.adapters import trained_on

        base = base_named(trained_on(self.adapter))
        if base is None:
            raise SetupError(
                f"{self.adapter.name} is an adapter on a model that is not in the catalogue",
                hint="merge it first: glider export DIR --to hf --base FOLDER --out MERGED",
            )
        return base, self.adapter


def resolve(name: str | Path, revision: str | None = None) -> ResolvedModel:
    """Return the model that a name refers to.

    Args:
        revision: revision of a hub model, if the name does not give one.

    Raises:
        UnknownName: the name is neither a local model nor a hub id.
        ModelFileError: no such GGUF file.
        RunError: the training is not finished, or the folder is not a training run.
        SetupError: a revision was given for a model that is not on the hub.
    """
    found = _resolve(str(name), revision)
    if revision is not None and found.kind != "hub":
        raise SetupError("a revision belongs to a hub id; this model is on this machine")
    return found


def _resolve(given: str, revision: str | None) -> ResolvedModel:
    name = without_engine(given)
    path = Path(name).expanduser()
    if known := catalogue_name(name):
        return ResolvedModel("catalogue", known)
    if name.endswith(".gguf"):
        if not path.is_file():
            raise ModelFileError(f"no model file {path}")
        return ResolvedModel("gguf", name, path)
    if path.is_dir():
        result = trained_in(path)
        folder, run = (path, None) if result is None else (result, path)
        return ResolvedModel("adapter" if is_adapter(folder) else "folder", name, folder, run=run)
    if _HUB_ID.fullmatch(name) and not path.exists():
        name, _, told = name.partition("@")
        return ResolvedModel("hub", name, revision=revision or told or None)
    near = get_close_matches(name.partition("/")[0], ENGINES)
    raise UnknownName(
        "model",
        given,
        [*CATALOG, *(f"{engine}/{name.partition('/')[2]}" for engine in near)],
        hint="or give a .gguf file, the folder of a training, an adapter or a model, or "
        "hf/ORG/NAME",
    )


def engine_of(name: str) -> str | None:
    """Return the default engine of a local model; None if the model is not on this machine.

    A hub model needs an explicit engine, so that a mistyped path is not looked up on the network.
    """
    if name.endswith(".gguf") or catalogue_name(name):
        return "embedded"
    folder = Path(name).expanduser()
    if not folder.is_dir():
        return None
    found = resolve(name)
    whole = found.kind == "adapter" or (found.path or folder).joinpath("config.json").is_file()
    return found.engine if whole else None


def without_engine(name: str) -> str:
    """Return a name without its engine prefix."""
    engine, _, rest = name.partition("/")
    if engine in ENGINES:
        return rest or DEFAULT
    return name


def trained_in(folder: Path) -> Path | None:
    """Return the adapter or model that a training or tuning in `folder` produced, or None.

    Raises:
        RunError: the run is not finished, or is of another kind.
    """
    if is_adapter(folder) or (folder / "config.json").is_file():
        return None
    if is_adapter(folder / "adapter"):
        return folder / "adapter"
    file = folder / "result.json"
    try:
        found = json.loads(file.read_text("utf-8"))
        return folder / str(found["folder"])
    except FileNotFoundError:
        if (folder / "metrics.jsonl").is_file():
            raise RunError(
                f"{folder} is no finished training",
                hint="finish it with `glider train ... --resume`",
            ) from None
        return None
    except (OSError, ValueError) as exc:
        raise RunError(f"{file} is damaged: {exc}") from exc
    except (KeyError, TypeError) as exc:
        raise RunError(f"{folder} is no training: its result.json is another one") from exc


def folder_hash(folder: Path) -> str:
    """Hash a model folder's weights, settings and tokenizer to 12 hexadecimal digits."""
    from glider.models.receipts import file_sha256

    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in _WEIGHTS:
            digest.update(path.name.encode())
            digest.update(bytes.fromhex(file_sha256(path)))
    return digest.hexdigest()[:12]
