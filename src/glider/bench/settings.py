"""What a person can say about a bench beside who judges."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from glider.core.settings import Flag

_DATA, _FIGURES = "Data", "Figures"


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """Which items are judged, and how the figures of them are made."""

    data: Annotated[Path | None, Flag("Folder of the sets' data [$GLIDER_DATA].", _DATA)] = None
    cluster: Annotated[
        str | None,
        Flag(
            "Of your own labels: column shared by records that are not independent [same input "
            "and context]; none: all are independent.",
            _DATA,
        ),
    ] = None
    limit: Annotated[int | None, Flag("At most this many items of each set.", _DATA, min=1)] = None
    held_out: Annotated[
        Path | None,
        Flag(
            "Folder that `glider data` wrote for this judge: of the sets it was trained on, only "
            "what was held out is measured.",
            _DATA,
        ),
    ] = None
    system: Annotated[str | None, Flag("What the judge is called in tables.", "Judge")] = None
    deletion: Annotated[
        bool,
        Flag(
            "Judge each text again without what was highlighted: does the score move more than "
            "without as many other words? Three times the work.",
            "How to ask",
            ("--deletion",),
        ),
    ] = False
    reader: Annotated[
        str | None,
        Flag(
            "A second model that reads each reason, without the text and the score: does it speak "
            "for its score?",
            "How to ask",
        ),
    ] = None
    baselines: Annotated[
        bool,
        Flag("Simple rules beside the judge.", _FIGURES, ("--baselines/--no-baselines",)),
    ] = True
    resamples: Annotated[int, Flag("Resamples for intervals and tests.", _FIGURES, min=99)] = 999
