"""The kinds of training stage: one file each, one line each in `STAGES`.

Nothing outside this folder asks which kind a stage is. Another package adds a kind by the entry
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
    """A stage from a recipe's plain data, by its `kind`; a stage as it is.

    Raises:
        ValueError: there is no such kind; pydantic's, where a setting is wrong.
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
"""A stage of any kind, as a recipe's field."""
