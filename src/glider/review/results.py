"""The results of a review as plain records, from which page, table and JSON are made."""

from collections.abc import Mapping
from typing import Any

from glider.core.base import Frozen
from glider.stats.estimates import Estimate, Undefined


class ReviewFigure(Frozen):
    """One figure with its 95 % interval, or the reason why there is none."""

    name: str
    of: str = ""
    """Its subject: `judge and people`, `people and people`, a person, a question."""
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int
    """Number of answers or items behind it."""
    people: int = 0
    method: str = ""
    undefined: str = ""

    @classmethod
    def made(cls, found: Estimate | Undefined, **where: Any) -> "ReviewFigure":
        """Build a figure from an estimate."""
        if isinstance(found, Undefined):
            return cls(value=None, n=found.n, undefined=found.reason, **where)
        return cls(value=found.value, low=found.low, high=found.high, n=found.n,
                   method=found.method, **where)  # fmt: skip


class Verdicts(Frozen):
    """People's verdicts on one thing: the reason, the marks, the score, or a question of a form."""

    about: str
    counts: dict[str, int]
    yes: ReviewFigure
    """Share of yes, for these people and similar items. `cannot tell` is left out."""
    at_least_partly: ReviewFigure
    any_people: ReviewFigure
    """As `at_least_partly`, with an interval that also generalizes to other people."""
    alpha: ReviewFigure
    """Krippendorff's alpha, ordinal."""


class BesidePeople(Frozen):
    """Agreement of judge and people, and of people with one another, on the same items."""

    metric: str
    better: str
    """`higher` or `lower`."""
    judge: ReviewFigure
    people: ReviewFigure
    difference: ReviewFigure
    """Judge minus people."""


class AgainstSettled(Frozen):
    """The judge, or a person, against the adjudicated answers."""

    who: str
    same: ReviewFigure
    """Share of adjudicated items with the same answer."""
    distance: ReviewFigure
    """Mean absolute difference."""
    marks: ReviewFigure | None = None
    """Word F1 with the adjudicated marks; None where there are none."""


class Replacement(Frozen):
    """The alternative-annotator test of one person (Calderon et al. 2025)."""

    person: str
    n: int
    judge_at_least_as_near: float
    """Share of items on which the judge is at least as near to the others as this person is."""
    person_at_least_as_near: float
    p: float
    p_adjusted: float
    """Benjamini-Yekutieli correction over the people."""
    judge_wins: bool


class AlternativeAnnotator(Frozen):
    """May the judge replace a person? Passed if it wins against at least half of them."""

    epsilon: float
    people: tuple[Replacement, ...] = ()
    winning_rate: float | None = None
    advantage: float | None = None
    """Mean share of items on which the judge is at least as near."""
    undefined: str = ""


class PersonReport(Frozen):
    """Summary of one person's answers."""

    name: str
    answered: int
    asked: int
    verdicts: int
    skipped: int
    flagged: int
    median_seconds: float | None
    marks_per_item: float
    commonest: str
    """The most frequent score, and its frequency."""
    repeats: int
    same_again: float | None
    """Share of repeated items with the same score."""
    off_again: float | None
    """Mean distance between the two scores, in steps."""
    notes: tuple[str, ...] = ()
    """Signs of answering by pattern. Nobody is excluded for them."""


class AnsweredRecord(Frozen):
    """One item with every answer, so that every figure can be recomputed."""

    id: str
    sample_id: str
    row: int
    criterion: str
    cluster: int
    weight: float
    judge: float | None
    """None where the run has no judge."""
    judge_marks: list[list[Any]]
    scores: dict[str, float]
    scores_again: dict[str, float]
    scores_after_reveal: dict[str, float]
    marks: dict[str, list[list[Any]]]
    verdicts: dict[str, dict[str, str]]
    questions: dict[str, dict[str, str]]
    notes: dict[str, str]
    adjudicated: Mapping[str, float] = {}
    """The answers of adjudicators; the label is the latest."""
    adjudicated_marks: Mapping[str, list[list[Any]]] = {}
    label: float | None = None
    """What counts as right; for exports and other commands."""
    spread: float | None
    """Largest distance between two people's scores."""
    off: float | None
    """Distance between the judge and the mean of the people."""


class ReviewReport(Frozen):
    """The whole report."""

    version: int = 1
    made_at: str
    glider: str
    run_id: str
    judge: str
    has_judge: bool = True
    """Without a judge, only figures of people and people have values."""
    mode: str
    people: tuple[str, ...]
    drawn: int
    answered: int
    """Items with a blind answer."""
    answers: int
    scale: str
    verdicts: tuple[Verdicts, ...]
    mean_agreement: ReviewFigure | None = None
    """Mean of the three verdicts' at-least-partly shares, as GLIDER's paper reports it."""
    alpha: ReviewFigure
    """Krippendorff's alpha among people's own scores, interval level."""
    beside: tuple[BesidePeople, ...]
    settled: tuple[AgainstSettled, ...] = ()
    """Of the adjudicated items alone, on which people disagreed."""
    alternative: AlternativeAnnotator
    pull: tuple[ReviewFigure, ...]
    each_person: tuple[PersonReport, ...]
    items: tuple[AnsweredRecord, ...]
    notes: tuple[str, ...] = ()
