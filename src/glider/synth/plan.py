"""The plan of a synthesis: YAML in which every key has a default."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import combinations
from typing import Literal, get_args

from pydantic import Field, ValidationError, field_validator, model_validator

from glider.core.base import Frozen, first_problem
from glider.core.errors import RecipeError
from glider.data import yaml_files
from glider.synth.families import families
from glider.synth.taxonomy import scenarios

Kind = Literal["single", "pair", "several", "minimal", "profile", "crafted", "adapted", "edited"]
Role = Literal["input", "output", "context", "reference"]
ROLES: tuple[Role, ...] = get_args(Role)
COMBINATIONS: tuple[tuple[Role, ...], ...] = tuple(
    roles for n in range(1, 5) for roles in combinations(ROLES, n)
)
"""The fifteen ways to combine one to four of the fields."""
Writing = Literal["together", "stepwise"]
SCALES: Mapping[str, tuple[int, ...]] = {
    "0-1": (0, 1),
    "1-3": (1, 2, 3),
    "1-5": (1, 2, 3, 4, 5),
    "0-10": tuple(range(11)),
    "1-10": tuple(range(1, 11)),
    "-2-2": (-2, -1, 0, 1, 2),
    "0-100": (0, 25, 50, 75, 100),
}
"""Scores of each scale by name, ascending."""
Weights = Mapping[str, float]


class Plan(Frozen):
    """Which records to draw. Every key has a default; an unknown key is an error."""

    seed: int = 0
    kinds: Weights = Field(
        default_factory=lambda: {"single": 6, "pair": 2, "several": 1, "minimal": 1}
    )
    """`single`: one text; `pair`: two answers; `several`: two or three criteria with one score;
    `minimal`: a text and its twin with one span changed so that the score flips; `profile`: a
    document with a score under each of several criteria; `crafted`: a case made by hand of what a
    judge must not miss; `adapted`: a labelled text of yours moved to another subject; `edited`: a
    labelled text of yours as it is, and its twin with one span changed so that the score flips."""
    scales: Weights = Field(default_factory=lambda: {"0-1": 1, "1-3": 1, "1-5": 3})
    """Weight of each scale, by name."""
    targets: Weights = Field(default_factory=dict)
    """Weight of each position on the scale, `low`, `middle` or `high`; uniform if empty."""
    domain_groups: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    criterion_groups: tuple[str, ...] = ()
    criteria: tuple[str, ...] = ()
    """Groups and names of the taxonomy; the whole taxonomy if empty."""
    scenarios: Weights = Field(default_factory=dict)
    """Weight of each assistant use case (Themis); if empty, the teacher is given none."""
    fields: Weights = Field(default_factory=dict)
    """Weight of each combination of fields, such as `input+output`, among those that have what the
    criterion speaks of; uniform if empty or if none of them has."""
    own_domains: tuple[str, ...] = ()
    """Your own subjects, drawn as an additional group."""
    own_criteria: tuple[str, ...] = ()
    """YAML files with your own criteria, or names of `glider criteria`; an additional group."""
    only_own: bool = False
    """Where you supply domains or criteria, draw only those."""
    profiles: tuple[str, ...] = ()
    """Names of profiles that come with the package, or YAML files; all of the former if empty."""
    families: Weights = Field(default_factory=dict)
    """Weight of each family of crafted cases; uniform if empty."""
    real: str | None = None
    """A file of labelled records, as `glider data` takes them, for `adapted` and `edited`."""
    flip: float = Field(default=0.5, ge=0, le=1)
    """Share of adapted records whose text is changed to deserve another score."""
    code: float = Field(default=0.1, ge=0, le=1)
    """Share of records about source code."""
    words: tuple[int, int] = (40, 250)
    """Minimum and maximum requested length of the judged text, in words."""
    languages: Weights = Field(default_factory=lambda: {"English": 1})
    passages: str | None = None
    """A JSONL file; its `text` values become the context of records that have one."""
    margin: float = Field(default=0.5, gt=0, le=1)
    """Minimum distance of a wrong judgment's score, as a share of the scale."""
    writing: Writing = "together"
    """`together`: all texts of a record in one call. `stepwise`: facts, each text, then a rewriting
    to the drawn level, with worked examples; for small teachers."""
    candidates: int = Field(default=1, ge=1, le=20)
    """Most times that a record's texts are written: anew if they fail a check that is free."""
    temperature: float = Field(default=0.9, ge=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    rewrite: bool = False
    """Give a text that is off by one the blind reading's score, and mark it;
    otherwise `keep_off_by_one` decides."""
    keep_off_by_one: bool = True
    """Keep records whose blind score is one level from the target."""
    duplicates: float = Field(default=0.7, gt=0, le=1)
    """Jaccard index of five-word shingles from which a text counts as a near duplicate."""
    similar: float | None = Field(default=None, gt=0, le=1)
    """Cosine of word vectors from which it is one, too (`embedding` extra); None compares none."""

    @field_validator("kinds", "scales", "targets", "languages", "scenarios", "families", "fields")
    @classmethod
    def _positive(cls, weights: Weights) -> Weights:
        if any(weight < 0 for weight in weights.values()) or (
            weights and not any(weights.values())
        ):
            raise ValueError("weights are 0 or more, one of them above 0")
        return weights

    @model_validator(mode="after")
    def _known(self) -> "Plan":
        for key, given, known in [
            ("kinds", self.kinds, get_args(Kind)),
            ("scales", self.scales, tuple(SCALES)),
            ("targets", self.targets, ("low", "middle", "high")),
            ("scenarios", self.scenarios, tuple(scenarios())),
            ("families", self.families, tuple(families())),
            ("fields", self.fields, tuple("+".join(roles) for roles in COMBINATIONS)),
        ]:
            for name in given:
                if name not in known:
                    near = get_close_matches(name, known, n=1)
                    meant = f"; did you mean {near[0]!r}?" if near else ""
                    raise ValueError(f"{key}: {name!r} is none of {', '.join(known)}{meant}")
        for kind in ("adapted", "edited"):
            if self.kinds.get(kind) and self.real is None:
                raise ValueError(f"kinds: {kind} needs `real`, a file of labelled records")
        places = [place for place, weight in self.targets.items() if weight]
        scales = [SCALES[name] for name, weight in self.scales.items() if weight]
        if (
            places
            and not self.own_criteria
            and not any(levels_at(place, scores) for place in places for scores in scales)
        ):
            raise ValueError(f"targets: no scale of the plan has a level that is {places[0]!r}")
        low, high = self.words
        if not 1 <= low <= high:
            raise ValueError("words: the least length comes first, both above 0")
        return self


def levels_at(place: str, scores: Sequence[int]) -> list[int]:
    """Return the levels of a scale that are `low`, `middle` or `high`; of two, none is middle."""
    third = len(scores) / 3
    bounds = {"low": (0, third), "middle": (third, 2 * third), "high": (2 * third, len(scores))}
    low, high = bounds[place]
    return [score for at, score in enumerate(scores) if low <= at + 0.5 <= high]


def at_line(text: str, path: str, said: str) -> str:
    """Return the place that a complaint is about: the path, with the line if it can be told.

    Args:
        said: the complaint; it quotes the wrong name, or begins with the key.
    """
    quoted = re.search(r"'([^']+)'", said)
    name = quoted[1] if quoted else said.partition(":")[0]
    wanted = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
    lines = (line.partition("#")[0] for line in text.splitlines())
    number = next((n for n, line in enumerate(lines, 1) if wanted.search(line)), None)
    return path if number is None else f"{path}:{number}"


def parse_plan(text: str, path: str) -> Plan:
    """Parse a plan from YAML.

    Raises:
        RecipeError: invalid YAML, an unknown key (with near matches), or a value out of range.
    """
    data = yaml_files.mapping(text, path, RecipeError)
    for key in data:
        if key not in Plan.model_fields:
            near = get_close_matches(str(key), list(Plan.model_fields), n=1)
            line = next(
                (n for n, line in enumerate(text.splitlines(), 1) if line.startswith(f"{key}:")), 0
            )
            raise RecipeError(
                f"{path}:{line}: a plan has no key {key!r}"
                + (f"; did you mean {near[0]!r}?" if near else ""),
                hint="`glider synth --init` writes a plan with every key",
            )
    try:
        return Plan.model_validate(data)
    except ValidationError as exc:
        said = str(first_problem(exc))
        raise RecipeError(f"{at_line(text, path, said)}: {said}") from exc
