"""Figures published by others, next to ours: `published.yaml` has each with its source.

A published figure shares a column with ours only if both are of the same kind. Others are shown
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
    """Our metric of the same kind; empty if there is none."""
    source: str
    seen: Literal["full", "note"]
    """`full`: read in the source; `note`: taken from a summary or another paper's table."""
    why: str = ""
    """What it measures, if no metric of ours is of the same kind."""
    figures: Mapping[str, float]


@cache
def published() -> tuple[Published, ...]:
    """Return all published figures."""
    text = files("glider").joinpath("bench", "published.yaml").read_text("utf-8")
    return TypeAdapter(tuple[Published, ...]).validate_python(yaml.safe_load(text))
