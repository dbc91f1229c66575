"""Settings for the teacher model and the number of examples."""

from dataclasses import dataclass, field, fields
from typing import Annotated

from glider.core.settings import Flag
from glider.judging.settings import ModelSettings

_ASK = "How to ask"


@dataclass(frozen=True, kw_only=True)
class TeacherSettings(ModelSettings):
    """The model that writes the reasons."""

    model: Annotated[
        str,
        Flag(
            "A model, as in `glider judge`, or the folder of a training run.",
            names=("--model", "-m"),
        ),
    ] = field()


@dataclass(frozen=True, kw_only=True)
class DataTeacherSettings(ModelSettings):
    """The teacher of `glider data`, which may have none."""

    model: Annotated[
        str,
        Flag(
            "Model that writes the reasons people left out (`rationales: teacher`).",
            names=("--teacher",),
        ),
    ] = ""

    def teacher(self) -> TeacherSettings | None:
        """The same settings with a model; None if none is named."""
        if not self.model:
            return None
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        return TeacherSettings(**given)


@dataclass(frozen=True, kw_only=True)
class TeachingSettings:
    """How reasons are requested."""

    limit: Annotated[
        int | None, Flag("Number of examples to explain, drawn at random [all].", _ASK, min=1)
    ] = None
    temperature: Annotated[float, Flag("Sampling temperature of the reasons.", _ASK, min=0.0)] = 0.0
    seed: Annotated[int, Flag("Random seed.", _ASK)] = 0
