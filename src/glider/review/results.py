"""What a review found, as plain records: the page, the table and the JSON are made of them."""

from collections.abc import Mapping
from typing import Any

from glider.core.base import Frozen
from glider.stats.estimates import Estimate, Undefined


class ReviewFigure(Frozen):
    """One figure with its 95 % interval, or why there is none."""

    name: str
    of: str = ""
    """Whose: `judge and people`, `people and people`, a person, a question."""
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int
    """Answers or items that it rests on."""
    people: int = 0
    method: str = ""
    undefined: str = ""

    @classmethod
    def made(cls, found: Estimate | Undefined, **where: Any) -> "ReviewFigure":
        """Of an estimate."""
        if isinstance(found, Undefined):
            return cls(value=None, n=found.n, undefined=found.reason, **where)
        return cls(value=found.value, low=found.low, high=found.high, n=found.n,
                   method=found.method, **where)  # fmt: skip


class Verdicts(Frozen):
    """What people say of one thing: the reason, the marks, the score, or a question of a form."""

    about: str
    counts: dict[str, int]
    yes: ReviewFigure
    """Share of yes; of these people and any items like these. `cannot tell` is left out."""
    at_least_partly: ReviewFigure
    any_people: ReviewFigure
    """The same as `at_least_partly`, its interval over any people like these as well."""
    alpha: ReviewFigure
    """Krippendorff's, ordinal."""


class BesidePeople(Frozen):
    """The judge against people, and people against one another, on the same items."""

    metric: str
    better: str
    """`higher` or `lower`."""
    judge: ReviewFigure
    people: ReviewFigure
    difference: ReviewFigure
    """Judge less people."""


class Replacement(Frozen):
    """The alternative-annotator test of one person (Calderon et al. 2025)."""

    person: str
    n: int
    judge_at_least_as_near: float
    """Share of items on which the judge is at least as near to the others as this person."""
    person_at_least_as_near: float
    p: float
    p_adjusted: float
    """Benjamini-Yekutieli over the people."""
    judge_wins: bool


class AlternativeAnnotator(Frozen):
    """May the judge stand in for a person? Passed if it wins against at least half of them."""

    epsilon: float
    people: tuple[Replacement, ...] = ()
    winning_rate: float | None = None
    advantage: float | None = None
    """Mean share of items on which the judge is at least as near."""
    undefined: str = ""


class PersonReport(Frozen):
    """One person's way of answering."""

    name: str
    answered: int
    asked: int
    verdicts: int
    skipped: int
    flagged: int
    median_seconds: float | None
    marks_per_item: float
    commonest: str
    """The score given most often, and how often."""
    repeats: int
    same_again: float | None
    """Share of repeated items with the same score."""
    off_again: float | None
    """Mean distance between the two scores, in steps."""
    notes: tuple[str, ...] = ()
    """What looks like answering by pattern. Nobody is left out for it."""


class AnsweredRecord(Frozen):
    """One item with every answer, so that every figure can be made again."""

    id: str
    sample_id: str
    row: int
    criterion: str
    cluster: int
    weight: float
    judge: float
    judge_marks: list[list[Any]]
    scores: dict[str, float]
    scores_again: dict[str, float]
    scores_after_reveal: dict[str, float]
    marks: dict[str, list[list[Any]]]
    verdicts: dict[str, dict[str, str]]
    questions: dict[str, dict[str, str]]
    notes: dict[str, str]
    spread: float | None
    """Largest distance between two people's scores."""
    off: float | None
    """Distance between the judge and the mean of the people."""


class ReviewReport(Frozen):
    """Everything."""

    version: int = 1
    made_at: str
    glider: str
    run_id: str
    judge: str
    mode: str
    people: tuple[str, ...]
    drawn: int
    answered: int
    """Items with an own answer."""
    answers: int
    scale: str
    verdicts: tuple[Verdicts, ...]
    mean_agreement: ReviewFigure | None = None
    """Mean of the three verdicts' shares of at least partly, as GLIDER's paper gives it."""
    alpha: ReviewFigure
    """Krippendorff's among people's own scores, interval level."""
    beside: tuple[BesidePeople, ...]
    alternative: AlternativeAnnotator
    pull: tuple[ReviewFigure, ...]
    each_person: tuple[PersonReport, ...]
    items: tuple[AnsweredRecord, ...]
    notes: tuple[str, ...] = ()

    def by_id(self) -> Mapping[str, AnsweredRecord]:
        """The items by their id."""
        return {item.id: item for item in self.items}
