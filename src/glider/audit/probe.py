"""The interface of a probe, and the types all probes share.

A probe asks the same thing twice, with one difference that should not matter, and measures what
the difference did. `trials` and `more` say what to ask, `effects` reads the answers; none of them
asks a model, so all probes are judged in one stream, and answers on disk can be measured again.

Scores are places on the rubric in 0..1: the lowest level 0, the highest 1, levels equally spaced.
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
    """One output under one criterion, or two outputs to compare: what the user's data holds."""

    sample: Sample
    """One judged field, or two."""
    criterion: Criterion
    gold: float | None = None
    """What people said, 0..1: their score on their scale; of a pair 0 the first output is better,
    1 the second, 0.5 a tie."""
    own: tuple[bool, ...] = ()
    """For each judged field: written by the judge's own model. Empty where nothing says so."""
    made: bool = False
    """A pair made by the audit out of one output; the data has none of its own."""
    shares: str = ""
    """Equal for subjects that share an input and context (`data/clusters.py`); empty: unknown."""

    @property
    def is_pair(self) -> bool:
        """Two outputs are compared."""
        return len(self.sample.judged) == 2

    @property
    def cluster(self) -> str:
        """What is resampled together: what shares an input and context, or is the same texts."""
        return self.shares or self.sample.content_id


@dataclass(frozen=True, slots=True)
class ProbeTask:
    """One thing to put to the judge."""

    work: Work
    apart: str = ""
    """Equal works are judged once, unless this differs."""


@dataclass(frozen=True)
class Trial:
    """A subject with the things to ask about it, by role, and later what the judge said."""

    subject: Subject
    asks: Mapping[str, ProbeTask]
    said: Mapping[str, Outcome] = field(default_factory=dict)

    def judgment(self, role: str) -> Judgment | None:
        """The judgment in this role; None if it failed."""
        outcome = self.said[role]
        return outcome if isinstance(outcome, Judgment) else None

    def score(self, role: str) -> float | None:
        """Place on the rubric, 0..1: the mean over the levels where known, else the one level."""
        judgment, work = self.judgment(role), self.asks[role].work
        if judgment is None or not isinstance(work, JudgeTask):
            return None
        return place(judgment, work.criterion.rubric)

    def level(self, role: str) -> int | None:
        """Number of the likeliest level, from 0."""
        judgment, work = self.judgment(role), self.asks[role].work
        if judgment is None or not isinstance(work, JudgeTask):
            return None
        return work.criterion.rubric.scores.index(judgment.score)

    def p_first(self, role: str) -> float | None:
        """Probability that the first output is better; None if no order could be judged."""
        outcome = self.said[role]
        return outcome.p_first if isinstance(outcome, Comparison) else None

    def flipped(self, role: str) -> bool | None:
        """The two orders named different winners; None if not both could be judged."""
        outcome = self.said[role]
        return outcome.flipped if isinstance(outcome, Comparison) else None

    def prefers(self, role: str, field: str) -> float | None:
        """1 if the output in this field is the better one, 0 if the other, 0.5 for a tie."""
        outcome = self.said[role]
        if not isinstance(outcome, Comparison) or outcome.p_first is None:
            return None
        return 0.5 if outcome.preferred is None else float(outcome.preferred == field)

    def rise(self, before: str, after: str) -> float | None:
        """How far the score rises from one role to the other, -1..1."""
        first, second = self.score(before), self.score(after)
        return None if first is None or second is None else second - first

    def changed(self, before: str, after: str) -> float | None:
        """1 if the likeliest level differs, else 0."""
        first, second = self.level(before), self.level(after)
        return None if first is None or second is None else float(first != second)


def place(judgment: Judgment, rubric: Rubric) -> float:
    """A judgment's place on the rubric in 0..1, the lowest level 0, levels equally spaced."""
    places = np.linspace(0.0, 1.0, len(rubric.scores))
    if judgment.score_probs is not None:
        probs = [judgment.score_probs[score] for score in rubric.scores]
        return float(np.dot(probs, places))
    value = judgment.expected if judgment.expected is not None else judgment.score
    return float(np.interp(value, rubric.scores, places))


def first_share(shown: Judgment) -> float:
    """Probability that the output shown first is better, from one order of a comparison."""
    if shown.score_probs is not None:
        return shown.score_probs[0]
    return 1 - (shown.expected if shown.expected is not None else shown.score)


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One number of a probe, with what it would be without bias and how far it may go."""

    name: str
    """Short and stable: `flips`. With the probe's name it is what --fail-above takes."""
    title: str
    """What is measured, in a few words."""
    estimate: Estimate | Undefined
    asked: int
    """Comparisons, texts or attacks put to the judge."""
    judged: int
    """Those with every judgment they need."""
    unit: Unit
    """`share`: of what was judged, 0..1. `shift`: of the whole scale, -1..1."""
    neutral: float = 0.0
    """The value of a judge without this bias."""
    bound: float | None = None
    """How far from `neutral` is too far by default; None: shown, and not decided on."""
    side: Side = "both"
    """`above`: only a value above `neutral` is bias."""
    means: str
    """One sentence on what it means for the user; `{value}` is the number as people read it."""


class Probe(ABC):
    """One question about a judge."""

    name: str
    title: str
    asks: str
    """What it tries, in one sentence."""
    advice: str
    """What to do about a bad result, in one or two sentences."""

    @abstractmethod
    def trials(self, subjects: Sequence[Subject], rng: Rng) -> list[Trial]:
        """What to ask; pure: the same for the same subjects and seed.

        Where the data does not serve it is nothing, and `effects` of nothing says what to supply.
        """

    def more(self, trials: Sequence[Trial], rng: Rng) -> list[Trial]:
        """What to ask beyond, once the answers to `trials` are known."""
        return []

    @abstractmethod
    def effects(self, trials: Sequence[Trial], rng: Rng) -> list[Effect]:
        """What the answers show."""


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
    """Every probe there is: the built-in ones in the order of the report, then others."""
    return [*_BUILT_IN, *(name for name in PROBES.names() if name not in _BUILT_IN)]
