"""Settings for patching and measuring a checkpoint."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from glider.core.settings import Flag

Metric = Literal["pearson", "accuracy", "loss"]
_DATA, _MEASURE = "Data and settings", "Measuring"


@dataclass(frozen=True, kw_only=True)
class PatchSettings:
    """Settings of a tail-patch."""

    only: Annotated[tuple[str, ...], Flag("Only this training set; repeatable [all].", _DATA)] = ()
    steps: Annotated[
        int,
        Flag("Maximum updates on each set, within the recipe's epochs.", _DATA, min=1),
    ] = 100
    """FLAMe used 3,000."""
    changes: Annotated[
        tuple[str, ...],
        Flag(
            "KEY=VALUE changes a setting of the run's recipe: stages.0.learning_rate=1e-4.",
            _DATA,
            ("--set",),
        ),
    ] = ()
    metric: Annotated[str, Flag("What to measure: pearson, accuracy or loss.", _MEASURE)] = (
        "pearson"
    )
    per_set: Annotated[int, Flag("Maximum development examples per set.", _MEASURE, min=2)] = 40
    boost: Annotated[
        tuple[str, ...],
        Flag("Category whose two best sets get the largest weight; repeatable.", _MEASURE),
    ] = ()
    seed: Annotated[int, Flag("Random seed.", _MEASURE)] = 0

    def recorded(self) -> dict[str, Any]:
        """Return the settings that determine the scores, for the manifest."""
        return {"steps": self.steps, "per_set": self.per_set, "seed": self.seed}
