"""The answers of a review, beside what the judge said: what every figure is made of."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glider.core.errors import DataError
from glider.core.judgments import Failure, Judgment, Span
from glider.data.clusters import Clusters
from glider.review.answers import Answer, Person, read_people
from glider.review.begin import Review, load_review
from glider.review.items import ReviewItem, weight
from glider.review.plan import Visit
from glider.stats.statistic import Floats
from glider.store.run import outcomes, samples


@dataclass(frozen=True)
class AnsweredItem:
    """One item, what the judge said, and what each person answered."""

    item: ReviewItem
    row: int
    cluster: int
    weight: float
    """Items of the run that it stands for."""
    blind: Mapping[str, Answer]
    reveal: Mapping[str, Answer]
    again: Mapping[str, Answer]
    """The second own answer, where the item came twice."""

    @property
    def id(self) -> str:
        return self.item.id

    @property
    def judge_value(self) -> float:
        """As `value`."""
        outcome = self.item.outcome
        if isinstance(outcome, Judgment):
            return float(outcome.score)
        return self._preferred(outcome.preferred or "")

    def value(self, answer: Answer) -> float:
        """The score; of a pair, as in labels, 0: the first is better, 1: the second, 0.5: a tie."""
        if self.item.is_pair:
            return np.nan if answer.preferred is None else self._preferred(answer.preferred)
        return np.nan if answer.score is None else float(answer.score)

    def _preferred(self, name: str) -> float:
        return 0.5 if not name else float(name != self.item.outcome.first)  # type: ignore[union-attr]

    @property
    def judge_spans(self) -> tuple[Span, ...]:
        """Where the judge's highlights lie."""
        outcome = self.item.outcome
        marks = outcome.highlights if isinstance(outcome, Judgment) else ()
        return tuple(span for mark in marks for span in mark.spans)


@dataclass(frozen=True)
class Answered:
    """All of it."""

    review: Review
    people: dict[str, Person]
    items: tuple[AnsweredItem, ...]
    outdated: int
    """Own answers to another text, question or rubric than the run holds now; not counted."""
    failed: int
    """Outcomes of the run that are failures: nobody can look at them."""
    asked: int
    """All its outcomes."""

    @property
    def names(self) -> list[str]:
        """Who gave an own answer that counts."""
        return [n for n in self.people if any(n in item.blind for item in self.items)]

    def values(self, of: str = "blind") -> Floats:
        """Scores, shape (items, names); NaN where there is none."""
        names = self.names
        table = np.full((len(self.items), len(names)), np.nan)
        for i, item in enumerate(self.items):
            for name, answer in getattr(item, of).items():
                if name in names:
                    table[i, names.index(name)] = item.value(answer)
        return table

    def each(self, of: str) -> Iterator[tuple[AnsweredItem, str, Answer]]:
        """Every answer of a kind, with its item and person."""
        for item in self.items:
            for name, answer in getattr(item, of).items():
                yield item, name, answer


def read_answered(run: Path) -> Answered:
    """The answers of a review that was begun, whoever is asked now.

    Raises:
        RunError: there is no review.
        DataError: nobody has answered, or a line is damaged.
    """
    review = load_review(run)
    people = read_people(run)
    clusters = Clusters.of(samples(run))
    drawn = [one for one in review.plan.items if one.id in review.items]
    codes = clusters.codes([review.rows[one.id] for one in drawn])
    items, outdated = [], 0
    for one, cluster in zip(drawn, codes, strict=True):
        item = review.items[one.id]
        found: dict[str, dict[str, Answer]] = {"blind": {}, "reveal": {}, "again": {}}
        second = Visit(item=one.id, time=2).id
        for name, person in people.items():
            for kind, answer in (
                ("blind", person.blind(one.id)),
                ("reveal", person.reveal(one.id)),
                ("again", person.blind(second)),
            ):
                if answer is None:
                    continue
                if answer.content == item.content:
                    found[kind][name] = answer
                else:
                    outdated += kind == "blind"
        items.append(AnsweredItem(item, review.rows[one.id], cluster, weight(one), **found))
    failures = [isinstance(outcome, Failure) for _, outcome in outcomes(run)]
    answered = Answered(review, people, tuple(items), outdated, sum(failures), len(failures))
    if not answered.names:
        raise DataError("nobody has answered yet", path=str(run),
                        hint=f"glider review {run} serves the page")  # fmt: skip
    return answered
