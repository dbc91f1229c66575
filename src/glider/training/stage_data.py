"""Load and tokenize the training and development examples of a recipe's stages."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glider.core.errors import DataError, EmptySplit, SetupError
from glider.corpus.examples import ExampleTask, read_examples, read_tasks
from glider.training.benched import LEAST, Bench, together
from glider.training.recipe import Recipe
from glider.training.stages.base import Stage
from glider.training.tokens import Coder

Folders = Path | Sequence[Path]
"""One data folder, or several: a stage's files come from the first folder with its `train` file."""


@dataclass(frozen=True, slots=True)
class Split:
    """The tokenized examples of one file, and counts of what was left out."""

    folder: Path
    file: str
    kept: list[Any]
    too_long: int
    """Too-long examples among those read: the whole file, or as many as were needed to draw
    `limit`."""


@dataclass(frozen=True, slots=True)
class StageData:
    """The data a stage trains on and is evaluated on."""

    stage: Stage
    name: str
    train: Split
    dev: Split | None
    bench: Bench | None = None
    """Present if the bench figure is the metric that selects the best update."""


def stage_data(recipe: Recipe, data: Folders, coder: Coder) -> list[StageData]:
    """Load every stage's examples as tokens.

    Raises:
        DataError, EmptySplit: a file is missing, damaged or has no example that fits.
        NoLabelTokens: an example has no score at the position where labels are read.
        SetupError: a stage's metric cannot be computed on its development split.
    """
    folders = [data] if isinstance(data, Path) else list(data)
    # Report missing files before reading any.
    homes = [_folder_of(stage, n, folders) for n, stage in enumerate(recipe.stages, start=1)]
    found: list[StageData] = []
    for number, (stage, folder) in enumerate(zip(recipe.stages, homes, strict=True), start=1):
        name = f"{number}-{stage.kind}"
        train = _split(recipe, stage, folder, stage.train, coder, limit=stage.limit, split="train")
        dev = bench = None
        if stage.dev is not None:
            limit = stage.evaluate.examples
            tasks = _tasks(name, folder) if stage.evaluate.metric == "bench" else None
            dev = _split(
                recipe, stage, folder, stage.dev, coder, limit=limit, split="dev", tasks=tasks,
                hint=_without_dev(number),
            )  # fmt: skip
            if tasks is not None:
                bench = _bench(name, folder / stage.dev, dev, tasks)
            stage.check_development(name, dev.kept)
        found.append(StageData(stage, name, train, dev, bench))
    return found


def _tasks(name: str, folder: Path) -> dict[str, ExampleTask]:
    path = folder / "tasks.jsonl.gz"
    if not path.exists():
        raise SetupError(
            f"stage {name} is to keep the best by bench, and {path} is not there",
            hint="`glider data` writes it beside the examples; or set evaluate.metric to pearson",
        )
    return {one.id: one for one in read_tasks(path)}


def _bench(name: str, file: Path, dev: Split, tasks: Mapping[str, ExampleTask]) -> Bench:
    first = {one.id for one in dev.kept if one.score_is_read}
    bench = Bench.of([one for one in read_examples(file) if one.id in first], tasks)
    if not bench.sets:
        raise SetupError(
            f"stage {name} is to keep the best by bench, and no set of its development part has "
            f"{LEAST} items with a score at the beginning of an answer (a pair is one)",
            hint="set evaluate.metric to loss, or raise evaluate.examples",
        )
    return bench


def _folder_of(stage: Stage, number: int, folders: Sequence[Path]) -> Path:
    """Return the folder that holds a stage's files."""
    folder = next((one for one in folders if (one / stage.train).exists()), None)
    if folder is None:
        raise DataError(
            f"stage {number}-{stage.kind} has no {stage.train}",
            path=", ".join(map(str, folders)),
            hint=stage.made_by,
        )
    if stage.dev is not None and not (folder / stage.dev).exists():
        raise DataError(
            f"stage {number}-{stage.kind} has nothing to measure on",
            path=str(folder / stage.dev),
            hint=_without_dev(number),
        )
    return folder


def _without_dev(number: int) -> str:
    return f"--set stages.{number - 1}.dev=null goes without"


def _split(
    recipe: Recipe,
    stage: Stage,
    folder: Path,
    file: str,
    coder: Coder,
    *,
    limit: int | None,
    split: str,
    tasks: Mapping[str, ExampleTask] | None = None,
    hint: str = "make them with `glider data`",
) -> Split:
    """Draw and encode examples; with `tasks`, both orders of a pair are drawn together.

    Args:
        hint: advice for the error about a file without examples.
    """
    import numpy as np

    path = folder / file
    made: list[Any] = list(stage.read(path))
    if not made:
        raise EmptySplit(split, f"{file} has no examples", hint=hint)
    order = list(range(len(made)))
    if limit is not None and limit < len(made):
        order = np.random.default_rng([recipe.seed, 1]).permutation(len(made)).tolist()
        if tasks is not None:
            place = {one.id: n for n, one in enumerate(made)}
            groups = together([made[n] for n in order], tasks)
            order = [place[one.id] for group in groups for one in group]
    kept: dict[int, Any] = {}
    shortest, too_long = sys.maxsize, 0
    for index in order:
        if len(kept) == limit:
            break
        encoded = stage.encode(coder, made[index])
        if len(encoded) <= recipe.max_tokens:
            kept[index] = encoded
        else:
            too_long += 1
            shortest = min(shortest, len(encoded))
    if not kept:
        raise EmptySplit(
            split,
            f"every example of {file} is longer than {recipe.max_tokens} tokens",
            hint=f"raise max_tokens; the shortest has {shortest}",
        )
    return Split(folder, file, [kept[index] for index in sorted(kept)], too_long)
