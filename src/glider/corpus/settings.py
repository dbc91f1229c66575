"""Settings for making examples from labels."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from glider.core.base import first_problem
from glider.core.errors import SetupError
from glider.core.settings import Flag

if TYPE_CHECKING:
    from glider.corpus.mixture import Mixture

_FROM, _MADE = "Data", "What is made"


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Settings of `glider data`; None means the recipe's value, else the default."""

    recipe: Path | None = None
    """A YAML file with a `Mixture`; the settings given here override it."""
    rationales: str | None = None
    """`people` or `teacher`, as in `Mixture`."""
    data: Annotated[
        Path | None, Flag("Folder with the sets' data [$GLIDER_DATA].", _FROM, ("--data",))
    ] = None
    sets: Annotated[
        tuple[str, ...],
        Flag(
            "A set, a file of your own labels, or a reviewed run; repeatable [every set that "
            "allows training].",
            _FROM,
            ("--set",),
        ),
    ] = ()
    preset: Annotated[
        str | None,
        Flag(
            "Column names of your own files: record, prometheus, ultrafeedback, helpsteer "
            "[guessed from the columns].",
            _FROM,
        ),
    ] = None
    criterion: Annotated[
        str | None,
        Flag(
            "Criterion of your own labels, if the records do not name one.",
            _FROM,
            ("--criterion", "-c"),
        ),
    ] = None
    allow: Annotated[
        tuple[str, ...],
        Flag("Use a set that is excluded from training by default, at your own risk.", _FROM),
    ] = ()
    format: Annotated[
        str | None,
        Flag("Prompt format: nano, glider, prometheus, flow-judge, chat-json [nano].", _MADE),
    ] = None
    order: Annotated[str | None, Flag("score-first or reason-first (nano only).", _MADE)] = None
    highlights: Annotated[
        bool | None, Flag("Write quotes in the answers; off: the same answers without.", _MADE)
    ] = None
    size: Annotated[int | None, Flag("Training items in total.", _MADE, min=1)] = None
    max_prompt_tokens: Annotated[int | None, Flag("Longest prompt, in tokens.", _MADE, min=64)] = (
        None
    )
    tokenizer: Annotated[
        Path | None,
        Flag(
            "tokenizer.json, its folder or a model, to count tokens with [estimated from the "
            "text's length].",
            _MADE,
        ),
    ] = None
    dev: Annotated[
        float | None, Flag("Share of prompts for development [0.1].", _MADE, min=0.0, max=0.9)
    ] = None
    seed: Annotated[int | None, Flag("Random seed [0].", _MADE)] = None

    def mixture(self) -> "Mixture":
        """Return the recipe overridden by these settings; own files are still named by path.

        Raises:
            DataError: the recipe is missing or not YAML.
            SetupError: a setting is unknown or has the wrong type.
        """
        from pydantic import ValidationError

        from glider.corpus.mixture import Mixture
        from glider.data.yaml_files import mapping, read_text

        recipe = self.recipe
        written = mapping(read_text(recipe), str(recipe)) if recipe else {}
        keys = (
            "format", "order", "highlights", "rationales", "size", "max_prompt_tokens", "dev",
            "seed",
        )  # fmt: skip
        given = {key: getattr(self, key) for key in keys if getattr(self, key) is not None}
        try:
            return Mixture.model_validate({**written, **given})
        except ValidationError as exc:
            raise SetupError(f"{recipe or 'flags'}: {first_problem(exc)}") from exc

    def folder(self) -> Path | None:
        """Return the folder of the sets' data: the one given, else $GLIDER_DATA."""
        found = os.environ.get("GLIDER_DATA")
        return self.data or (Path(found) if found is not None else None)
