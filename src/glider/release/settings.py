"""What is exported, how it is checked, and what its card says."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from glider.core.settings import Flag

To = Literal["adapter", "hf", "gguf"]
Quantisation = Literal["q8_0", "q4_0", "f16"]
_OUT, _CHECK, _CARD = "Output", "Check", "Card"


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """What is written, how it is checked, and what its card says."""

    to: Annotated[
        str,
        Flag(
            "adapter: PEFT's two files. hf: merged, for vLLM and transformers. gguf: merged, for "
            "the embedded engine.",
            _OUT,
        ),
    ]
    base: Annotated[
        str | None,
        Flag(
            "What it was trained on: a catalogue name, a .gguf file (gguf) or a Hugging Face "
            "folder (hf) [what the training says].",
            _OUT,
        ),
    ] = None
    quantise: Annotated[str, Flag("q8_0, q4_0 or f16.", _OUT)] = "q8_0"
    check: Annotated[
        Path | None,
        Flag("Examples to compare the quantised file with f16 on, such as dev.jsonl.gz.", _CHECK),
    ] = None
    check_n: Annotated[int, Flag("Compare on this many.", _CHECK, min=2)] = 100
    max_shift: Annotated[
        float,
        Flag("Refuse if expected scores, in 0..1, move more than this on average.", _CHECK, min=0),
    ] = 0.05
    max_changed: Annotated[
        float,
        Flag("Refuse if the likeliest level is another one in a larger share.", _CHECK, min=0),
    ] = 0.10
    seed: Annotated[int, Flag("Of the draw.", _CHECK)] = 0
    data: Annotated[
        Path | None, Flag("Folder of the examples it was trained on, for the card.", _CARD)
    ] = None
    results: Annotated[
        Path | None, Flag("results.json of `glider bench`, for the card.", _CARD)
    ] = None
