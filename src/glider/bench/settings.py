"""Settings of a bench, apart from the judge."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from glider.core.settings import Flag

_DATA, _FIGURES = "Data", "Figures"


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """Which items are judged, and how figures are computed."""

    data: Annotated[Path | None, Flag("Folder with the sets' data [$GLIDER_DATA].", _DATA)] = None
    cluster: Annotated[
        str | None,
        Flag(
            "Your own labels: column shared by records that are not independent [same input "
            "and context]; `none`: all are independent.",
            _DATA,
        ),
    ] = None
    limit: Annotated[int | None, Flag("Maximum items per set.", _DATA, min=1)] = None
    held_out: Annotated[
        Path | None,
        Flag(
            "Folder made by `glider data` for this judge: sets it was trained on are measured "
            "only on their held-out items.",
            _DATA,
        ),
    ] = None
    system: Annotated[str | None, Flag("Name of the judge in tables.", "Judge")] = None
    deletion: Annotated[
        bool,
        Flag(
            "Judge each text again without its highlights, and without as many other words: does "
            "the score move more? Takes three times as long.",
            "How to ask",
            ("--deletion",),
        ),
    ] = False
    reader: Annotated[
        str | None,
        Flag(
            "A second model that reads each reason without the text and the score: does the "
            "reason support the score?",
            "How to ask",
        ),
    ] = None
    baselines: Annotated[
        bool,
        Flag("Measure simple baselines too.", _FIGURES, ("--baselines/--no-baselines",)),
    ] = True
    resamples: Annotated[int, Flag("Resamples for intervals and tests.", _FIGURES, min=99)] = 999
