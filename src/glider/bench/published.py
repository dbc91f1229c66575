"""Figures that others published, beside ours: `published.yaml` has each with its source.

A published figure stands in one column with ours only where both are of one kind. Others are shown
with what they measure. None has an interval: their papers give none.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import TypeAdapter

from glider.core.base import Frozen


class Published(Frozen):
    """The figures of one set in one source, in hundredths."""

    set: str
    metric: str = ""
    """Name of the metric of ours that is of the same kind; empty where there is none."""
    source: str
    seen: Literal["full", "note"]
    """`full`: read in the source; `note`: in a summary or another paper's table."""
    why: str = ""
    """What it measures, where no metric of ours is of the same kind."""
    figures: Mapping[str, float]


@cache
def published() -> tuple[Published, ...]:
    """All there are."""
    text = files("glider").joinpath("bench", "published.yaml").read_text("utf-8")
    return TypeAdapter(tuple[Published, ...]).validate_python(yaml.safe_load(text))
