"""The interface of a probe, and the types all probes share.

A probe asks the same question twice, with one difference that should not matter, and measures its
effect. `trials` and `more` define the questions, `effects` evaluates the answers; none of them
calls a model, so all probes are judged in one stream, and stored answers can be evaluated again.

Scores are positions on the rubric in 0..1: lowest level 0, highest 1, levels equally spaced.
So labels 1 to 5 and 10 to 50 are compared level by level.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from glider.core.criteria import Criterion, Rubric
from glider.core.judgments import Comparison, Failure, Judgment
from glider.core.plugins import Registry
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.judging.judge import Work
from glider.stats.estimates import Estimate, Undefined

Outcome = Judgment | Failure | Comparison
Rng = np.random.Generator
Unit = Literal["share", "shift", "correlation"]
Side = Literal["both", "above"]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One output under one criterion, or two outputs to compare, from the user's data."""

    sample: Sample
    """One judged field, or two."""
    criterion: Criterion
    gold: float | None = None
    """Human label, 0..1: the score on its scale; for a pair 0 the first output is better,
    1 the second, 0.5 a tie."""
    own: tuple[bool, ...] = ()
    """For each judged field, whether the judge's own model wrote it. Empty if unknown."""
    made: bool = False
    """Whether the audit made this pair from one output, because the data has no pairs."""
    shares: str = ""
    """Equal for subjects that share an input and context (`data/clusters.py`); empty: unknown."""

    @property
    def is_pair(self) -> bool:
        """Whether two outputs are compared."""
        return len(self.sample.judged) == 2

    @property
    def cluster(self) -> str:
        """The resampling unit: subjects with the same input and context, or the same texts."""
        return self.shares or self.sample.content_id


@dataclass(frozen=True, slots=True)
class ProbeTask:
    """One question for the judge."""

    work: Work
    apart: str = ""
    """Equal tasks are judged once, unless this differs."""


@dataclass(frozen=True)
class Trial:
    """A subject with its tasks by role and, later, the judge's answers."""

    subject: Subject
    asks: Mapping[str, ProbeTask]
    said: Mapping[str, Outcome] = field(default_factory=dict)

    def judgment(self, role: str) -> Judgment | None:
        """The judgment in this role; None if it failed."""
        outcome = self.said[role]
        return outcome if isinstance(outcome, Judgment) else None

    def score(self, role: str) -> float | None:
        """Position on the rubric, 0..1: the expected level if known, else the chosen level."""
        judgment, work = self.judgment(role), self.asks[role].work
        if judgment is None or not isinstance(work, JudgeTask):
            return None
        return place(judgment, work.criterion.rubric)

    def level(self, role: str) -> int | None:
        """Index of the most probable level, from 0."""
        judgment, work = self.judgment(role), self.asks[role].work
        if judgment is None or not isinstance(work, JudgeTask):
            return None
        return work.criterion.rubric.scores.index(judgment.score)

    def p_first(self, role: str) -> float | None:
        """Probability that the first output is better; None if no order could be judged."""
        outcome = self.said[role]
        return outcome.p_first if isinstance(outcome, Comparison) else None

    def flipped(self, role: str) -> bool | None:
        """Whether the two orders have different winners; None if either could not be judged."""
        outcome = self.said[role]
        return outcome.flipped if isinstance(outcome, Comparison) else None

    def prefers(self, role: str, field: str) -> float | None:
        """1 if the output in this field is the better one, 0 if the other, 0.5 for a tie."""
        outcome = self.said[role]
        if not isinstance(outcome, Comparison) or outcome.p_first is None:
            return None
        return 0.5 if outcome.preferred is None else float(outcome.preferred == field)

    def rise(self, before: str, after: str) -> float | None:
        """Increase of the score from one role to the other, -1..1."""
        first, second = self.score(before), self.score(after)
        return None if first is None or second is None else second - first

    def changed(self, before: str, after: str) -> float | None:
        """1 if the most probable level differs, else 0."""
        first, second = self.level(before), self.level(after)
        return None if first is None or second is None else float(first != second)


def place(judgment: Judgment, rubric: Rubric) -> float:
    """Return a judgment's position on the rubric in 0..1: lowest level 0, levels equally spaced."""
    places = np.linspace(0.0, 1.0, len(rubric.scores))
    if judgment.score_probs is not None:
        probs = [judgment.score_probs[score] for score in rubric.scores]
        return float(np.dot(probs, places))
    return float(np.interp(judgment.expected_or_score, rubric.scores, places))


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One number of a probe, with its value for an unbiased judge and its default bound."""

    name: str
    """Short and stable: `flips`. Combined with the probe's name it is the key for --fail-above."""
    title: str
    """What is measured, in a few words."""
    estimate: Estimate | Undefined
    asked: int
    """Comparisons, texts or attacks put to the judge."""
    judged: int
    """Number of those for which every required judgment succeeded."""
    unit: Unit
    """`share`: of the judged items, 0..1. `shift`: of the whole scale, -1..1."""
    neutral: float = 0.0
    """The value for an unbiased judge."""
    bound: float | None = None
    """Default maximum distance from `neutral`; None: reported without a verdict."""
    side: Side = "both"
    """`above`: only a value above `neutral` is bias."""
    means: str
    """One sentence on its meaning for the user; `{value}` is the formatted number."""


class Probe(ABC):
    """One question about a judge."""

    name: str
    title: str
    asks: str
    """What it tests, in one sentence."""
    advice: str
    """What to do about a bad result, in one or two sentences."""

    @abstractmethod
    def trials(self, subjects: Sequence[Subject], rng: Rng) -> list[Trial]:
        """Return the questions; deterministic for the same subjects and seed.

        If the data is unsuitable it is empty, and `effects` of an empty list says what to supply.
        """

    def more(self, trials: Sequence[Trial], rng: Rng) -> list[Trial]:
        """Return follow-up questions, once the answers to `trials` are known."""
        return []

    @abstractmethod
    def effects(self, trials: Sequence[Trial], rng: Rng) -> list[Effect]:
        """Evaluate the answers."""


_BUILT_IN = {
    "position": "glider.audit.position:Position",
    "length": "glider.audit.length:LengthProbe",
    "self-preference": "glider.audit.self_preference:SelfPreference",
    "bandwagon": "glider.audit.claims:Bandwagon",
    "compassion": "glider.audit.claims:Compassion",
    "attention": "glider.audit.claims:Attention",
    "format": "glider.audit.markdown:Markdown",
    "leakage": "glider.audit.leakage:Leakage",
    "rubric-order": "glider.audit.scale:RubricOrder",
    "labels": "glider.audit.scale:ScaleLabels",
    "retest": "glider.audit.retest:Retest",
    "injection": "glider.audit.injection:Injection",
    "highlights": "glider.audit.highlights:Highlights",
}
PROBES: Registry[type[Probe]] = Registry(kind="probe", group="glider.probes", builtin=_BUILT_IN)


def known_probes() -> list[str]:
    """Return every available probe: the built-in ones in the order of the report, then others."""
    return [*_BUILT_IN, *(name for name in PROBES.names() if name not in _BUILT_IN)]
