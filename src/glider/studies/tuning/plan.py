"""The recipe of a tuning, computed from the number of labels and the time available."""

from dataclasses import dataclass
from pathlib import Path

from glider.core.base import Frozen
from glider.core.errors import SetupError
from glider.models.resolve import resolve
from glider.studies.tuning.labels import MAX_TOKENS, TuningLabels
from glider.training.recipe import Recipe, parse_recipe

_EXAMPLES_SEEN = 1000
_MOST_EPOCHS, _USUAL_EPOCHS = 10, 2
_TRAINED, _HALF_TRAINED = 3.0, 2.0
"""Time of a trained token in forward passes: through all layers, and through the upper half."""
_STARTED_S = 15.0
"""Seconds for loading a model and saving what it learnt."""


@dataclass(frozen=True, slots=True)
class StartingModel:
    """The model to tune."""

    base: str
    """As a recipe names it."""
    adapter: Path | None
    """What it has learnt already."""


def starting_point(model: str) -> StartingModel:
    """Where a training of a model begins; takes any name that `glider.models.resolve` knows.

    Raises:
        UnknownName: no such model.
        SetupError: an adapter on a base that is not in the catalogue.
        RunError: a training that is not finished, or a folder of pairs.
    """
    return StartingModel(*resolve(model).base_and_adapter())


class TuningPlan(Frozen):
    """What the labels and the time there is make of the recipe."""

    epochs: float
    batch: int
    frozen_layers: int
    learning_rate: float
    minutes: float
    """It will take about this long, all folds and the final training."""


ASKING = TuningPlan(epochs=1, batch=8, frozen_layers=0, learning_rate=1e-4, minutes=0)
"""Of a recipe by which nothing is trained."""


def plan_tuning(
    labels: TuningLabels,
    *,
    folds: int,
    layers: int,
    seconds: float,
    minutes: float,
    has_adapter: bool,
) -> TuningPlan:
    """Epochs by the number of labels; the lower half frozen, then fewer epochs, to be in time.

    A thousand examples are seen, of 500 labels and more each twice, of fewer than 100 each ten
    times.

    Args:
        seconds: what one forward pass over all questions took.
        minutes: how long everything may take.
        has_adapter: it starts from an adapter, all of which is trained.

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
    if time_of(usual, each) > minutes and not has_adapter:
        each, frozen = _HALF_TRAINED, layers // 2
    if time_of(usual, each) > minutes:
        epochs = (60 * minutes - fixed) / (folds * each * seconds)
    if epochs < 1:
        raise SetupError(
            f"{folds} folds of {len(labels.items)} labels take some {time_of(1, each):.0f} minutes "
            f"on this machine, not {minutes:g}",
            hint="raise --minutes, or lower --folds",
        )
    return TuningPlan(
        epochs=round(epochs, 2),
        batch=8 if n < 500 else 16,
        frozen_layers=frozen,
        learning_rate=2e-4 if has_adapter else 5e-4,
        minutes=round(time_of(epochs, each), 1),
    )


def recipe_of(plan: TuningPlan, start: StartingModel, *, name: str, seed: int) -> Recipe:
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
