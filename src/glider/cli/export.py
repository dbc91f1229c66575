"""`glider export`: a training or an adapter to what other programs load, with a model card.

A quantised file is compared, where asked, with the same weights in f16 before it takes its name.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import typer

from glider.cli.card import bench_results, card_of, main_figures
from glider.cli.show import Download, say
from glider.core.errors import DataError, ModelFileError, RunError, SetupError
from glider.models.catalog import ModelFile, base_named, is_adapter
from glider.models.resolve import ResolvedModel, folder_hash, resolve
from glider.store.atomic import write_whole

if TYPE_CHECKING:
    from glider.bench.shift import Shift
    from glider.training.folder import TrainingManifest

To = Literal["adapter", "hf", "gguf"]
_KINDS = ("q8_0", "q4_0", "f16")
_OUT, _CHECK, _CARD = "Output", "Check", "Card"


@dataclass(frozen=True, slots=True)
class _Trained:
    """What is exported, and the training it came from if that is known."""

    weights: Path
    name: str
    base: str
    """As the training called it; empty where nobody says."""
    run: Path | None
    manifest: "TrainingManifest | None"

    @property
    def is_adapter(self) -> bool:
        return is_adapter(self.weights)


def export(
    source: Path = typer.Argument(
        ...,
        metavar="RUN",
        help="Folder of a finished training, of an adapter, or of a model trained whole.",
    ),
    to: str = typer.Option(
        ...,
        help="adapter: PEFT's two files. hf: merged, for vLLM and transformers. gguf: merged, for "
        "the embedded engine.",
        rich_help_panel=_OUT,
    ),
    out: Path = typer.Option(
        ..., "--out", "-o", help="Folder to make; of gguf the file.", rich_help_panel=_OUT
    ),
    base: str = typer.Option(
        None,
        help="What it was trained on: a catalogue name, a .gguf file (gguf) or a Hugging Face "
        "folder (hf) [what the training says].",
        rich_help_panel=_OUT,
    ),
    quantise: str = typer.Option("q8_0", help="q8_0, q4_0 or f16.", rich_help_panel=_OUT),
    check: Path = typer.Option(
        None,
        help="Examples to compare the quantised file with f16 on, such as dev.jsonl.gz.",
        rich_help_panel=_CHECK,
    ),
    check_n: int = typer.Option(100, min=2, help="Compare on this many.", rich_help_panel=_CHECK),
    max_shift: float = typer.Option(
        0.05,
        min=0.0,
        help="Refuse if expected scores, in 0..1, move more than this on average.",
        rich_help_panel=_CHECK,
    ),
    max_changed: float = typer.Option(
        0.10,
        min=0.0,
        help="Refuse if the likeliest level is another one in a larger share.",
        rich_help_panel=_CHECK,
    ),
    seed: int = typer.Option(0, help="Of the draw.", rich_help_panel=_CHECK),
    data: Path = typer.Option(
        None, help="Folder of the examples it was trained on, for the card.", rich_help_panel=_CARD
    ),
    results: Path = typer.Option(
        None, help="results.json of `glider bench`, for the card.", rich_help_panel=_CARD
    ),
) -> None:
    """Write a trained judge as adapter, Hugging Face folder or GGUF, with its model card.

    Exit 5 if a quantised file fails its check; it is then not kept.
    """
    if to not in get_args(To):
        raise SetupError(f"--to takes {', '.join(get_args(To))}, not {to!r}")
    if quantise not in _KINDS:
        raise SetupError(f"--quantise takes {', '.join(_KINDS)}, not {quantise!r}")
    if check is not None and to != "gguf":
        raise SetupError("--check compares quantised files", hint="--to gguf")
    if to == "gguf" and out.suffix != ".gguf":
        raise SetupError(f"--out names a file that ends in .gguf, not {out.name!r}")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise RunError(f"{out} is there already", hint="name another place")
    beside = out.with_suffix(".md")
    if to == "gguf" and beside.exists():
        raise RunError(
            f"{beside}, where the card goes, is there already", hint="name another --out"
        )
    trained = _trained(source)
    card = partial(
        card_of,
        name=trained.name,
        base=trained.base,
        kind=to,
        run=trained.run,
        data=_data(data, trained),
        measured=main_figures(bench_results(results)) if results is not None else (),
    )
    if to == "adapter":
        from glider.release.export import copy_adapter

        if not trained.is_adapter:
            raise SetupError(f"{source} has all weights, and no adapter", hint="--to hf or gguf")
        copy_adapter(trained.weights, out, card=card)
    elif to == "hf":
        _to_hf(trained, base, out, card(trained.weights))
    else:
        found = _to_gguf(trained, base, out, quantise, _Check(check, check_n, seed),
                         (max_shift, max_changed))  # fmt: skip
        checked = f"{quantise} against f16: {found}" if found else ""
        write_whole(beside, card(trained.weights, check=checked))
        say("card:", str(beside))
    say("[bold]written[/]", f"{out} ({_size(out) / 1e6:.1f} MB)")


# What there is


def _trained(source: Path) -> _Trained:
    found = resolve(source)
    if found.run is not None and (source / "result.json").exists():
        from glider.training.folder import load_manifest, result

        manifest = load_manifest(source)
        done = result(source)
        name = manifest.recipe["name"]
        return _Trained(done.folder, name, manifest.base["name"], source, manifest)
    if found.adapter is not None:
        from glider.models.adapters import trained_on

        name = source.resolve().name if found.path is not None else found.name
        return _Trained(found.adapter, name, trained_on(found.adapter), None, None)
    if (source / "config.json").exists() and any(source.glob("*.safetensors")):
        return _Trained(source, source.resolve().name, "", None, None)
    raise ModelFileError(
        f"{source} is no finished training, no adapter and no model",
        hint="a training that was stopped goes on with `glider train ... --resume`",
    )


def _gguf_base(trained: _Trained, base: str | None) -> ModelFile:
    name = base or base_named(trained.base)
    found = resolve(name) if name is not None else None
    if found is None or found.kind not in ("catalogue", "gguf"):
        raise SetupError(
            f"it was trained on {trained.base or 'a model that is not named'}, "
            "of which Glider knows no GGUF",
            hint="--base NAME or FILE.gguf: the same model as a GGUF; or --to hf",
        )
    return _same_base(trained, _fetched(found))


def _same_base(trained: _Trained, file: ModelFile) -> ModelFile:
    """The base, if it has the weights that were trained on."""
    said = trained.manifest.base if trained.manifest is not None else {}
    if said.get("name") == file.name and said["revision"] != file.sha256[:12]:
        raise ModelFileError(
            f"{file.name} is not what was trained on: {file.sha256[:12]}, then {said['revision']}",
            hint="give the file of then with --base",
        )
    return file


def _tell_another_base(trained: _Trained, folder: Path) -> None:
    """Warn of a folder that holds other weights; a copy may have been saved in another form."""
    said = trained.manifest.base["revision"] if trained.manifest is not None else ""
    if re.fullmatch("[0-9a-f]{12}", said) and base_named(trained.base) is None:
        now = folder_hash(folder)
        if now != said:
            say("[yellow]another base[/]:", f"{folder} is {now}; it was trained on {said}")


def _fetched(model: ResolvedModel) -> ModelFile:
    download = Download()
    try:
        return model.gguf(download)
    finally:
        download.close()


# What is made


def _to_hf(trained: _Trained, base: str | None, out: Path, card: str) -> None:
    from glider.models.dequantise import to_hf_folder
    from glider.release.export import merge

    if not trained.is_adapter:
        merge(trained.weights, None, out, card=card)
        return
    name = base or base_named(trained.base) or trained.base
    found = resolve(name) if base or base_named(name) or Path(name).expanduser().is_dir() else None
    if found is None or found.kind not in ("catalogue", "gguf", "folder"):
        raise SetupError(
            f"it was trained on {trained.base or 'a model that is not named'}, "
            "which is not on this machine as a folder",
            hint="--base FOLDER: the model it was trained on",
        )
    if found.path is not None and found.kind == "folder":
        folder = found.path
        _tell_another_base(trained, folder)
    else:
        file = _same_base(trained, _fetched(found))
        folder = file.hf_folder
        to_hf_folder(file.path, folder)
    merge(folder, trained.weights, out, card=card)


@dataclass(frozen=True, slots=True)
class _Check:
    examples: Path | None
    n: int
    seed: int


def _to_gguf(
    trained: _Trained,
    base: str | None,
    out: Path,
    kind: str,
    check: _Check,
    bounds: tuple[float, float],
) -> "Shift | None":
    from glider.release.export import score_requests, to_gguf

    file = _gguf_base(trained, base)
    asked = None
    if check.examples is not None and kind != "f16":
        asked = score_requests(check.examples, check.n, seed=check.seed)
    progress = Download()
    try:
        with _beside(out) as new:
            made, plain = new / out.name, new / "f16.gguf"
            to_gguf(file.path, trained.weights, made, kind, progress)
            found = None
            if asked is not None:
                to_gguf(file.path, trained.weights, plain, "f16", progress)
                found = _compared(plain, made, asked, check.seed)
                say(f"{kind} against f16:", str(found))
                _refuse(found, kind, bounds)
            elif kind != "f16":
                say("[yellow]not checked[/]:", f"what {kind} does to its scores; give --check")
            made.replace(out)
            return found
    finally:
        progress.close()


def _compared(plain: Path, made: Path, asked: list[tuple[Any, str]], seed: int) -> "Shift":
    import numpy as np

    from glider.backends.embedded import EmbeddedBackend
    from glider.bench.shift import answers, shift

    found = []
    for path in (plain, made):
        # Bare scores are read in one slot; more would only take memory.
        with EmbeddedBackend(str(path), slots=1) as engine:
            found.append(answers(engine, [request for request, _ in asked]))
    before, after = found
    rng = np.random.default_rng(seed)
    return shift(before, after, [cluster for _, cluster in asked], rng=rng)


def _refuse(found: "Shift", kind: str, bounds: tuple[float, float]) -> None:
    if not found.n:
        raise RunError("no example could be judged by both files", hint="are they too long?")
    average, changed = found.average, found.share_changed
    if average <= bounds[0] and changed <= bounds[1]:
        return
    say(
        f"[bold red]not kept[/]: {kind} moves the scores too far;",
        f"allowed are {bounds[0]:g} on average and another level in {bounds[1]:g} of prompts",
    )
    say("[bold]hint[/]:", "--quantise q8_0 or f16, or other bounds: --max-shift, --max-changed")
    raise typer.Exit(5)


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A folder on the same disk for what is not ready yet; gone at the end."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as folder:
            yield Path(folder)
    except OSError as exc:
        raise RunError(f"cannot write {out}: {exc.strerror or exc}") from exc


# The card


def _data(folder: Path | None, trained: _Trained) -> Any:
    """The data's own record, if the training read the very files it is about."""
    if folder is None:
        return None
    from glider.corpus.data_card import read_record

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
