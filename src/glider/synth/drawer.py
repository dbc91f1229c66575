"""The draw of each record: everything about it is decided before a word is written.

The label is drawn before the text. Record `n` depends only on the plan's seed and `n`, so a plan
can be shortened, resumed or split over machines without changing.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from glider.core.base import content_hash
from glider.core.criteria import Criterion, Rubric, merged
from glider.core.errors import RecipeError
from glider.synth.draw import BRACED, TAGS, Aspect, Draw, Fault, Quiz
from glider.synth.families import families
from glider.synth.plan import (
    COMBINATIONS,
    ROLES,
    SCALES,
    Kind,
    Plan,
    Role,
    Weights,
    levels_at,
)
from glider.synth.profiles import load_profile, shipped_profiles
from glider.synth.sources import OWN, passages, real_texts, with_own
from glider.synth.taxonomy import (
    Domain,
    Scenario,
    scenarios,
    shipped,
)
from glider.text.words import words

_ANY_BRACED = re.compile(r"\{(input|context|reference|output)\}")
_AUDIENCES = ("pupils of ten", "pupils of sixteen", "students in their first year",
              "people who train for a trade", "applicants for a job", "experts")  # fmt: skip
_DIFFICULTIES = ("easy", "of middling difficulty", "hard", "for the best of them alone")
T = TypeVar("T")


class Drawer:
    """Draws the records of one plan."""

    def __init__(self, plan: Plan, *, folder: Path = Path()) -> None:
        """Load what the plan refers to.

        Args:
            folder: base folder of relative paths in the plan.

        Raises:
            RecipeError: a name is unknown or a group has nothing to draw.
            DataError: a file that the plan names cannot be read.
        """
        self.plan = plan
        part = shipped().part(
            domain_groups=plan.domain_groups,
            domains=plan.domains,
            criterion_groups=plan.criterion_groups,
            criteria=plan.criteria,
        )
        self.taxonomy = with_own(plan, part, folder)
        """The taxonomy to draw from."""
        self._passages = passages(folder / plan.passages) if plan.passages else []
        self._real = real_texts(folder / plan.real) if plan.real else []
        self._profiles = {
            Path(name).stem: load_profile(name, folder)
            for name in (plan.profiles or (shipped_profiles() if plan.kinds.get("profile") else ()))
        }
        both = (True, False)
        self._domains = {code: self._groups(self.taxonomy.domains, code) for code in both}
        self._criteria = {code: self._groups(self.taxonomy.criteria, code) for code in both}
        self._check_there_is_something()

    def _check_there_is_something(self) -> None:
        kinds = [
            code for code, share in ((True, self.plan.code), (False, 1 - self.plan.code)) if share
        ]
        for code in kinds:
            what = "about code" if code else "not about code"
            if not self._domains[code]:
                raise RecipeError(f"no domain {what} is left", hint=f"code: {0 if code else 1}")
            if not self._criteria[code]:
                raise RecipeError(f"no criterion {what} is left", hint=f"code: {0 if code else 1}")

    @cached_property
    def content_id(self) -> str:
        """Hash of everything that can be drawn."""
        domains = [[d.name, d.group] for ds in self.taxonomy.domains.values() for d in ds]
        criteria = [
            [c.name, c.group, c.question, *c.levels, c.own and c.own.model_dump()]
            for outlines in self.taxonomy.criteria.values()
            for c in outlines
        ]
        special = [
            [profile.model_dump() for profile in self._profiles.values()],
            [[item.model_dump(), criterion.model_dump()] for item, criterion in self._real],
        ]
        return content_hash([domains, criteria, self._passages, *(special if any(special) else [])])

    def draw(self, number: int) -> Draw:
        """Return record `number` of the plan."""
        plan, rng = self.plan, Random(f"{self.plan.seed}:{number}")
        kind: Kind = _weighted(rng, plan.kinds)  # type: ignore[assignment]
        if kind in ("profile", "crafted", "adapted", "edited"):
            return self._draw_other(number, kind)
        code = rng.random() < plan.code
        domain = self._domain(rng, code)
        scores = SCALES[_weighted(rng, plan.scales)]
        criterion, group = self._criterion(rng, kind, code, scores)
        scores = criterion.rubric.scores
        order = rng.random()
        # A separate generator, so that plans without scenarios keep their draws.
        asked = Random(f"{plan.seed}:{number}:scenario")
        scenario = self._scenario(asked, code)
        tags, judged = _fields(rng, kind, criterion, order, scenario, plan.fields)
        target = _target(rng, scores, plan.targets)
        second = level = None
        if kind == "pair":
            better, worse = _two_apart(rng, scores)
            level, second, target = better, worse, rng.randrange(2)
        elif kind == "minimal":
            second = _far_from(rng, target, scores, plan.margin)
        against: tuple[int, ...] = (0, 1) if kind == "pair" else scores
        wrong = _far_from(rng, target, against, plan.margin)
        faults: list[Fault] = ["invented", "beside the point", "contradicts itself"]
        if kind != "pair":
            faults += ["too kind"] * 2 if wrong > target else ["too harsh"] * 2
        passage = None
        if self._passages and "context" in tags and judged != "context":
            passage = rng.choice(self._passages)
        return Draw(
            number=number,
            kind=kind,
            domain=domain.name,
            domain_group=domain.group,
            criterion_group=group,
            criterion=criterion,
            code=code,
            tags=tags,
            judged=judged,
            target=target,
            second=second,
            level=level,
            wrong=wrong,
            fault=rng.choice(faults),
            words=_length(rng, plan.words),
            language=_weighted(rng, plan.languages),
            passage=passage,
            **_instruction(asked, scenario),
        )

    def _draw_other(self, number: int, kind: Kind) -> Draw:
        """Draw a record whose criterion does not come from the taxonomy."""
        plan, rng = self.plan, Random(f"{self.plan.seed}:{number}:{kind}")
        domain = self._domain(rng, False)
        if kind == "profile":
            own = self._profile(rng, domain.name)
        elif kind == "crafted":
            own = self._crafted(rng)
        else:
            own = self._adapted(rng, edited=kind == "edited")
        target, scores = own["target"], own["criterion"].rubric.scores
        wrong = own.pop("wrong", None)
        if wrong is None:
            wrong = _far_from(rng, target, scores, plan.margin)
        faults: list[Fault] = ["invented", "beside the point", "contradicts itself"]
        faults += ["too kind"] * 2 if wrong > target else ["too harsh"] * 2
        return Draw(
            number=number,
            kind=kind,
            domain=domain.name,
            domain_group=domain.group,
            judged="output",
            wrong=wrong,
            fault=rng.choice(faults),
            language=_weighted(rng, plan.languages),
            **own,
        )

    def _profile(self, rng: Random, domain: str) -> dict[str, Any]:
        name = rng.choice(list(self._profiles))
        profile = self._profiles[name]
        part, scores = rng.choice(profile.parts), SCALES[profile.scores]
        criteria = profile.asked(rng.choice(profile.instructions), scores)
        aspects = tuple(
            Aspect(
                criterion=criterion,
                target=target,
                wrong=_far_from(rng, target, scores, self.plan.margin),
            )
            for criterion, target in zip(criteria, profile.draw_scores(rng, scores), strict=True)
        )
        return {
            "criterion": aspects[0].criterion,
            "criterion_group": name,
            "target": aspects[0].target,
            "wrong": aspects[0].wrong,
            "aspects": aspects,
            # What the document was asked for; its criteria share it, so they stay together.
            "tags": {"context": "TASK", "output": profile.field},
            "passage": f"{profile.title}: {part.name}. Topic: {domain}.",
            "brief": f"{profile.about.strip()} {part.about.strip()}",
            "source": part.name,
            "words": _length(rng, part.words),
        }

    def _crafted(self, rng: Random) -> dict[str, Any]:
        weights = self.plan.families or dict.fromkeys(families(), 1)
        family = families()[_weighted(rng, weights)]
        target = _target(rng, family.criterion.rubric.scores, self.plan.targets)
        tags = _names(rng, [role for role in ROLES if role in family.fields])
        case = rng.choice(family.high if target else family.low)
        return {
            "criterion": family.criterion,
            "criterion_group": family.name,
            "target": target,
            "tags": tags,
            "brief": _ANY_BRACED.sub(lambda found: tags[found[1]], case),  # type: ignore[index]
            "source": family.name,
            "words": _length(rng, self.plan.words),
        }

    def _adapted(self, rng: Random, *, edited: bool) -> dict[str, Any]:
        original, criterion = rng.choice(self._real)
        target = original.score
        second = None
        if edited:
            second = _far_from(rng, target, criterion.rubric.scores, self.plan.margin)
        elif rng.random() < self.plan.flip:
            target = _far_from(rng, target, criterion.rubric.scores, self.plan.margin)
        return {
            "criterion": criterion,
            "criterion_group": "real texts",
            "target": target,
            "tags": _names(rng, [role for role in ROLES if role in original.texts]),
            "original": original,
            "second": second,
            "words": max(8, len(words(original.texts["output"]))),
        }

    def _scenario(self, rng: Random, code: bool) -> Scenario | None:
        """Draw one of the plan's scenarios that fits, or None if the plan has none."""
        fitting = {
            name: weight
            for name, weight in self.plan.scenarios.items()
            if weight and scenarios()[name].code == code
        }
        return scenarios()[_weighted(rng, fitting)] if fitting else None

    def _groups(self, groups: Mapping[str, Sequence[T]], code: bool) -> list[list[T]]:
        """Return the entries that suit a record, about code or not, by group."""

        def fits(entry: Any) -> bool:
            if isinstance(entry, Domain):
                return entry.code == code or entry.group == OWN
            return code or entry.group != "code"

        found = [[entry for entry in entries if fits(entry)] for entries in groups.values()]
        return [entries for entries in found if entries]

    def _domain(self, rng: Random, code: bool) -> Domain:
        return rng.choice(rng.choice(self._domains[code]))

    def _criterion(
        self, rng: Random, kind: Kind, code: bool, scores: tuple[int, ...]
    ) -> tuple[Criterion, str]:
        groups = self._criteria[code]
        if kind == "several":
            groups = [entries for entries in groups if len(entries) > 1] or groups
        entries = rng.choice(groups)
        if kind != "several" or len(entries) < 2:
            outline = rng.choice(entries)
            return outline.on_scale(scores), outline.group
        parts = rng.sample(entries, rng.choice([2, 3]) if len(entries) > 2 else 2)
        criteria = [part.on_scale(scores) for part in parts]
        same = criteria[0].rubric.scores
        criteria = [c for c in criteria if c.rubric.scores == same]
        if len(criteria) < 2:
            return criteria[0], parts[0].group
        levels = {
            score: " ".join(f"{c.heading}: {c.rubric.levels[score]}" for c in criteria)
            for score in same
        }
        name = "-and-".join(criterion.name for criterion in criteria)
        return merged(name, tuple(criteria), Rubric(levels=levels)), parts[0].group


def _weighted(rng: Random, weights: Weights) -> str:
    names = list(weights)
    return rng.choices(names, [weights[name] for name in names])[0]


def _target(rng: Random, scores: Sequence[int], weights: Weights) -> int:
    if not weights:
        return rng.choice(scores)
    return rng.choice(levels_at(_weighted(rng, weights), scores) or list(scores))


def _length(rng: Random, bounds: tuple[int, int]) -> int:
    low, high = bounds
    length: float = low * (high / low) ** rng.random()
    return round(length)


def _names(rng: Random, roles: Sequence[Role]) -> dict[Role, str]:
    """Draw a tag for each role, no two alike."""
    tags: dict[Role, str] = {}
    for role in roles:
        tags[role] = rng.choice([tag for tag in TAGS[role] if tag not in tags.values()])
    return tags


def _two_apart(rng: Random, scores: Sequence[int]) -> tuple[int, int]:
    """Draw two rubric levels, the better first; two steps apart if there are three or more."""
    apart = 1 if len(scores) == 2 else 2
    pairs = [
        (scores[high], scores[low])
        for low in range(len(scores))
        for high in range(low + apart, len(scores))
    ]
    return rng.choice(pairs)


def _far_from(rng: Random, score: int, scores: Sequence[int], margin: float) -> int:
    least = margin * (scores[-1] - scores[0]) - 1e-9
    far = [other for other in scores if abs(other - score) >= least and other != score]
    return rng.choice(far or [s for s in scores if s != score])


def _instruction(rng: Random, scenario: Scenario | None) -> dict[str, Any]:
    """Draw what the input of a record should ask for."""
    if scenario is None:
        return {}
    quiz = None
    if scenario.tasks and rng.random() < 0.5:
        quiz = Quiz(
            audience=rng.choice(_AUDIENCES),
            difficulty=rng.choice(_DIFFICULTIES),
            task=rng.choice(scenario.tasks),
        )
    demands = tuple(rng.sample(scenario.demands, 2))
    return {"scenario": scenario.name, "demands": demands, "quiz": quiz}


def _fields(
    rng: Random,
    kind: Kind,
    criterion: Criterion,
    order: float,
    scenario: Scenario | None,
    weights: Weights,
) -> tuple[dict[Role, str], Role]:
    """Draw the fields, the tag of each, and which one is judged."""
    needed = set(BRACED.findall(criterion.question))
    if scenario is not None and scenario.context:
        needed.add("context")
    # Twins share the text that they answer, so that they are never taken for independent.
    answered = kind in ("pair", "minimal") or scenario is not None
    if answered:
        fitting = [roles for roles in COMBINATIONS if needed | {"input", "output"} <= set(roles)]
    else:
        fitting = [roles for roles in COMBINATIONS if needed < set(roles)]
    weighted = {"+".join(r): weights.get("+".join(r), 0) for r in fitting}
    if any(weighted.values()):
        roles = fitting[list(weighted).index(_weighted(rng, weighted))]
    else:
        roles = rng.choice(fitting)
    free = [role for role in roles if role not in needed]
    # The judged text is nearly always an answer; the paper judges any of the fields.
    judged: Role = "output" if "output" in free and (answered or order < 0.8) else rng.choice(free)
    return _names(rng, roles), judged
