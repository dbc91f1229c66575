"""Profiles: documents that are written to a score under each of several criteria.

One YAML file each:

    title: Speaking test at level B2
    field: TRANSCRIPT           name of the document in the record
    about: A transcript of ...  what the document is
    scores: 1-5                 scale of every criterion, as in a plan
    apart: 2                    most that two scores of one document differ, in levels
    parts:                      kinds of document; one is drawn
      - {name: interview, about: ..., words: [120, 260]}
    criteria:                   each with five levels, worst first
      - {name: ..., question: Is the {output} ...?, levels: [...]}
    instructions:               ways to ask; one is drawn for each record
      - "Read all of it first. {question}"
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from random import Random

from pydantic import Field, ValidationError, field_validator

from glider.core.base import Frozen, first_problem
from glider.core.criteria import Criterion
from glider.core.errors import RecipeError
from glider.data import yaml_files
from glider.synth.taxonomy import LEVELS, CriterionOutline


class Part(Frozen):
    """A kind of document within a profile."""

    name: str
    about: str
    words: tuple[int, int]
    """Minimum and maximum requested length."""


class ProfileCriterion(Frozen):
    """A criterion of a profile."""

    name: str
    question: str
    levels: tuple[str, ...] = Field(min_length=LEVELS, max_length=LEVELS)


class Profile(Frozen):
    """A document with a score under each of several criteria."""

    title: str
    field: str = Field(default="DOCUMENT", pattern=r"^[A-Z][A-Z ]{1,40}$")
    about: str
    scores: str = "1-5"
    apart: int = Field(default=2, ge=0)
    parts: tuple[Part, ...] = Field(min_length=1)
    criteria: tuple[ProfileCriterion, ...] = Field(min_length=2)
    instructions: tuple[str, ...] = ("{question}",)

    @field_validator("instructions")
    @classmethod
    def _asks(cls, instructions: tuple[str, ...]) -> tuple[str, ...]:
        if not instructions or any(text.count("{question}") != 1 for text in instructions):
            raise ValueError("each instruction has {question} in one place")
        return instructions

    def asked(self, instruction: str, scores: tuple[int, ...]) -> tuple[Criterion, ...]:
        """Return the criteria on a scale, asked by one of the instructions."""
        return tuple(
            CriterionOutline(
                outline.name,
                self.title,
                instruction.replace("{question}", outline.question),
                outline.levels,
            ).on_scale(scores)
            for outline in self.criteria
        )

    def draw_scores(self, rng: Random, scores: tuple[int, ...]) -> tuple[int, ...]:
        """Draw a score for each criterion, no two more than `apart` levels from each other.

        Which criterion comes first is drawn, so that none is privileged.
        """
        places: dict[int, int] = {}
        for criterion in rng.sample(range(len(self.criteria)), len(self.criteria)):
            drawn = places.values()
            low = max((place - self.apart for place in drawn), default=0)
            high = min((place + self.apart for place in drawn), default=len(scores) - 1)
            places[criterion] = rng.randint(max(0, low), min(len(scores) - 1, high))
        return tuple(scores[places[n]] for n in range(len(self.criteria)))


@cache
def shipped_profiles() -> Mapping[str, Profile]:
    """Return the profiles that come with the package, by name."""
    folder = files("glider.synth.profiles")
    return {
        file.name.removesuffix(".yaml"): _parse(file.read_text("utf-8"), file.name)
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".yaml")
    }


def load_profile(name: str, folder: Path) -> Profile:
    """Load a profile by its name, or from a YAML file.

    Args:
        folder: folder that a relative file name refers to.

    Raises:
        RecipeError: there is no such profile, or the file is invalid.
    """
    if Path(name).suffix not in (".yaml", ".yml"):
        if name not in shipped_profiles():
            raise RecipeError(
                f"no profile called {name!r}; there are {', '.join(shipped_profiles())}",
                hint="or name a YAML file of your own",
            )
        return shipped_profiles()[name]
    path = folder / name
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise RecipeError(f"{path} cannot be read") from exc
    return _parse(text, str(path))


def _parse(text: str, path: str) -> Profile:
    from glider.synth.plan import SCALES

    data = yaml_files.mapping(text, path, RecipeError)
    try:
        profile = Profile.model_validate(data)
    except ValidationError as exc:
        raise RecipeError(f"{path}: {first_problem(exc)}") from exc
    if profile.scores not in SCALES:
        raise RecipeError(f"{path}: scores: {profile.scores!r} is none of {', '.join(SCALES)}")
    return profile
