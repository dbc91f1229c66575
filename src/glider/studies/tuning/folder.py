"""The folder of a tuning; it can be resumed, and finished folds are not trained again.

manifest.json         labels, model and settings; written once
untuned.json          what the model said before, and how long that took
plan.json             the recipe's numbers, made from the labels and the time there is
folds/1/answers.json  what the training of fold 1 says of its held-out part
folds/1/run/          that training; its weights go once it has answered
final/                the training on all labels, if it is to be kept
adapter/              what is kept
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from glider.core.base import content_hash
from glider.core.errors import RunError
from glider.corpus.examples import write_lines
from glider.models.resolve import TorchWeights, folder_hash
from glider.store.atomic import write_json
from glider.store.folder import lock_folder
from glider.store.manifest import Manifest
from glider.studies.tuning.labels import FORMAT, TuningLabels
from glider.studies.tuning.plan import (
    ASKING,
    StartingModel,
    TuningPlan,
    plan_tuning,
    recipe_of,
    starting_point,
)
from glider.training.base_model import find_base, load_config, load_tokenizer
from glider.training.folder import Progress, TrainingResult
from glider.training.predict import level_probabilities, load_to_ask
from glider.training.recipe import Recipe
from glider.training.run import train
from glider.training.start import check_fits
from glider.training.tokens import Coder

LevelProbabilities = tuple[tuple[float, ...], ...]
"""A model's prediction for an item: the probability of each level, in one row, or in two rows for
the two orders of a pair."""


class TuningFolder:
    """The folder of a tuning in progress."""

    def __init__(
        self,
        out: Path,
        labels: TuningLabels,
        start: StartingModel,
        coder: Coder,
        base: TorchWeights,
        *,
        folds: int,
        minutes: float,
        seed: int = 0,
        resume: bool = False,
        notify: Callable[[str], None] = lambda _text: None,
        progress: Progress | None = None,
    ) -> None:
        """Create the folder, or resume it.

        Args:
            minutes: time limit for everything; a resumed tuning keeps its plan.
            notify: called with a message for each finished step.
            progress: called with each line of the trainings' metrics.

        Raises:
            RunError: the folder is not empty, is in use or cannot be written.
            ManifestMismatch: the folder belongs to a different tuning.
        """
        self.out, self.labels, self._start = out, labels, start
        self._coder, self._base, self._folds = coder, base, folds
        self._minutes, self._seed, self._notify, self._progress = minutes, seed, notify, progress
        begun = os.path.exists(out / "manifest.json")  # Also False without read permission.
        if begun and not resume:
            raise RunError(
                f"{out} is a tuning already",
                hint="--resume continues it; --out names another folder",
            )
        self._held = lock_folder(out, self._manifest(), resume=begun, kind="tuning")

    def __enter__(self) -> "TuningFolder":
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

    def untuned(self) -> list[LevelProbabilities]:
        """Return the untuned model's predictions."""
        numbers = range(len(self.labels.items))
        return self._asked(self.out / "untuned.json", numbers, lambda: self._start.adapter)

    def plan(self) -> TuningPlan:
        """Return the plan, which is made once, after the model's speed has been measured.

        Raises:
            SetupError: the time limit is too short.
        """
        file = self.out / "plan.json"
        if file.exists():
            return TuningPlan.model_validate_json(file.read_bytes())
        self.untuned()
        plan = plan_tuning(
            self.labels,
            folds=self._folds,
            layers=int(load_config(self._base).get_text_config().num_hidden_layers),
            seconds=json.loads((self.out / "untuned.json").read_text("utf-8"))["seconds"],
            minutes=self._minutes,
            has_adapter=self._start.adapter is not None,
        )
        write_json(file, plan.model_dump(mode="json"))
        return plan

    def tuned(self) -> list[LevelProbabilities]:
        """Return each item's prediction by its fold's model, which never saw its prompt."""
        found: dict[int, LevelProbabilities] = {}
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
            self._notify(f"fold {fold + 1} of {self._folds}: {len(seen)} labels learnt, "
                       f"{len(held)} predicted")  # fmt: skip
        return [found[number] for number in range(len(self.labels.items))]

    def final(self) -> TrainingResult:
        """Train on all labels, or resume that training.

        Raises:
            TrainingError: NaN loss, out of memory or full disk.
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
            format=FORMAT,
            resume=begun,
            progress=self._progress,
        )

    def _recipe(self, plan: TuningPlan | None = None) -> Recipe:
        name = self.labels.labelled.name
        return recipe_of(plan or self.plan(), self._start, name=name, seed=self._seed)

    def _asked(
        self, file: Path, numbers: Sequence[int], adapter: Callable[[], Path | None]
    ) -> list[LevelProbabilities]:
        """Return the predictions on disk, or compute them with the model and the adapter."""
        if not file.exists():
            asked = [one for number in numbers for one in self.labels.asked[number]]
            recipe = self._recipe(ASKING)
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


def load(model: str) -> tuple[StartingModel, TorchWeights, Coder]:
    """Find the model to tune, and load the coder that tokenizes its prompts.

    Raises:
        MissingExtra, ModelFileError, SetupError: the model is missing or cannot be trained.
    """
    start = starting_point(model)
    base = find_base(start.base)
    if start.adapter is not None:
        check_fits(start.adapter, base)
    return start, base, Coder(load_tokenizer(base), model=base.name)
