"""The kinds of training stage: one file each, registered by one line each in `STAGES`.

Code outside this folder never checks a stage's kind. Other packages add kinds through the entry
point group `glider.stages`.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from glider.core.errors import UnknownName
from glider.core.plugins import Registry
from glider.training.stages.base import Stage

STAGES: Registry[type[Stage]] = Registry(
    kind="kind of stage",
    group="glider.stages",
    builtin={
        "preference": "glider.training.stages.preference:PreferenceStage",
        "sft": "glider.training.stages.sft:SftStage",
    },
)


def stage_from(data: Any) -> Any:
    """Build a stage from a recipe's plain data by its `kind`; return a stage unchanged.

    Raises:
        ValueError: there is no such kind; pydantic's ValidationError if a setting is wrong.
    """
    if isinstance(data, Stage):
        return data
    kind = data.get("kind") if isinstance(data, dict) else None
    if not isinstance(kind, str):
        raise ValueError(f"a stage needs a kind: {' or '.join(STAGES.names())}")
    try:
        return STAGES.get(kind).model_validate(data)
    except UnknownName as exc:
        raise ValueError(str(exc)) from exc


AnyStage = Annotated[SerializeAsAny[Stage], BeforeValidator(stage_from)]
"""Type of a recipe field that holds a stage of any kind."""
