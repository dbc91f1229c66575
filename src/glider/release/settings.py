"""Settings of an export: the file type, its check, and the contents of its card."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from glider.core.settings import Flag

To = Literal["adapter", "hf", "gguf"]
Quantisation = Literal["q8_0", "q4_0", "f16"]
_OUT, _CHECK, _CARD = "Output", "Check", "Card"


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """The file type, its check, and the contents of its card."""

    to: Annotated[
        str,
        Flag(
            "adapter: PEFT files. hf: merged, for vLLM and transformers. gguf: merged, for "
            "the embedded engine.",
            _OUT,
        ),
    ]
    base: Annotated[
        str | None,
        Flag(
            "Base model: a catalogue name, a .gguf file (gguf) or a Hugging Face folder (hf) "
            "[as recorded by the training run].",
            _OUT,
        ),
    ] = None
    quantise: Annotated[str, Flag("Number format: q8_0, q4_0 or f16.", _OUT)] = "q8_0"
    check: Annotated[
        Path | None,
        Flag("Examples for comparing the quantised file with f16, such as dev.jsonl.gz.", _CHECK),
    ] = None
    check_n: Annotated[int, Flag("Number of examples to compare.", _CHECK, min=2)] = 100
    max_shift: Annotated[
        float,
        Flag(
            "Refuse if expected scores (0 to 1) shift by more than this on average.", _CHECK, min=0
        ),
    ] = 0.05
    max_changed: Annotated[
        float,
        Flag(
            "Refuse if the likeliest level changes in more than this share of prompts.",
            _CHECK,
            min=0,
        ),
    ] = 0.10
    seed: Annotated[int, Flag("Random seed.", _CHECK)] = 0
    data: Annotated[
        Path | None, Flag("Folder of the training examples, for the model card.", _CARD)
    ] = None
    results: Annotated[
        Path | None, Flag("results.json of `glider bench`, for the model card.", _CARD)
    ] = None
