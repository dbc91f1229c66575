"""Settings for the labels' criterion, the model to tune and the time limit."""

from dataclasses import dataclass
from typing import Annotated

from glider.core.settings import Flag

_LABELS, _HOW = "Labels", "Training"


@dataclass(frozen=True, kw_only=True)
class TuningSettings:
    """The criterion of the labels, the model to tune and the time limit."""

    criterion: Annotated[
        str | None,
        Flag(
            "Criterion (name or file), if the records do not name one.",
            _LABELS,
            ("--criterion", "-c"),
        ),
    ] = None
    preset: Annotated[
        str | None,
        Flag("Column names: record, prometheus, ultrafeedback, helpsteer [guessed].", _LABELS),
    ] = None
    model: Annotated[
        str | None,
        Flag(
            "Model to start from: a catalogue name, or the folder of an adapter, a training run "
            "or a model [glider-nano].",
            _HOW,
            ("--model", "-m"),
        ),
    ] = None
    folds: Annotated[int, Flag("Folds of the cross-validation.", _HOW, min=2, max=20)] = 5
    minutes: Annotated[float, Flag("Approximate training time in total.", _HOW, min=0.1)] = 30.0
    seed: Annotated[int, Flag("Random seed.", _HOW)] = 0
