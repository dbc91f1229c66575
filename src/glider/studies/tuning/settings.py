"""What labels are of, which model is tuned on them, and for how long."""

from dataclasses import dataclass
from typing import Annotated

from glider.core.settings import Flag

_LABELS, _HOW = "Labels", "Training"


@dataclass(frozen=True, kw_only=True)
class TuningSettings:
    """What the labels are of, which model is tuned, and for how long."""

    criterion: Annotated[
        str | None,
        Flag(
            "What was asked, if the records do not say: a name or a file.",
            _LABELS,
            ("--criterion", "-c"),
        ),
    ] = None
    preset: Annotated[
        str | None,
        Flag("record, prometheus, ultrafeedback, helpsteer [guessed from the columns].", _LABELS),
    ] = None
    model: Annotated[
        str | None,
        Flag(
            "Catalogue name, adapter's folder, finished training, or a model's folder [the model "
            "that comes with Glider].",
            _HOW,
            ("--model", "-m"),
        ),
    ] = None
    folds: Annotated[int, Flag("Parts the prompts are cut into.", _HOW, min=2, max=20)] = 5
    minutes: Annotated[float, Flag("Train for about so long in all.", _HOW, min=0.1)] = 30.0
    seed: Annotated[int, Flag("Of folds, trainings and resamples.", _HOW)] = 0
