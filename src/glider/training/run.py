"""Run a training: its stages in order, each starting from the result of the previous one.

In several processes: `accelerate launch ... -m glider.training.run RECIPE --data DIR --out DIR`.
"""

import argparse
import hashlib
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from glider._version import __version__
from glider.core.errors import GliderError, SetupError
from glider.models.quiet import quietly
from glider.models.resolve import TorchWeights, folder_hash
from glider.store.folder import locked_folder, refuse_begun
from glider.store.manifest import installed
from glider.training.base_model import find_base, load_tokenizer, needs_torch
from glider.training.folder import (
    Progress,
    TrainingFolder,
    TrainingManifest,
    TrainingResult,
    result,
)
from glider.training.machine import place
from glider.training.processes import started_others
from glider.training.recipe import Recipe, load_recipe
from glider.training.stage_data import Folders, StageData, stage_data
from glider.training.stage_run import run_stage
from glider.training.start import with_start
from glider.training.tokens import Coder

_CODE = ("corpus/examples.py", "text/chat.py", "text/defuse.py", "training/**/*.py")
"""Source files that determine the result of a training; changes to others do not affect a
resume."""
_LIBRARIES = ("torch", "transformers", "tokenizers", "trl", "peft", "accelerate", "numpy")


def train(
    recipe: Recipe,
    *,
    data: Folders,
    out: Path,
    format: Mapping[str, str] | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> TrainingResult:
    """Run a recipe to its end, in as many processes as it asks for on this machine's processors.

    Args:
        data: folders of examples and preference pairs, as made by `glider data` and `glider
            rationalize`.
        out: run folder; new or empty unless resuming.
        format: name, order and layout of the examples' format, saved with the weights; defaults to
            the format in the manifest beside a stage's examples.
        resume: continue the run in `out`; a finished run returns its result again.
        progress: called with each line of metrics as it is written.

    Raises:
        SetupError: recipe, model, data and machine do not fit together.
        DataError: a file of examples is missing, damaged or empty.
        ManifestMismatch: `out` belongs to a different training.
        TrainingError: NaN loss, out of memory or full disk; the last checkpoint is intact.
        RunError: `out` is not empty, is in use or cannot be written.
    """
    if not resume and place()[0] == 0:
        refuse_begun(out)
    needs_torch()
    with started_others(recipe, data=data, out=out, resume=resume):
        return _train(recipe, data, out, format, resume, progress)


def _train(
    recipe: Recipe,
    data: Folders,
    out: Path,
    format: Mapping[str, str] | None,
    resume: bool,
    progress: Progress | None,
) -> TrainingResult:
    from accelerate import PartialState

    rank, processes = place()
    if recipe.processes > 1 and processes == 1:
        raise SetupError(
            f"the recipe {recipe.name} is for {recipe.processes} processes",
            hint="accelerate launch --config_file FILE -m glider.training.run RECIPE ... "
            "(docs/training.md), or --set processes=1",
        )
    base = find_base(recipe.base, recipe.revision)
    recipe, before = with_start(recipe, base)
    coder = Coder(load_tokenizer(base), model=base.name)
    stages = stage_data(recipe, data, coder)
    manifest = _manifest(recipe, base, before, stages, processes)
    main = rank == 0
    held = locked_folder(out, manifest, resume=resume, kind="training") if main else nullcontext()
    run = TrainingFolder(out, format, resume=resume, main=main, progress=progress)
    with held, run, quietly():
        for work in stages:
            before = run_stage(run, recipe, base, coder, work, before)
        if before is None:
            raise AssertionError("a recipe has a stage")
        if main:
            run.keep_cards(stages)
            run.finish(before, base, stages[-1])
        PartialState().wait_for_everyone()
    return result(out)


def _manifest(
    recipe: Recipe,
    base: TorchWeights,
    start: Path | None,
    stages: Sequence[StageData],
    processes: int,
) -> TrainingManifest:
    now = datetime.now(UTC)
    files: dict[str, dict[str, Any]] = {}
    for work in stages:
        for split in filter(None, (work.train, work.dev)):
            with (split.folder / split.file).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            files[split.file] = {
                "sha256": digest,
                "examples": len(split.kept),
                "too_long": split.too_long,
            }
    source = hashlib.sha256()
    package = Path(__file__).resolve().parent.parent
    for path in sorted(path for pattern in _CODE for path in package.glob(pattern)):
        source.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    settings = recipe.model_dump(mode="json")
    # Paths do not identify the contents; the hash does.
    settings.update(base=base.name, start=None)
    return TrainingManifest(
        run_id=now.strftime("%Y%m%d-%H%M%S"),
        created_at=now.isoformat(timespec="seconds"),
        glider=__version__,
        code_sha256=source.hexdigest()[:12],
        recipe=settings,
        base={"name": base.name, "revision": base.revision},
        start=folder_hash(start) if start else None,
        data=files,
        processes=processes,
        python=platform.python_version(),
        libraries=installed(_LIBRARIES),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of every process: `accelerate launch ... -m glider.training.run`."""
    parser = argparse.ArgumentParser(prog="glider.training.run", description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="a YAML file, or the name of a shipped recipe")
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        required=True,
        help="folder of examples; given again, a file is taken from the first that has it",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args(arguments)
    main_process = place()[0] == 0
    try:
        recipe = load_recipe(given.recipe, given.set)
        progress = (lambda line: print(json.dumps(line), flush=True)) if main_process else None
        train(recipe, data=given.data, out=given.out, resume=given.resume, progress=progress)
    except GliderError as error:
        print(f"error ({error.code}): {error}", file=sys.stderr, flush=True)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
