"""FLAMe's tail-patch (arXiv 2407.10817): what a little more of one set does to all the others.

A partly trained judge is trained a little further on each training set alone, and measured on every
development set before and after. Each set gets a rating per category of development sets: +2 surely
better (the whole interval of the paired difference is above 0), +1 better by more than a standard
error, -1 surely worse, else 0. A category is a family of sets; a set's own development part says
that the set can be learnt, not that it helps, so it is shown and rates nothing.

Bundles and weights are FLAMe's: 100,000 where the ratings sum to one per category or more, 30,000
for each category with +2, summed; 3,000 for all others; of a category that is to be boosted the two
best sets get 200,000. FLAMe rated by eye, and put sets into a category's bundle by a threshold on
its accuracy; the interval in the place of both is ours. Many differences are looked at: one in
forty has its interval above 0 by chance.

    manifest.json    checkpoint, settings, data; written once
    before.json      the checkpoint on the development sets
    sets/NAME.json   the same after NAME; a set that has one is done
    tail-patch.json, tail-patch.md, mixture.yaml    made of these at the end
"""

import json
import math
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from glider.core.base import Frozen
from glider.core.errors import DataError, EmptySplit, RunError, SetupError, UnknownName
from glider.corpus.data_card import record_file
from glider.corpus.examples import Example, hash_of, read_examples, write_lines
from glider.gold.sets import known, load_set
from glider.stats.estimates import Estimate, Undefined
from glider.store.atomic import new_folder, write_json, write_whole
from glider.store.folder import kept_folder
from glider.store.manifest import Manifest
from glider.training.base_model import (
    BaseModel,
    find_base,
    folder_hash,
    load_tokenizer,
    needs_torch,
)
from glider.training.checkpoints import copy_model
from glider.training.folder import curve, load_manifest, result
from glider.training.recipe import Recipe, parse_recipe
from glider.training.run import train
from glider.training.stages import STAGES
from glider.training.stages.base import Stage
from glider.training.start import with_start
from glider.training.tokens import Coder, Encoded

if TYPE_CHECKING:
    from glider.stats.statistic import Prepared

Metric = Literal["pearson", "accuracy", "loss"]

_GENERAL, _SPECIFIC, _OTHERS, _BOOSTED = 100_000, 30_000, 3_000, 200_000
_BEST = 2
"""Sets of a boosted category."""
_INTERVAL = 3.92
"""Standard errors a 95 % interval is wide."""


@dataclass(frozen=True, kw_only=True)
class Patch:
    """What is done to the checkpoint and how it is measured."""

    steps: int = 100
    """Updates on each set at most, and no more than the recipe's epochs. FLAMe: 3,000."""
    per_set: int = 40
    """Development examples of each set at most."""
    seed: int = 0


# Where it starts


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights to go on from, and the recipe that made them."""

    weights: Path
    recipe: Recipe
    """With one stage, that of a patch, and without its epochs. Whole weights are its base."""
    trained_on: Recipe
    """The same on the run's base, whose tokenizer the checkpoints of whole weights are without."""

    @property
    def stage(self) -> Stage:
        """The stage of a patch."""
        (stage,) = self.recipe.stages
        return stage


def checkpoint_of(run: Path, changes: Sequence[str] = ()) -> Checkpoint:
    """The checkpoint of a training.

    Args:
        run: its folder (finished: its result; else its last checkpoint), or the folder of one of
            its checkpoints.
        changes: `key=value` over the run's own recipe, as in `glider train --set`.

    Raises:
        RunError: there is no training, or no checkpoint yet.
        SetupError: it has no supervised stage, or whole weights are given another base.
        RecipeError: a change that is none.
    """
    weights = run
    if _has_weights(run):
        manifest = load_manifest(run.resolve().parent.parent)
    else:
        manifest = load_manifest(run)
        if (run / "result.json").exists():
            weights = result(run).folder
        else:
            there = [path for path in run.glob("*-*/checkpoint-*") if _has_weights(path)]
            if not there:
                raise RunError(f"{run} has no checkpoint yet")
            weights = max(there, key=_place_in_run)
    every = manifest.recipe["stages"]
    stages = [stage for stage in every if STAGES.get(stage["kind"]).learns_scores]
    if not stages:
        raise SetupError(f"{run} has no sft stage, whose settings a tail-patch takes")
    adapter = (weights / "adapter_config.json").exists()
    data = {**manifest.recipe, "processes": 1, "start": str(weights) if adapter else None}
    if adapter:
        data["lora"] = {}  # as it is
    data["stages"] = [{**stages[0], "dev": None, "limit": None, "evaluate": {}}]
    recipe = parse_recipe(data, changes, where="the run's recipe")
    if len(recipe.stages) != 1 or not recipe.stages[0].learns_scores:
        raise SetupError("a tail-patch has one stage, of a kind that learns scores: sft")
    if adapter:
        return Checkpoint(weights, recipe, recipe)
    name = manifest.base["name"]
    if recipe.base != name and find_base(recipe.base, recipe.revision).name != name:
        raise SetupError(
            f"{weights.name} has weights of its own, and base may only say where {name} is"
        )
    own = recipe.model_copy(update={"base": str(weights), "revision": None})
    return Checkpoint(weights, own, recipe)


def _has_weights(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("adapter_config.json", "config.json"))


def _place_in_run(checkpoint: Path) -> tuple[int, int]:
    stage = int(checkpoint.parent.name.partition("-")[0])
    return stage, int(checkpoint.name.partition("-")[2])


# Measuring


class Score(Frozen):
    """One development example as a judge scores it."""

    expected: float
    """0 the lowest level, 1 the highest."""
    loss: float
    """Cross-entropy of the label under the probabilities of the levels, nats."""
    right: bool


Scores = dict[str, Score]
"""Example to score."""


@dataclass(frozen=True, slots=True)
class Development:
    """The examples that are measured on, in one order."""

    examples: list[Example]
    encoded: list[Encoded]
    gold: list[float]
    left_out: dict[str, str]
    """Sets that cannot be measured on, and why."""


def development(data: Path, coder: Coder, recipe: Recipe, how: Patch) -> Development:
    """At most so many examples of each set whose score is read first.

    Raises:
        DataError: the file is missing or damaged.
        SetupError: no score can be read.
    """
    from glider.training.agreement import mean_level

    sets: dict[str, list[tuple[Example, Encoded]]] = {}
    why: dict[str, str] = {}
    for example in read_examples(data / "dev.jsonl.gz"):
        encoded = coder.example(example)
        if not encoded.score_is_read or encoded.score is None:
            why.setdefault(example.set, "no score is read first in an answer")
        elif encoded.score.end > recipe.max_tokens:
            why.setdefault(example.set, "longer than max_tokens")
        else:
            # What an explanation adds comes after the score and changes nothing of it.
            bare = replace(encoded, ids=encoded.ids[: encoded.score.end])
            sets.setdefault(example.set, []).append((example, bare))
    kept: list[tuple[Example, Encoded]] = []
    for name, pool in sorted(sets.items()):
        n = min(how.per_set, len(pool))
        kept += Random(f"{how.seed}:{name}").sample(pool, n)
    if not kept:
        raise SetupError(
            "no score of the development part can be read first in an answer",
            hint="a tail-patch measures score-first judges",
        )
    return Development(
        [example for example, _ in kept],
        [encoded for _, encoded in kept],
        [mean_level(encoded.score.probs) for _, encoded in kept if encoded.score],
        {name: reason for name, reason in why.items() if name not in sets},
    )


def scores(
    base: BaseModel, checkpoint: Checkpoint, weights: Path, dev: Development, *, pad_id: int
) -> Scores:
    """The development examples as a judge with these weights scores them.

    Raises:
        ModelFileError: they cannot be loaded.
    """
    import torch

    from glider.training.agreement import mean_level
    from glider.training.predict import level_probabilities, load_to_ask

    recipe = checkpoint.recipe
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    if (weights / "adapter_config.json").exists():
        model = load_to_ask(base, weights, recipe)
    else:
        model = load_to_ask(BaseModel(str(weights), base.name, base.revision), None, recipe)
    found: Scores = {}
    read = level_probabilities(model, dev.encoded, recipe, pad_id=pad_id)
    for encoded, probs in zip(dev.encoded, read, strict=True):
        assert encoded.score is not None
        gold = encoded.score.probs
        found[encoded.id] = Score(
            expected=mean_level(probs),
            loss=-sum(g * math.log(max(p, 1e-12)) for g, p in zip(gold, probs, strict=True)),
            right=probs.index(max(probs)) == gold.index(max(gold)),
        )
    return found


# Effects


class Effect(Frozen):
    """What a patch did to some development sets; above 0 is better."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    why: str = ""
    """There is no honest figure."""

    @property
    def rating(self) -> int:
        """+2, +1, 0 or -1."""
        if self.value is None or self.low is None or self.high is None:
            return 0
        if self.low > 0:
            return 2
        if self.high < 0:
            return -1
        return int(self.value > (self.high - self.low) / _INTERVAL)

    def __str__(self) -> str:
        if self.value is None:
            return "none"
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def effect(
    before: Scores,
    after: Scores,
    dev: Development,
    sets: Collection[str],
    metric: Metric,
    *,
    seed: int,
) -> Effect:
    """The paired difference of a figure over some sets: of each set, averaged over the sets.

    Whole clusters are resampled. `loss` counts with its sign turned.
    """
    import numpy as np

    from glider.stats.resampling import paired_difference

    rows = [n for n, example in enumerate(dev.examples) if example.set in sets]
    clusters = [f"{dev.examples[n].set}:{dev.examples[n].cluster}" for n in rows]
    found = paired_difference(
        _figure(after, dev, rows, metric),
        _figure(before, dev, rows, metric),
        clusters,
        rng=np.random.default_rng(seed),
    )
    if isinstance(found, Undefined):
        return Effect(value=None, low=None, high=None, n=found.n, why=found.reason)
    assert isinstance(found, Estimate)
    low, value, high = (round(x, 6) for x in (found.low, found.value, found.high))
    return Effect(value=value, low=low, high=high, n=found.n)


def _figure(values: Scores, dev: Development, rows: Sequence[int], metric: Metric) -> "Prepared":
    import numpy as np

    from glider.stats.correlation import pearson
    from glider.stats.statistic import average, mean_of

    parts: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        parts.setdefault(dev.examples[row].set, []).append(number)
    made = []
    for numbers in parts.values():
        mine = [values[dev.examples[rows[n]].id] for n in numbers]
        if metric == "pearson":
            gold = [dev.gold[rows[n]] for n in numbers]
            one = pearson.on([score.expected for score in mine], gold)
        elif metric == "accuracy":
            one = mean_of([float(score.right) for score in mine], (0, 1))
        else:
            one = mean_of([-score.loss for score in mine])
        made.append((one, np.array(numbers)))
    return average(made, len(rows))


def categories(dev: Development, metric: Metric) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Family to its development sets, and the sets that have no figure, with the reason."""
    from glider.training.agreement import correlates

    families: dict[str, list[str]] = {}
    left_out = dict(dev.left_out)
    shipped = set(known())
    for name in sorted({example.set for example in dev.examples}):
        gold = [
            value
            for example, value in zip(dev.examples, dev.gold, strict=True)
            if example.set == name
        ]
        if metric == "pearson" and not correlates(gold):
            left_out[name] = f"{len(gold)} scores, too few or all alike"
            continue
        families.setdefault(load_set(name).family if name in shipped else name, []).append(name)
    return families, left_out


# Bundles and weights


class PatchedSet(Frozen):
    """One training set: what it did, and its place in a mixture."""

    examples: int
    updates: int
    own: Effect | None
    """On its own development part."""
    effects: dict[str, Effect]
    """Category to effect, its own development part left out."""
    total: int
    """Sum of the ratings."""
    bundles: tuple[str, ...]
    draws: int
    """FLAMe's weight."""


def bundles_of(ratings: Mapping[str, int]) -> tuple[str, ...]:
    """What a set belongs to: `general`, one bundle for each category it surely helps, `others`."""
    found = [f"for {category}" for category, rating in ratings.items() if rating == 2]
    if ratings and sum(ratings.values()) >= len(ratings):
        found.insert(0, "general")
    return tuple(found) or ("others",)


def draws_of(bundles: Collection[str], *, boosted: bool = False) -> int:
    """FLAMe's weight: summed over bundles, or that of a boosted category's best."""
    if boosted:
        return _BOOSTED
    if "others" in bundles:
        return _OTHERS
    return _GENERAL * ("general" in bundles) + _SPECIFIC * sum(b != "general" for b in bundles)


def best_of(effects: Mapping[str, Mapping[str, Effect]], category: str) -> list[str]:
    """The sets that helped a category most, at most two."""
    helped = {
        name: of[category].value or 0.0
        for name, of in effects.items()
        if category in of and of[category].rating > 0
    }
    return sorted(helped, key=lambda name: (-helped[name], name))[:_BEST]


class TailPatch(Frozen):
    """The whole table."""

    version: int = 1
    checkpoint: str
    metric: str
    steps: int
    categories: dict[str, tuple[str, ...]]
    """Category to its development sets."""
    left_out: dict[str, str]
    boosted: tuple[str, ...]
    sets: dict[str, PatchedSet]
    """Best first."""


# The whole


def tail_patch(
    run: Path,
    *,
    data: Path,
    out: Path,
    how: Patch,
    metric: Metric = "pearson",
    only: Collection[str] = (),
    boost: Collection[str] = (),
    changes: Sequence[str] = (),
    resume: bool = False,
    say: Callable[[str], None] = lambda _what: None,
) -> TailPatch:
    """Patch with each set, measure, rate.

    Args:
        run: a training, finished or not, or one of its checkpoints.
        data: folder of examples, with a development part.
        only: training sets; all if none is named.
        boost: categories whose two best sets get FLAMe's largest weight.
        resume: go on with `out`; sets that are done are not trained again.

    Raises:
        RunError, SetupError, DataError, TrainingError: as `run.train`; what is done is kept.
        ManifestMismatch: `out` is of another checkpoint, data or settings.
        UnknownName: no such set, or no such category.
    """
    needs_torch()
    checkpoint = checkpoint_of(run, changes)
    base = find_base(checkpoint.recipe.base, checkpoint.recipe.revision)
    recipe, _ = with_start(checkpoint.recipe, base)
    checkpoint = replace(checkpoint, recipe=recipe)
    complete = recipe.start is not None or (checkpoint.weights / "tokenizer_config.json").exists()
    origin = checkpoint.trained_on
    tokenizer = load_tokenizer(base if complete else find_base(origin.base, origin.revision))
    coder = Coder(tokenizer, model=base.name)
    pools: dict[str, list[Example]] = {}
    for example in read_examples(data / "train.jsonl.gz"):
        pools.setdefault(example.set, []).append(example)
    if not pools:
        raise EmptySplit("train", "train.jsonl.gz has no examples")
    for name in only:
        if name not in pools:
            raise UnknownName("training set", name, list(pools))
    dev = development(data, coder, recipe, how)
    families, left_out = categories(dev, metric)
    for name in boost:
        if name not in families:
            raise UnknownName("category", name, list(families))
    manifest = _manifest(checkpoint, base, data, how)
    with kept_folder(out, manifest, resume=resume):
        start = out / "start"
        if not complete:
            if not start.exists():
                with new_folder(start) as new:
                    copy_model(checkpoint.weights, new, tokenizer)
            checkpoint = replace(checkpoint, recipe=recipe.model_copy(update={"base": str(start)}))
        say(f"measuring the checkpoint on {len(dev.examples)} development examples")
        before = _once(
            out / "before.json",
            lambda: Patched(
                scores=scores(base, checkpoint, checkpoint.weights, dev, pad_id=coder.end_of_turn)
            ),
        )
        after: dict[str, Patched] = {}
        names = sorted(only or pools)
        for number, name in enumerate(names, start=1):
            say(f"{name}, {number} of {len(names)}: {len(pools[name])} examples")
            work = out / "work" / name
            try:
                after[name] = _once(
                    out / "sets" / f"{name}.json",
                    lambda n=name, w=work: _patched(
                        w, checkpoint, base, pools[n], dev, how, pad_id=coder.end_of_turn
                    ),  # type: ignore[misc]
                )
            except EmptySplit as exc:
                left_out[name] = exc.message
            shutil.rmtree(work, ignore_errors=True)
        found = TailPatch(
            checkpoint=manifest.judge,
            metric=metric,
            steps=how.steps,
            categories={family: tuple(sets) for family, sets in families.items()},
            left_out=left_out,
            boosted=tuple(boost),
            sets=_rated(before, after, dev, families, metric, boost, how),
        )
        write_json(out / "tail-patch.json", found.model_dump(mode="json"))
        write_whole(out / "tail-patch.md", table(found))
        write_whole(out / "mixture.yaml", mixture(found, data, pools))
        shutil.rmtree(start, ignore_errors=True)
    return found


class Patched(Frozen):
    """The development examples after a patch, or before any."""

    examples: int = 0
    updates: int = 0
    scores: Scores


def _once(path: Path, make: Callable[[], Patched]) -> Patched:
    """What the file holds; made and written where it is not there."""
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
    checkpoint: Checkpoint,
    base: BaseModel,
    examples: Sequence[Example],
    dev: Development,
    how: Patch,
    *,
    pad_id: int,
) -> Patched:
    """Train on one set alone, and measure; killed, it goes on from its last checkpoint."""
    data, run = work / "data", work / "run"
    data.mkdir(parents=True, exist_ok=True)
    write_lines(data / checkpoint.stage.train, examples)
    epochs = min(how.steps * checkpoint.stage.batch / len(examples), checkpoint.stage.epochs)
    stage = checkpoint.stage.model_copy(update={"epochs": epochs})
    recipe = checkpoint.recipe.model_copy(update={"stages": (stage,)})
    trained = train(recipe, data=data, out=run, resume=(run / "manifest.json").exists())
    return Patched(
        examples=len(examples),
        updates=sum("loss" in line for line in curve(run)),
        scores=scores(base, checkpoint, trained.folder, dev, pad_id=pad_id),
    )


def _rated(
    before: Patched,
    after: Mapping[str, Patched],
    dev: Development,
    families: Mapping[str, Sequence[str]],
    metric: Metric,
    boost: Collection[str],
    how: Patch,
) -> dict[str, PatchedSet]:
    def changed(name: str, sets: Collection[str]) -> Effect:
        return effect(before.scores, after[name].scores, dev, sets, metric, seed=how.seed)

    own: dict[str, Effect | None] = {}
    effects: dict[str, dict[str, Effect]] = {}
    measured = {name for sets in families.values() for name in sets}
    for name in after:
        own[name] = changed(name, [name]) if name in measured else None
        others = {family: [s for s in sets if s != name] for family, sets in families.items()}
        effects[name] = {family: changed(name, sets) for family, sets in others.items() if sets}
    boosted = {name for family in boost for name in best_of(effects, family)}
    rated: dict[str, PatchedSet] = {}
    for name, patched in after.items():
        ratings = {family: one.rating for family, one in effects[name].items()}
        bundles = bundles_of(ratings)
        rated[name] = PatchedSet(
            examples=patched.examples,
            updates=patched.updates,
            own=own[name],
            effects=effects[name],
            total=sum(ratings.values()),
            bundles=bundles,
            draws=draws_of(bundles, boosted=name in boosted),
        )

    def best_first(name: str) -> tuple[float, float, str]:
        values = [one.value or 0.0 for one in effects[name].values()]
        return -rated[name].total, -sum(values) / max(1, len(values)), name

    return {name: rated[name] for name in sorted(rated, key=best_first)}


def _manifest(checkpoint: Checkpoint, base: BaseModel, data: Path, how: Patch) -> Manifest:
    recipe = checkpoint.recipe.model_dump(mode="json")
    # Where they are says nothing of what they are; the hashes do.
    recipe.update(base=base.name, start=None)
    return Manifest.of(
        run_id=datetime.now(UTC).strftime("%Y%m%d-%H%M%S"),
        judge=f"{base.name}@{base.revision}+{folder_hash(checkpoint.weights)}",
        settings={"recipe": recipe, **asdict(how)},
        criteria={},
        input_path=data.resolve().name,
        input_sha256=hash_of(data),
    )


# What it says


def table(found: TailPatch) -> str:
    """The result as Markdown."""
    families = list(found.categories)
    lines = [
        "# Tail-patch",
        "",
        f"`{found.checkpoint}`, trained up to {found.steps} updates more on each set alone. "
        f"Differences of {found.metric}{' (sign turned)' if found.metric == 'loss' else ''}, "
        "paired, with 95 % intervals over clusters; above 0 is better. In brackets the rating.",
        "",
        "| set | examples | updates | own development part | "
        + " | ".join(families)
        + " | total | bundles | weight |",
        "|---|--:|--:|--:|" + "--:|" * len(families) + "--:|---|--:|",
    ]
    for name, one in found.sets.items():
        cells = [
            f"{one.effects[family]} ({one.effects[family].rating:+d})"
            if family in one.effects
            else ""
            for family in families
        ]
        own = str(one.own) if one.own else ""
        row = [name, one.examples, one.updates, own, *cells]
        lines.append(
            "| " + " | ".join(map(str, [*row, one.total, ", ".join(one.bundles), one.draws])) + " |"
        )
    lines += ["", "| category | development sets |", "|---|---|"]
    lines += [f"| {family} | {', '.join(sets)} |" for family, sets in found.categories.items()]
    if found.left_out:
        lines += ["", "| left out | why |", "|---|---|"]
        lines += [f"| {name} | {why} |" for name, why in found.left_out.items()]
    return "\n".join(lines) + "\n"


def mixture(found: TailPatch, data: Path, sets: Iterable[str]) -> str:
    """The settings of the data with new weights, as `glider data` reads them.

    A set's share is in proportion to its weight there times what it has, and what was drawn of it
    was by its old weight; so the old one is multiplied by FLAMe's over what was drawn. On average
    weights stay what they were, as do those of sets that were not patched.

    Args:
        sets: all sets of the data. A person's own are named as files, to be found beside this one.
    """
    import yaml

    from glider.corpus.mixture import Mixture

    try:
        made: dict[str, Any] = json.loads(record_file(data).read_text("utf-8"))
        settings = {k: v for k, v in made["settings"].items() if k in Mixture.model_fields}
    except (OSError, ValueError, KeyError):
        made, settings = {}, {}
    shares: dict[str, dict[str, Any]] = {name: {} for name in sets} | settings.get("sets", {})
    rates = {name: one.draws / one.examples for name, one in found.sets.items()}
    mean = sum(rates.values()) / max(1, len(rates))
    for name, rate in rates.items():
        weight = shares[name].get("weight", 1.0) * rate / mean
        shares[name] = {**shares[name], "weight": float(f"{weight:.3g}")}
    own = made.get("own", {})
    settings["sets"] = {own.get(name, name): share for name, share in shares.items()}
    written: str = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    return written
