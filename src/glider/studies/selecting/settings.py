"""How a part of the examples is chosen."""

from dataclasses import dataclass
from typing import Annotated

from glider.core.settings import Flag


@dataclass(frozen=True, kw_only=True)
class SelectionSettings:
    """How examples are chosen, and how many."""

    by: Annotated[
        str,
        Flag(
            "ifd: where the prompt helps least, without outliers; d3: difficult, unlike one "
            "another and settled; random: what both must beat."
        ),
    ]
    size: Annotated[int, Flag("Training examples to choose.", min=1)]
    model: Annotated[
        str,
        Flag(
            "Whose losses decide: a catalogue name, folder, .gguf file or hub id.",
            names=("--model", "-m"),
        ),
    ] = "smollm2-135m-instruct"
    seed: Annotated[int, Flag("Of a random draw.")] = 0
