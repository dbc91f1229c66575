"""Settings for sampling and pairing a judge's own answers."""

from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from glider.core.errors import SetupError
from glider.core.settings import Flag
from glider.judging.settings import ModelSettings

Choice = Literal["correct", "majority"]
_ASK, _PAIR = "How to ask", "Pairs"


@dataclass(frozen=True, kw_only=True)
class AnswererSettings(ModelSettings):
    """The model whose answers are paired."""

    model: Annotated[
        str,
        Flag(
            "A model, as in `glider judge`, or the folder of a training run.",
            names=("--model", "-m"),
        ),
    ] = field()


@dataclass(frozen=True, kw_only=True)
class RationalizationSettings:
    """How answers are sampled, and which of them form pairs."""

    samples: Annotated[int, Flag("Answers per prompt.", _ASK, min=2)] = 8
    """The paper does not state its number of samples."""
    temperature: Annotated[
        float,
        Flag("Sampling temperature; 1 is the model's own distribution.", _ASK, min=0.01),
    ] = 1.0
    limit: Annotated[
        int | None,
        Flag(
            "Number of training prompts, drawn at random; development prompts in proportion [all].",
            _ASK,
            min=1,
        ),
    ] = None
    order: Annotated[str | None, Flag("score-first or reason-first.", _ASK)] = None
    seed: Annotated[int, Flag("Random seed.", _ASK)] = 0
    max_tokens: Annotated[int | None, Flag("Longest answer, in tokens.", _ASK, min=1)] = None
    choose: Annotated[
        str,
        Flag(
            "Which answers are right: correct (the human score) or majority (the most common).",
            _PAIR,
        ),
    ] = "correct"
    margin: Annotated[
        float,
        Flag(
            "Minimum error of a wrong score, in levels of a 1 to 5 scale; 2 is half of any scale.",
            _PAIR,
            min=0.0,
            max=4.0,
        ),
    ] = 2.0
    """In the paper, a margin of at least 2 beat a margin of at least 1."""
    pairs: Annotated[int, Flag("Maximum pairs per prompt.", _PAIR, min=1)] = 1

    def check(self) -> None:
        """Validate the settings.

        Raises:
            SetupError: a setting has an unknown value.
        """
        if self.choose not in get_args(Choice):
            raise SetupError(
                f"--choose is one of {', '.join(get_args(Choice))}; got {self.choose!r}"
            )
