"""The library function behind `glider export`: export a trained judge with its model card.

If asked, a quantised file is compared with the same weights in f16 before it gets its final name.
"""

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import get_args

from glider.bench.shift import Shift
from glider.core.errors import DataError, ModelFileError, RunError, SetupError
from glider.corpus.data_card import DataRecord, read_record
from glider.models.adapters import trained_on
from glider.models.catalog import ModelFile, base_named, is_adapter
from glider.models.dequantise import to_hf_folder
from glider.models.resolve import folder_hash, resolve
from glider.release.card import bench_results, card_of, main_figures
from glider.release.check import compared, score_requests
from glider.release.settings import ExportSettings, Quantisation, To
from glider.release.weights import copy_adapter, merge, to_gguf
from glider.store.atomic import write_whole
from glider.training.folder import TrainingManifest, load_manifest, result

Fetching = Callable[[str, int, int], None]
"""Called during fetching and conversion with the file or step, the amount done and the total."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The result of an export."""

    path: Path
    """The folder, or for gguf the file; if refused, where it would have been written."""
    card: Path
    size: int
    """Bytes; 0 if refused."""
    check: Shift | None
    """How a quantised file's scores differ from those in f16, if the check was requested."""
    refused: bool
    """Whether the scores differ by more than allowed; nothing is kept then."""


def export(
    source: Path,
    out: Path,
    settings: ExportSettings,
    *,
    notify: Callable[[str], None] = lambda _text: None,
    fetching: Fetching = lambda _what, _done, _all: None,
) -> Exported:
    """Export a trained judge as adapter, Hugging Face folder or GGUF, with its model card.

    Args:
        source: folder of a finished training run, an adapter, or a fully fine-tuned model.
        out: folder to create; for gguf the file.
        notify: called with warnings: a different base, or a file that is not checked.
        fetching: called with the progress of fetching the base and of the conversion.

    Raises:
        SetupError: the settings are invalid together, or the base is unknown.
        RunError: `out` exists or cannot be written; no partial output is left.
        ModelFileError: a file is missing or damaged, or the base is a different model.
        DataError: data or results are unreadable or belong to another training.
        EmptySplit: no example of the check asks for a numeric score.
    """
    beside = _check_place(out, settings)
    trained = trained_in(source)
    card = partial(
        card_of,
        name=trained.name,
        base=trained.base,
        kind=settings.to,
        run=trained.run,
        data=_data(settings.data, trained),
        measured=main_figures(bench_results(settings.results)) if settings.results else (),
    )
    if settings.to == "adapter":
        if not trained.is_adapter:
            raise SetupError(f"{source} has all weights, and no adapter", hint="--to hf or gguf")
        copy_adapter(trained.weights, out, card=card)
    elif settings.to == "hf":
        base = _hf_base(trained, settings.base, notify, fetching) if trained.is_adapter else None
        text = card(trained.weights)
        if base is None:
            merge(trained.weights, None, out, card=text)
        else:
            merge(base, trained.weights, out, card=text)
    else:
        found = _to_gguf(trained, out, settings, notify, fetching)
        if found is not None and _is_too_far(found, settings):
            return Exported(out, beside, 0, found, refused=True)
        checked = f"{settings.quantise} against f16: {found}" if found else ""
        write_whole(beside, card(trained.weights, check=checked))
        return Exported(out, beside, _size(out), found, refused=False)
    return Exported(out, out / "README.md", _size(out), None, refused=False)


def _check_place(out: Path, settings: ExportSettings) -> Path:
    """Refuse an unusable `out` before any work; return the path of a GGUF's card."""
    if settings.to not in get_args(To):
        raise SetupError(f"--to takes {', '.join(get_args(To))}, not {settings.to!r}")
    if settings.quantise not in get_args(Quantisation):
        kinds = ", ".join(get_args(Quantisation))
        raise SetupError(f"--quantise takes {kinds}, not {settings.quantise!r}")
    if settings.check is not None and settings.to != "gguf":
        raise SetupError("--check compares quantised files", hint="--to gguf")
    if settings.to == "gguf" and out.suffix != ".gguf":
        raise SetupError(f"--out names a file that ends in .gguf, not {out.name!r}")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise RunError(f"{out} already exists", hint="name another place")
    beside = out.with_suffix(".md")
    if settings.to == "gguf" and beside.exists():
        raise RunError(f"{beside}, where the card goes, already exists", hint="name another --out")
    return beside


# Source


@dataclass(frozen=True, slots=True)
class Trained:
    """The weights to export, and the training run they came from if known."""

    weights: Path
    name: str
    base: str
    """Name of the base model in the training; empty if unknown."""
    run: Path | None
    manifest: TrainingManifest | None

    @property
    def is_adapter(self) -> bool:
        return is_adapter(self.weights)


def trained_in(source: Path) -> Trained:
    """Find the trained weights in a folder.

    Raises:
        ModelFileError: the folder has no finished training, adapter or model.
    """
    found = resolve(source)
    if found.run is not None and (source / "result.json").exists():
        manifest = load_manifest(source)
        done = result(source)
        name = manifest.recipe["name"]
        return Trained(done.folder, name, manifest.base["name"], source, manifest)
    if found.adapter is not None:
        name = source.resolve().name if found.path is not None else found.name
        return Trained(found.adapter, name, trained_on(found.adapter), None, None)
    if (source / "config.json").exists() and any(source.glob("*.safetensors")):
        return Trained(source, source.resolve().name, "", None, None)
    raise ModelFileError(
        f"{source} is no finished training, no adapter and no model",
        hint="a training that was stopped continues with `glider train ... --resume`",
    )


def _gguf_base(trained: Trained, base: str | None, fetching: Fetching) -> ModelFile:
    name = base or base_named(trained.base)
    found = resolve(name) if name is not None else None
    if found is None or found.kind not in ("catalogue", "gguf"):
        raise SetupError(
            f"it was trained on {trained.base or 'a model that is not named'}, "
            "of which Glider knows no GGUF",
            hint="--base NAME or FILE.gguf: the same model as a GGUF; or --to hf",
        )
    return _same_base(trained, found.gguf(fetching))


def _same_base(trained: Trained, file: ModelFile) -> ModelFile:
    """Return the base if its weights are those that were trained on."""
    said = trained.manifest.base if trained.manifest is not None else {}
    if said.get("name") == file.name and said["revision"] != file.sha256[:12]:
        raise ModelFileError(
            f"{file.name} is not what was trained on: {file.sha256[:12]}, then {said['revision']}",
            hint="give the file of then with --base",
        )
    return file


def _hf_base(
    trained: Trained, base: str | None, notify: Callable[[str], None], fetching: Fetching
) -> Path:
    """Return the folder of the base model, as transformers loads it."""
    name = base or base_named(trained.base) or trained.base
    found = resolve(name) if base or base_named(name) or Path(name).expanduser().is_dir() else None
    if found is None or found.kind not in ("catalogue", "gguf", "folder"):
        raise SetupError(
            f"it was trained on {trained.base or 'a model that is not named'}, "
            "which is not on this machine as a folder",
            hint="--base FOLDER: the model it was trained on",
        )
    if found.path is not None and found.kind == "folder":
        _compare_base(trained, found.path, notify)
        return found.path
    file = _same_base(trained, found.gguf(fetching))
    to_hf_folder(file.path, file.hf_folder)
    return file.hf_folder


def _compare_base(trained: Trained, folder: Path, notify: Callable[[str], None]) -> None:
    """Warn if a folder has different weights; a copy may just use another layout."""
    said = trained.manifest.base["revision"] if trained.manifest is not None else ""
    if re.fullmatch("[0-9a-f]{12}", said) and base_named(trained.base) is None:
        now = folder_hash(folder)
        if now != said:
            notify(f"another base: {folder} is {now}; it was trained on {said}")


# GGUF


def _to_gguf(
    trained: Trained,
    out: Path,
    settings: ExportSettings,
    notify: Callable[[str], None],
    fetching: Fetching,
) -> Shift | None:
    """Write the file unless its check refuses it; return the result of the check."""
    file = _gguf_base(trained, settings.base, fetching)
    kind, asked = settings.quantise, None
    if settings.check is not None and kind != "f16":
        asked = score_requests(settings.check, settings.check_n, seed=settings.seed)
    with _beside(out) as new:
        made, plain = new / out.name, new / "f16.gguf"
        to_gguf(file.path, trained.weights, made, kind, fetching)
        found = None
        if asked is not None:
            to_gguf(file.path, trained.weights, plain, "f16", fetching)
            found = compared(plain, made, asked, seed=settings.seed)
            if not found.n:
                raise RunError(
                    "no example could be judged by both files", hint="are they too long?"
                )
        elif kind != "f16":
            notify(f"not checked: what {kind} does to its scores; give --check")
        if found is None or not _is_too_far(found, settings):
            made.replace(out)
        return found


def _is_too_far(found: Shift, settings: ExportSettings) -> bool:
    return found.average > settings.max_shift or found.share_changed > settings.max_changed


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """Provide a temporary folder on the same disk as `out`; remove it afterwards."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as folder:
            yield Path(folder)
    except OSError as exc:
        raise RunError(f"cannot write {out}: {exc.strerror or exc}") from exc


def _data(folder: Path | None, trained: Trained) -> DataRecord | None:
    """Read the data's record, if the training used exactly the files it describes."""
    if folder is None:
        return None
    record = read_record(folder)
    read = trained.manifest.data if trained.manifest is not None else {}
    for name, file in read.items():
        if record.files.get(name, file["sha256"]) != file["sha256"]:
            raise DataError(f"{name} of {folder} is not the file that was trained on")
    return record


def _size(path: Path) -> int:
    return sum(os.path.getsize(file) for file in _files(path))


def _files(path: Path) -> Iterator[Path]:
    yield from path.iterdir() if path.is_dir() else [path]
