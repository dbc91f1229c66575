"""FLAMe's tail-patch (arXiv 2407.10817): the effect of extra training on one set on the others.

A partly trained judge is trained a little further on each training set alone and measured on every
development set before and after. Each set gets a rating per category of development sets: +2
significantly better (the whole interval of the paired difference is above 0), +1 better by more
than a standard error, -1 significantly worse, else 0. A category is a family of sets. A set's own
development split only shows that the set can be learned, not that it helps others, so it is
reported but not rated.

FLAMe rated by eye and assigned sets to a category's bundle by an accuracy threshold; we use the
interval instead of both. With many comparisons, one in forty intervals lies above 0 by chance.

    manifest.json    checkpoint, settings, data; written once
    before.json      the checkpoint on the development sets
    sets/NAME.json   the same after NAME; a set that has one is done
    tail-patch.json, tail-patch.md, mixture.yaml    made of these at the end
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from glider.core.base import Frozen
from glider.core.errors import DataError, EmptySplit, SetupError, UnknownName
from glider.corpus.examples import Example, hash_of, read_examples, write_lines
from glider.models.resolve import TorchWeights, folder_hash
from glider.store.atomic import new_folder, write_json, write_whole
from glider.store.folder import locked_folder, refuse_begun
from glider.store.manifest import Manifest
from glider.studies.tail_patching.effects import categories
from glider.studies.tail_patching.measuring import Development, Scores, development, scores
from glider.studies.tail_patching.rate import rated_sets
from glider.studies.tail_patching.settings import Metric, PatchSettings
from glider.studies.tail_patching.start import PatchStart, start_of
from glider.studies.tail_patching.weights import TailPatch, mixture, table
from glider.training.base_model import find_base, load_tokenizer, needs_torch
from glider.training.checkpoints import copy_model
from glider.training.folder import curve
from glider.training.run import train
from glider.training.start import with_start
from glider.training.tokens import Coder


def tail_patch(
    run: Path,
    *,
    data: Path,
    out: Path,
    settings: PatchSettings | None = None,
    resume: bool = False,
    notify: Callable[[str], None] = lambda _text: None,
) -> TailPatch:
    """Patch with each set, measure and rate the effects.

    Args:
        run: folder of a training, finished or not, or one of its checkpoints.
        data: folder of examples with a development split.
        resume: continue `out`; finished sets are not trained again.
        notify: called with each step.

    Raises:
        RunError, SetupError, DataError, TrainingError: as `run.train`; finished work is kept.
        ManifestMismatch: `out` belongs to another checkpoint, data or settings.
        UnknownName: unknown set or category.
    """
    settings = settings or PatchSettings()
    if settings.metric not in get_args(Metric):
        raise SetupError(
            f"--metric is one of {', '.join(get_args(Metric))}; got {settings.metric!r}"
        )
    if not resume:
        refuse_begun(out)
    needs_torch()
    start = start_of(run, settings.changes)
    base = find_base(start.recipe.base, start.recipe.revision)
    recipe, _ = with_start(start.recipe, base)
    start = replace(start, recipe=recipe)
    complete = recipe.start is not None or (start.weights / "tokenizer_config.json").exists()
    origin = start.trained_on
    tokenizer = load_tokenizer(base if complete else find_base(origin.base, origin.revision))
    coder = Coder(tokenizer, model=base.name)
    pools: dict[str, list[Example]] = {}
    for example in read_examples(data / "train.jsonl.gz"):
        pools.setdefault(example.set, []).append(example)
    if not pools:
        raise EmptySplit("train", "train.jsonl.gz has no examples")
    for name in settings.only:
        if name not in pools:
            raise UnknownName("training set", name, list(pools))
    dev = development(data, coder, recipe, per_set=settings.per_set, seed=settings.seed)
    families, left_out = categories(dev, settings.metric)
    for name in settings.boost:
        if name not in families:
            raise UnknownName("category", name, list(families))
    manifest = _manifest(start, base, data, settings)
    with locked_folder(out, manifest, resume=resume):
        copied = out / "start"
        if not complete:
            if not copied.exists():
                with new_folder(copied) as new:
                    copy_model(start.weights, new, tokenizer)
            start = replace(start, recipe=recipe.model_copy(update={"base": str(copied)}))
        notify(f"measuring the checkpoint on {len(dev.examples)} development examples")
        before = _once(
            out / "before.json",
            lambda: Patched(
                scores=scores(base, start, start.weights, dev, pad_id=coder.end_of_turn)
            ),
        )
        after: dict[str, Patched] = {}
        names = sorted(settings.only or pools)
        for number, name in enumerate(names, start=1):
            notify(f"{name}, {number} of {len(names)}: {len(pools[name])} examples")
            work = out / "work" / name
            try:
                after[name] = _once(
                    out / "sets" / f"{name}.json",
                    lambda n=name, w=work: _patched(
                        w, start, base, pools[n], dev, settings, pad_id=coder.end_of_turn
                    ),  # type: ignore[misc]
                )
            except EmptySplit as exc:
                left_out[name] = exc.message
            shutil.rmtree(work, ignore_errors=True)
        found = TailPatch(
            checkpoint=manifest.judge,
            metric=settings.metric,
            steps=settings.steps,
            categories={family: tuple(sets) for family, sets in families.items()},
            left_out=left_out,
            boosted=settings.boost,
            sets=rated_sets(
                before.scores,
                {name: one.scores for name, one in after.items()},
                dev,
                families,
                settings,
                sizes={name: (one.examples, one.updates) for name, one in after.items()},
            ),
        )
        write_json(out / "tail-patch.json", found.model_dump(mode="json"))
        write_whole(out / "tail-patch.md", table(found))
        write_whole(out / "mixture.yaml", mixture(found, data, pools))
        shutil.rmtree(copied, ignore_errors=True)
    return found


class Patched(Frozen):
    """Scores of the development examples after a patch, or before any."""

    examples: int = 0
    updates: int = 0
    scores: Scores


def _once(path: Path, make: Callable[[], Patched]) -> Patched:
    """Return the file's content; create the file first if it does not exist."""
    try:
        return Patched.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = make()
        write_json(path, made.model_dump(mode="json"))
        return made
    except ValidationError as exc:
        raise DataError("is damaged; without it the set is patched anew", path=str(path)) from exc


def _patched(
    work: Path,
    start: PatchStart,
    base: TorchWeights,
    examples: Sequence[Example],
    dev: Development,
    settings: PatchSettings,
    *,
    pad_id: int,
) -> Patched:
    """Train on one set alone and measure; a killed run resumes from its last checkpoint."""
    data, run = work / "data", work / "run"
    data.mkdir(parents=True, exist_ok=True)
    write_lines(data / start.stage.train, examples)
    epochs = min(settings.steps * start.stage.batch / len(examples), start.stage.epochs)
    stage = start.stage.model_copy(update={"epochs": epochs})
    recipe = start.recipe.model_copy(update={"stages": (stage,)})
    trained = train(recipe, data=data, out=run, resume=(run / "manifest.json").exists())
    return Patched(
        examples=len(examples),
        updates=sum("loss" in line for line in curve(run)),
        scores=scores(base, start, trained.folder, dev, pad_id=pad_id),
    )


def _manifest(
    start: PatchStart, base: TorchWeights, data: Path, settings: PatchSettings
) -> Manifest:
    recipe = start.recipe.model_dump(mode="json")
    # Paths do not identify the contents; the hashes do.
    recipe.update(base=base.name, start=None)
    return Manifest.of(
        judge=f"{base.name}@{base.revision}+{folder_hash(start.weights)}",
        settings={"recipe": recipe, **settings.recorded()},
        criteria={},
        input_path=data.resolve().name,
        input_sha256=hash_of(data),
    )
