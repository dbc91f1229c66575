"""Families of cases made by hand: what a judge must not miss, and what only looks like it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from glider.core.criteria import Criterion
from glider.synth.taxonomy import read_yaml


@dataclass(frozen=True, slots=True)
class Family:
    """One question with two levels, and ways in which a text gets either."""

    name: str
    title: str
    fields: tuple[str, ...]
    """Roles of the record's fields, in display order; the output is judged."""
    criterion: Criterion
    low: tuple[str, ...]
    """Ways to deserve 0; they name fields in braces."""
    high: tuple[str, ...]
    """Ways to deserve 1, which resemble the former."""


@cache
def families() -> Mapping[str, Family]:
    """Return the families that come with the package, by name."""
    return {
        name: Family(
            name=name,
            title=content["title"],
            fields=tuple(content["fields"]),
            criterion=Criterion(**content["criterion"]),
            low=tuple(content["low"]),
            high=tuple(content["high"]),
        )
        for name, content in read_yaml("families.yaml").items()
    }
