"""Settings for choosing training examples."""

from dataclasses import dataclass
from typing import Annotated

from glider.core.settings import Flag


@dataclass(frozen=True, kw_only=True)
class SelectionSettings:
    """How to choose examples, and how many."""

    by: Annotated[
        str,
        Flag(
            "ifd: examples whose prompt helps least, without outliers; d3: difficult, diverse "
            "and reliable ones; random: the baseline."
        ),
    ]
    size: Annotated[int, Flag("Number of training examples to choose.", min=1)]
    model: Annotated[
        str,
        Flag(
            "Model whose losses decide: a catalogue name, folder, .gguf file or hub id.",
            names=("--model", "-m"),
        ),
    ] = "smollm2-135m-instruct"
    seed: Annotated[int, Flag("Random seed.")] = 0
