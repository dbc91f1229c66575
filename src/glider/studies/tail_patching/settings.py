"""What is done to the checkpoint of a tail-patch, and how it is measured."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from glider.core.settings import Flag

Metric = Literal["pearson", "accuracy", "loss"]
_DATA, _MEASURE = "Data and settings", "Measuring"


@dataclass(frozen=True, kw_only=True)
class PatchSettings:
    """Settings of a tail-patch."""

    only: Annotated[tuple[str, ...], Flag("A training set; may be given again [all].", _DATA)] = ()
    steps: Annotated[
        int,
        Flag("Updates on each set at most, and no more than the recipe's epochs.", _DATA, min=1),
    ] = 100
    """FLAMe: 3,000."""
    changes: Annotated[
        tuple[str, ...],
        Flag(
            "KEY=VALUE: change a setting of the run's recipe: stages.0.learning_rate=1e-4.",
            _DATA,
            ("--set",),
        ),
    ] = ()
    metric: Annotated[str, Flag("pearson, accuracy or loss of the score.", _MEASURE)] = "pearson"
    per_set: Annotated[int, Flag("Development examples of each set at most.", _MEASURE, min=2)] = 40
    boost: Annotated[
        tuple[str, ...],
        Flag(
            "A category whose two best sets get the largest weight; may be given again.", _MEASURE
        ),
    ] = ()
    seed: Annotated[int, Flag("Of every draw.", _MEASURE)] = 0

    def recorded(self) -> dict[str, Any]:
        """What decides the scores, for the manifest; what is made of them may change."""
        return {"steps": self.steps, "per_set": self.per_set, "seed": self.seed}
