"""Who writes the reasons, and for how many examples."""

from dataclasses import dataclass, field
from typing import Annotated

from glider.core.settings import Flag
from glider.judging.settings import ModelSettings

_ASK = "How to ask"


@dataclass(frozen=True, kw_only=True)
class TeacherSettings(ModelSettings):
    """The model that writes the reasons."""

    model: Annotated[
        str,
        Flag("Run folder of a training, or a model as in `glider judge`.", names=("--model", "-m")),
    ] = field()


@dataclass(frozen=True, kw_only=True)
class TeachingSettings:
    """How reasons are asked for."""

    limit: Annotated[
        int | None, Flag("Examples that are to get a reason, drawn [all].", _ASK, min=1)
    ] = None
    temperature: Annotated[float, Flag("How freely reasons are drawn.", _ASK, min=0.0)] = 0.0
    seed: Annotated[int, Flag("Of every draw.", _ASK)] = 0
