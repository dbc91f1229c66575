"""The taxonomy of synthetic data: domains to write about and criteria to ask, in groups.

Both come from two files in this folder, written for this project. A group is drawn before an entry,
so that a large group weighs no more than a small one. This module draws nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from glider.core.criteria import Criterion, Rubric
from glider.core.errors import RecipeError

LEVELS = 5
"""Levels that a criterion of the taxonomy describes, worst first."""


@dataclass(frozen=True, slots=True)
class Domain:
    """A subject to write about."""

    name: str
    group: str
    code: bool = False
    """Whether its natural material is source code."""


@dataclass(frozen=True, slots=True)
class CriterionOutline:
    """A question with five levels, not yet on a scale; or a criterion with a fixed scale."""

    name: str
    group: str
    question: str
    levels: tuple[str, ...] = ()
    own: Criterion | None = None
    """A user's criterion, which keeps its scale."""

    def on_scale(self, scores: tuple[int, ...]) -> Criterion:
        """Put the criterion on a scale of 2 to 11 levels.

        A shorter scale keeps the end levels and spaces the rest evenly; a longer one repeats each
        of the five descriptions over neighbouring levels and numbers them.
        """
        if self.own is not None:
            return self.own
        last = len(scores) - 1
        described: dict[int, str] = {}
        nearest = [round(place * (LEVELS - 1) / last) for place in range(last + 1)]
        for place, score in enumerate(scores):
            same = [p for p, level in enumerate(nearest) if level == nearest[place]]
            text = self.levels[nearest[place]]
            if len(same) > 1:
                text = f"{text.rstrip('.')} ({same.index(place) + 1} of {len(same)}, rising)."
            described[score] = text
        return Criterion(
            name=self.name.replace(" ", "-"),
            title=self.name[0].upper() + self.name[1:],
            group=self.group,
            question=self.question,
            rubric=Rubric(levels=described),
        )


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """Domains and criteria by group."""

    domains: Mapping[str, tuple[Domain, ...]]
    criteria: Mapping[str, tuple[CriterionOutline, ...]]

    def part(
        self,
        *,
        domain_groups: tuple[str, ...] = (),
        domains: tuple[str, ...] = (),
        criterion_groups: tuple[str, ...] = (),
        criteria: tuple[str, ...] = (),
    ) -> "Taxonomy":
        """Return the part selected by groups or entries; everything if none is named.

        Raises:
            RecipeError: a name is unknown (with near matches), or the selection is empty.
        """
        return Taxonomy(
            _part("domain", self.domains, domain_groups, domains),
            _part("criterion", self.criteria, criterion_groups, criteria),
        )


def _part(
    kind: str,
    groups: Mapping[str, tuple[Any, ...]],
    wanted: tuple[str, ...],
    names: tuple[str, ...],
) -> dict[str, tuple[Any, ...]]:
    known = [entry.name for entries in groups.values() for entry in entries]
    for name, all_names, what in [
        *((name, list(groups), f"{kind} group") for name in wanted),
        *((name, known, kind) for name in names),
    ]:
        if name not in all_names:
            near = get_close_matches(name, all_names, n=3)
            raise RecipeError(
                f"no {what} called {name!r}"
                + (f"; did you mean {', '.join(near)}?" if near else ""),
                hint="`glider synth taxonomy` lists them",
            )
    if not wanted and not names:
        return dict(groups)
    part = {
        group: tuple(e for e in entries if group in wanted or e.name in names)
        for group, entries in groups.items()
    }
    return {group: entries for group, entries in part.items() if entries}


@cache
def shipped() -> Taxonomy:
    """Return the taxonomy that comes with the package."""
    domains = {
        group: tuple(
            Domain(entry, group) if isinstance(entry, str) else Domain(group=group, **entry)
            for entry in content["domains"]
        )
        for group, content in read_yaml("domains.yaml").items()
    }
    criteria = {
        group: tuple(
            CriterionOutline(entry["name"], group, entry["question"], tuple(entry["levels"]))
            for entry in content["criteria"]
        )
        for group, content in read_yaml("criteria.yaml").items()
    }
    return Taxonomy(domains, criteria)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A use case of an assistant."""

    name: str
    title: str
    description: str
    demands: tuple[str, ...]
    """Additional demands an instruction may make."""
    tasks: tuple[str, ...] = ()
    """Tasks a test writer may set, if the scenario supports this."""
    context: bool = False
    """Whether it needs source material."""
    code: bool = False


@cache
def scenarios() -> dict[str, Scenario]:
    """Return the scenarios that come with the package, by name."""
    found: dict[str, Scenario] = {}
    for name, content in read_yaml("scenarios.yaml").items():
        given: dict[str, Any]
        given = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
        found[name] = Scenario(name, **given)
    return found


def titles() -> dict[str, str]:
    """Return the title of every group of domains and criteria."""
    both = (read_yaml("domains.yaml"), read_yaml("criteria.yaml"))
    return {group: content["title"] for groups in both for group, content in groups.items()}


@cache
def read_yaml(name: str) -> Any:
    """Return a data file of this folder; the result is shared, so it must not be changed."""
    text = files("glider.synth").joinpath(name).read_text("utf-8")
    # The C loader, if available, reads these files ten times as fast.
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
