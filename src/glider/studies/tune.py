"""A person's own labels to an adapter, cross-validated before anybody is offered it.

The labels are cut into folds by prompt: what shares a prompt is never on two sides. Each fold is a
training of its own, by the very recipe of the final one, and says what it thinks of the part it has
not seen. The model as it was is asked the same. Whether the difference is a gain is not decided
here (`bench.gain`).

    manifest.json         labels, model and settings; written once
    untuned.json          what the model said before, and how long that took
    plan.json             the recipe's numbers, made from the labels and the time there is
    folds/1/answers.json  what the training of fold 1 says of its held-out part
    folds/1/run/          that training; its weights go once it has answered
    final/                the training on all labels, if it is to be kept
    adapter/              what is kept

Killed at any moment, it goes on; folds that have answered are not trained again.
"""

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from glider.core.base import Frozen, content_hash
from glider.core.errors import (
    DataError,
    OneSidedLabels,
    RunError,
    SetupError,
    TooFewLabels,
)
from glider.corpus.candidates import Candidate
from glider.corpus.examples import Example, write_lines
from glider.corpus.from_items import Unusable, example_of, level_of
from glider.corpus.splits import components
from glider.formats import make_format
from glider.gold.items import Item
from glider.gold.judgements import OUTSIDE_SCALE
from glider.gold.sets import LabelledSet
from glider.models.resolve import resolve
from glider.store.atomic import write_json
from glider.store.folder import hold
from glider.store.manifest import Manifest
from glider.training.base_model import (
    BaseModel,
    find_base,
    folder_hash,
    load_config,
    load_tokenizer,
)
from glider.training.folder import Progress, TrainingResult
from glider.training.predict import level_probabilities, load_to_ask
from glider.training.recipe import Recipe, parse_recipe
from glider.training.run import train
from glider.training.start import check_fits
from glider.training.tokens import Coder, Encoded

FEWEST = 50
"""Labels below which neither a gain nor its absence could be told."""
MAX_TOKENS = 2048
_EXAMPLES_SEEN = 1000
_MOST_EPOCHS, _USUAL_EPOCHS = 10, 2
_TRAINED, _HALF_TRAINED = 3.0, 2.0
"""Time of a trained token in forward passes: through all layers, and through the upper half."""
_FORM = {"format": "nano"}
_STARTED_S = 15.0
"""Seconds for loading a model and saving what it learnt."""

Answer = tuple[tuple[float, ...], ...]
"""What a model says of an item: the probability of each level; of a pair one such row for each of
its two orders."""
Tell = Callable[[str], None]


# What is tuned


@dataclass(frozen=True, slots=True)
class Start:
    """The model to tune."""

    base: str
    """As a recipe names it."""
    adapter: Path | None
    """What it has learnt already."""


def starting_point(model: str) -> Start:
    """Where a training of a model begins; takes any name that `glider.models.resolve` knows.

    Raises:
        UnknownName: no such model.
        SetupError: an adapter on a base that is not in the catalogue.
        RunError: a training that is not finished, or a folder of pairs.
    """
    return Start(*resolve(model).base_and_adapter())


# The labels


@dataclass(frozen=True, slots=True)
class Labels:
    """A person's labels, cut into folds, as what is asked."""

    labelled: LabelledSet
    items: tuple[Item, ...]
    """Their cluster is what they share a prompt with."""
    fold: tuple[int, ...]
    """Of each item, from 0."""
    asked: tuple[tuple[Encoded, ...], ...]
    """Of each item its bare question; of a pair both orders."""
    notes: tuple[str, ...]

    @property
    def n_prompts(self) -> int:
        """Prompts that tell the items apart."""
        return len({item.cluster for item in self.items})

    @property
    def n_tokens(self) -> int:
        """Of all questions."""
        return sum(len(one) for asked in self.asked for one in asked)

    @property
    def n_examples(self) -> int:
        """A pair gives two."""
        return sum(map(len, self.asked))

    def examples(self, numbers: Sequence[int]) -> list[Example]:
        """What is learnt from these items: with the reason, where people wrote a usable one."""
        form = make_format(_FORM["format"])
        return [
            example_of(item, form, self.labelled, swapped=swapped)
            for item in (self.items[number] for number in numbers)
            for swapped in _orders(item)
        ]


def read_labels(
    labelled: LabelledSet, folder: Path, coder: Coder, *, folds: int, seed: int = 0
) -> Labels:
    """The labels of a set, fit to learn from and to measure on.

    Raises:
        DataError: the file cannot be read, or a label is not on its scale.
        TooFewLabels: fewer than 50, of fewer prompts than folds, or of a level in fewer.
        OneSidedLabels: all of them are alike.
    """
    loaded = labelled.load(folder)
    for note in loaded.notes:
        if OUTSIDE_SCALE in note:
            raise DataError(
                note.removeprefix("left out, "),
                path=labelled.data,
                hint="correct them, or say with `scale: [lowest, highest]` what they are on",
            )
    pools = {labelled.name: [Candidate(labelled, item) for item in loaded.items]}
    groups = components(pools)
    items: list[Item] = []
    asked: list[tuple[Encoded, ...]] = []
    left_out: Counter[str] = Counter()
    for item, group in zip(loaded.items, groups, strict=True):
        try:
            asked.append(_asked(item, labelled, coder))
        except Unusable as exc:
            left_out[str(exc)] += 1
        else:
            items.append(replace(item, cluster=content_hash(group)))
    notes = (*loaded.notes, *(f"left out, {why}: {n}" for why, n in left_out.items()))
    _check(items, folds, labelled, notes)
    levels = [(item.part, level_of(item)[0]) for item in items]
    fold = folds_of([item.cluster for item in items], levels, folds, seed=seed)
    return Labels(labelled, tuple(items), tuple(fold), tuple(asked), notes)


def _orders(item: Item) -> tuple[bool, ...]:
    return (False, True) if item.is_pair else (False,)


def _asked(item: Item, labelled: LabelledSet, coder: Coder) -> tuple[Encoded, ...]:
    form = make_format(_FORM["format"])
    asked = []
    for swapped in _orders(item):
        example = example_of(item, form, labelled, explained=False, swapped=swapped)
        encoded = coder.example(example)
        if len(encoded) > MAX_TOKENS:
            raise Unusable(f"longer than {MAX_TOKENS} tokens")
        if encoded.score is None or not encoded.score.label_ids:
            raise Unusable("a rubric with a level of more than one token")
        asked.append(encoded)
    return tuple(asked)


def _check(items: Sequence[Item], folds: int, labelled: LabelledSet, notes: Sequence[str]) -> None:
    counted = [item for item in items if not (item.is_pair and item.gold == 0.5)]
    if len(counted) < FEWEST:
        ties = " with a winner" if labelled.kind == "pairs" else ""
        hint = "; ".join(notes) or "judge some more texts; `glider plan-labels` says how many"
        raise TooFewLabels(len(counted), FEWEST, f"labels{ties}", hint=hint)
    prompts = {item.cluster for item in counted}
    if len(prompts) < folds:
        raise TooFewLabels(
            len(prompts),
            folds,
            f"prompts, which are to be cut into {folds} folds",
            hint="labels of more prompts, or fewer --folds",
        )
    if labelled.kind == "pairs":
        return  # each is learnt and asked in both orders
    prompts_of: dict[float, set[str]] = {}
    for item in counted:
        settled = item.on_gold_scale(item.criterion.rubric.scores[level_of(item)[0]])
        prompts_of.setdefault(settled, set()).add(item.cluster)
    if len(prompts_of) == 1:
        raise OneSidedLabels(next(iter(prompts_of)), len(counted))
    # A class that a fold has never seen cannot be learnt there; of graded labels, two levels do.
    common = sorted(prompts_of, key=lambda level: -len(prompts_of[level]))
    for level in common if labelled.kind == "classes" else common[:2]:
        if len(prompts_of[level]) < folds:
            raise TooFewLabels(
                len(prompts_of[level]),
                folds,
                f"prompts with the label {level:g}, which is to be in each of {folds} folds",
                hint="more labels of that level, or fewer --folds",
            )


def folds_of(
    groups: Sequence[str], levels: Sequence[Hashable], n: int, *, seed: int = 0
) -> list[int]:
    """Whole groups to n folds that are alike in size and in levels; one fold number per item.

    The largest groups are placed first, each where it makes the folds least unlike. So no fold's
    training learns another base rate than the others, which would look like knowledge or like the
    lack of it.
    """
    of_group: dict[str, Counter[Hashable]] = {}
    for group, level in zip(groups, levels, strict=True):
        of_group.setdefault(group, Counter())[level] += 1
    total = Counter(levels)
    names = sorted(of_group)
    Random(f"{seed}:folds").shuffle(names)
    names.sort(key=lambda name: -of_group[name].total())
    have: list[Counter[Hashable]] = [Counter() for _ in range(n)]
    place: dict[str, int] = {}

    def cost(fold: int, own: Counter[Hashable]) -> float:
        size = own.total() * (own.total() + 2 * have[fold].total()) / len(levels)
        return size + sum(
            k * (k + 2 * have[fold][level]) / total[level] for level, k in own.items()
        )

    for name in names:
        place[name] = min(range(n), key=lambda fold: (cost(fold, of_group[name]), fold))
        have[place[name]] += of_group[name]
    return [place[group] for group in groups]


# The plan


class Plan(Frozen):
    """What the labels and the time there is make of the recipe."""

    epochs: float
    batch: int
    frozen_layers: int
    learning_rate: float
    minutes: float
    """It will take about this long, all folds and the final training."""


_ASKING = Plan(epochs=1, batch=8, frozen_layers=0, learning_rate=1e-4, minutes=0)
"""Of a recipe by which nothing is trained."""


def planned(
    labels: Labels, *, folds: int, layers: int, seconds: float, minutes: float, goes_on: bool
) -> Plan:
    """Epochs by the number of labels; the lower half frozen, then fewer epochs, to be in time.

    A thousand examples are seen, of 500 labels and more each twice, of fewer than 100 each ten
    times.

    Args:
        seconds: what one forward pass over all questions took.
        minutes: how long everything may take.
        goes_on: it starts from an adapter, all of which is trained.

    Raises:
        SetupError: seeing each label once takes longer.
    """
    n = labels.n_examples
    usual = min(max(_EXAMPLES_SEEN / n, _USUAL_EPOCHS), _MOST_EPOCHS)
    fixed = seconds + (folds + 1) * _STARTED_S

    def time_of(epochs: float, each: float) -> float:
        # Every fold leaves out one part in `folds`; with the final training that makes `folds`.
        return (fixed + folds * epochs * each * seconds) / 60

    each, frozen, epochs = _TRAINED, 0, usual
    if time_of(usual, each) > minutes and not goes_on:
        each, frozen = _HALF_TRAINED, layers // 2
    if time_of(usual, each) > minutes:
        epochs = (60 * minutes - fixed) / (folds * each * seconds)
    if epochs < 1:
        raise SetupError(
            f"{folds} folds of {len(labels.items)} labels take some {time_of(1, each):.0f} minutes "
            f"on this machine, not {minutes:g}",
            hint="raise --minutes, or lower --folds",
        )
    return Plan(
        epochs=round(epochs, 2),
        batch=8 if n < 500 else 16,
        frozen_layers=frozen,
        learning_rate=2e-4 if goes_on else 5e-4,
        minutes=round(time_of(epochs, each), 1),
    )


def recipe_of(plan: Plan, start: Start, *, name: str, seed: int) -> Recipe:
    """The recipe of every fold and of the final training. Nothing is chosen on what is held out."""
    return parse_recipe(
        {
            "name": name,
            "base": start.base,
            "start": None if start.adapter is None else str(start.adapter),
            "seed": seed,
            "max_tokens": MAX_TOKENS,
            # An adapter that is trained on keeps its own.
            "lora": {} if start.adapter else {"rank": 16, "alpha": 32, "dropout": 0.05},
            "frozen_layers": plan.frozen_layers,
            "stages": [
                {
                    "kind": "sft",
                    "dev": None,
                    "epochs": plan.epochs,
                    "learning_rate": plan.learning_rate,
                    "batch": plan.batch,
                    "batch_tokens": 1024,
                    "warmup": 0.1,
                    "checkpoint": {"every": 20, "keep": 1},
                }
            ],
        }
    )


# The work


class Tuning:
    """The folder of a tuning while it is worked on."""

    def __init__(
        self,
        out: Path,
        labels: Labels,
        start: Start,
        coder: Coder,
        base: BaseModel,
        *,
        folds: int,
        minutes: float,
        seed: int = 0,
        resume: bool = False,
        tell: Tell = lambda what: None,
        progress: Progress | None = None,
    ) -> None:
        """Make the folder, or go on with it.

        Args:
            minutes: how long everything may take; of one that goes on, what was planned stays.
            tell: told what was done.
            progress: called with every line of the trainings' metrics.

        Raises:
            RunError: the folder holds something, is in use or cannot be written.
            ManifestMismatch: it is a tuning of something else.
        """
        self.out, self.labels, self._start = out, labels, start
        self._coder, self._base, self._folds = coder, base, folds
        self._minutes, self._seed, self._tell, self._progress = minutes, seed, tell, progress
        begun = os.path.exists(out / "manifest.json")  # False too where nobody may look
        if begun and not resume:
            raise RunError(
                f"{out} is a tuning already",
                hint="--resume goes on with it; --out names another folder",
            )
        self._held = hold(out, self._manifest(), resume=begun, kind="tuning")

    def __enter__(self) -> "Tuning":
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._held)

    def _manifest(self) -> Manifest:
        model = f"{self._base.name}@{self._base.revision}"
        if self._start.adapter is not None:
            model += f"+{folder_hash(self._start.adapter)}"
        items = self.labels.items
        content = [
            [i.sample.content_id, i.criterion.content_id, i.cluster, i.gold, i.scale, i.ratings,
             i.reason, [span.model_dump() for span in i.spans]]
            for i in items
        ]  # fmt: skip
        return Manifest.of(
            run_id=self.out.name,
            judge=model,
            settings={"folds": self._folds, "seed": self._seed},
            criteria={i.criterion.content_id: i.criterion.name for i in items},
            input_path=self.labels.labelled.data,
            input_sha256=content_hash(content),
        )

    def untuned(self) -> list[Answer]:
        """What the model says before."""
        numbers = range(len(self.labels.items))
        return self._asked(self.out / "untuned.json", numbers, lambda: self._start.adapter)

    def plan(self) -> Plan:
        """The plan; made once, after the model was asked and so its speed is known.

        Raises:
            SetupError: there is too little time.
        """
        file = self.out / "plan.json"
        if file.exists():
            return Plan.model_validate_json(file.read_bytes())
        self.untuned()
        plan = planned(
            self.labels,
            folds=self._folds,
            layers=int(load_config(self._base).get_text_config().num_hidden_layers),
            seconds=json.loads((self.out / "untuned.json").read_text("utf-8"))["seconds"],
            minutes=self._minutes,
            goes_on=self._start.adapter is not None,
        )
        write_json(file, plan.model_dump(mode="json"))
        return plan

    def tuned(self) -> list[Answer]:
        """What each item's fold says of it, never having seen its prompt."""
        found: dict[int, Answer] = {}
        for fold in range(self._folds):
            held = [n for n, of in enumerate(self.labels.fold) if of == fold]
            folder = self.out / "folds" / str(fold + 1)
            seen = [n for n, of in enumerate(self.labels.fold) if of != fold]
            answers = self._asked(
                folder / "answers.json",
                held,
                lambda folder=folder, seen=seen: self._trained(folder, seen).folder,  # type: ignore[misc]
            )
            shutil.rmtree(folder / "run" / "1-sft", ignore_errors=True)
            found |= dict(zip(held, answers, strict=True))
            self._tell(f"fold {fold + 1} of {self._folds}: {len(seen)} labels learnt, "
                       f"{len(held)} predicted")  # fmt: skip
        return [found[number] for number in range(len(self.labels.items))]

    def final(self) -> TrainingResult:
        """Train on all labels, or go on with that.

        Raises:
            TrainingError: NaN, too little memory, a full disk.
        """
        return self._trained(self.out / "final", range(len(self.labels.items)))

    def _trained(self, folder: Path, numbers: Sequence[int]) -> TrainingResult:
        run = folder / "run"
        begun = (run / "manifest.json").exists()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise RunError(f"cannot write {folder}: {exc.strerror or exc}") from exc
        write_lines(folder / "train.jsonl.gz", self.labels.examples(numbers))
        return train(
            self._recipe(),
            data=folder,
            out=run,
            format=_FORM,
            resume=begun,
            progress=self._progress,
        )

    def _recipe(self, plan: Plan | None = None) -> Recipe:
        name = self.labels.labelled.name
        return recipe_of(plan or self.plan(), self._start, name=name, seed=self._seed)

    def _asked(
        self, file: Path, numbers: Sequence[int], adapter: Callable[[], Path | None]
    ) -> list[Answer]:
        """Answers on disk, or else those of the model with the adapter."""
        if not file.exists():
            asked = [one for number in numbers for one in self.labels.asked[number]]
            recipe = self._recipe(_ASKING)
            model = load_to_ask(self._base, adapter(), recipe)
            pad = self._coder.tokenizer.pad_token_id
            pad_id = self._coder.end_of_turn if pad is None else pad
            began = time.perf_counter()
            rows = iter(level_probabilities(model, asked, recipe, pad_id=pad_id))
            answers = [[next(rows) for _ in self.labels.asked[number]] for number in numbers]
            seconds = round(time.perf_counter() - began, 2)
            write_json(file, {"seconds": seconds, "answers": answers})
        found = json.loads(file.read_text("utf-8"))["answers"]
        return [tuple(tuple(row) for row in answer) for answer in found]


def load(model: str) -> tuple[Start, BaseModel, Coder]:
    """The model to tune, found, with what turns its prompts into tokens.

    Raises:
        MissingExtra, ModelFileError, SetupError: it is not there, or cannot be trained.
    """
    start = starting_point(model)
    base = find_base(start.base)
    if start.adapter is not None:
        check_fits(start.adapter, base)
    return start, base, Coder(load_tokenizer(base), model=base.name)
