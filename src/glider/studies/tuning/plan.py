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
"""Cost of training on a token in forward passes: through all layers, and through the upper half."""
_STARTED_S = 15.0
"""Seconds to load a model and save the trained weights."""


@dataclass(frozen=True, slots=True)
class StartingModel:
    """The model to tune."""

    base: str
    """Base model, as named in a recipe."""
    adapter: Path | None
    """Adapter that the model already has, if any."""


def starting_point(model: str) -> StartingModel:
    """Find where training starts for a model, by any name that `glider.models.resolve` knows.

    Raises:
        UnknownName: there is no such model.
        SetupError: the adapter's base is not in the catalogue.
        RunError: the training is not finished, or the folder holds preference pairs.
    """
    return StartingModel(*resolve(model).base_and_adapter())


class TuningPlan(Frozen):
    """Recipe settings chosen from the labels and the available time."""

    epochs: float
    batch: int
    frozen_layers: int
    learning_rate: float
    minutes: float
    """Estimated minutes for all folds and the final training."""


ASKING = TuningPlan(epochs=1, batch=8, frozen_layers=0, learning_rate=1e-4, minutes=0)
"""Plan of a recipe used only for prediction."""


def plan_tuning(
    labels: TuningLabels,
    *,
    folds: int,
    layers: int,
    seconds: float,
    minutes: float,
    has_adapter: bool,
) -> TuningPlan:
    """Choose epochs by the number of labels; to meet the time limit, freeze the lower half of the
    layers first, then reduce epochs.

    The target is a thousand examples seen: two epochs from 500 labels on, ten below 100 labels.

    Args:
        seconds: duration of one forward pass over all prompts.
        minutes: time limit for everything.
        has_adapter: training starts from an adapter, all of which is trained.

    Raises:
        SetupError: a single epoch exceeds the time limit.
    """
    n = labels.n_examples
    usual = min(max(_EXAMPLES_SEEN / n, _USUAL_EPOCHS), _MOST_EPOCHS)
    fixed = seconds + (folds + 1) * _STARTED_S

    def time_of(epochs: float, each: float) -> float:
        # Each fold trains on all parts but one, which adds up to `folds` - 1 epochs; the final
        # training makes it `folds`.
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
    """Return the recipe of every fold and the final training; held-out data decides nothing in
    it.
    """
    return parse_recipe(
        {
            "name": name,
            "base": start.base,
            "start": None if start.adapter is None else str(start.adapter),
            "seed": seed,
            "max_tokens": MAX_TOKENS,
            # Further training keeps the adapter's own `lora`.
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
