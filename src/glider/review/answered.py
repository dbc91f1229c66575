"""The answers of a review next to the judge's: the input of every statistic."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glider.core.errors import DataError
from glider.core.judgments import Failure, Judgment, Span
from glider.data.clusters import Clusters
from glider.review.answers import Answer, Person, pair_value, read_people, value_of
from glider.review.begin import Review, load_review
from glider.review.items import ReviewItem, weight
from glider.review.plan import Visit
from glider.stats.statistic import Floats
from glider.store.run import outcomes, samples


@dataclass(frozen=True)
class AnsweredItem:
    """One item with the judge's answer and each person's."""

    item: ReviewItem
    row: int
    cluster: int
    weight: float
    """Number of items of the run that this one represents."""
    blind: Mapping[str, Answer]
    reveal: Mapping[str, Answer]
    again: Mapping[str, Answer]
    """Each person's second answer, if the item was shown twice."""
    adjudicated: Mapping[str, Answer]
    """The answers of adjudicators; the latest settles the item."""

    @property
    def id(self) -> str:
        return self.item.id

    @property
    def judge_value(self) -> float:
        """The judge's answer, as `value` returns it; NaN without a judge."""
        outcome = self.item.outcome
        if outcome is None:
            return np.nan
        if isinstance(outcome, Judgment):
            return float(outcome.score)
        return pair_value(outcome.preferred or "", self.item)

    def value(self, answer: Answer) -> float:
        """The answer as a number, as `value_of`."""
        return value_of(answer, self.item)

    @property
    def settled(self) -> Answer | None:
        """The adjudicator's answer, if the item was adjudicated."""
        return max(self.adjudicated.values(), key=lambda answer: answer.at, default=None)

    @property
    def label(self) -> float:
        """What counts as right: the adjudicated answer; else the mean of the people's.

        For a pair it is what most people prefer, else a tie. NaN if nobody has given one.
        """
        if self.settled is not None:
            return self.value(self.settled)
        given = [v for v in map(self.value, self.blind.values()) if v == v]
        if not given:
            return np.nan
        if not self.item.is_pair:
            return sum(given) / len(given)
        votes = Counter(given).most_common(2)
        tied = len(votes) > 1 and votes[0][1] == votes[1][1]
        return 0.5 if tied else votes[0][0]

    def own(self) -> Iterator[tuple["AnsweredItem", str, Answer]]:
        """Iterate over people's own answers, then adjudicated ones."""
        for name, answer in (*self.blind.items(), *self.adjudicated.items()):
            yield self, name, answer

    @property
    def notes(self) -> list[str]:
        """The adjudicator's note; else the people's."""
        told = self.blind.values() if self.settled is None else [self.settled]
        return [answer.note.strip() for answer in told if answer.note.strip()]

    @property
    def judge_spans(self) -> tuple[Span, ...]:
        """The spans of the judge's highlights."""
        outcome = self.item.outcome
        marks = outcome.highlights if isinstance(outcome, Judgment) else ()
        return tuple(span for mark in marks for span in mark.spans)


@dataclass(frozen=True)
class Answered:
    """All answers of a review."""

    review: Review
    people: dict[str, Person]
    items: tuple[AnsweredItem, ...]
    outdated: int
    """Answers to an older text, question or rubric than the run's; not counted."""
    failed: int
    """Failed outcomes of the run, which cannot be reviewed."""
    asked: int
    """All outcomes of the run."""

    @property
    def names(self) -> list[str]:
        """The people with at least one counted answer."""
        return [n for n in self.people if any(n in item.blind for item in self.items)]

    def values(self, of: str = "blind") -> Floats:
        """Return scores, shape (items, names); NaN where missing."""
        names = self.names
        table = np.full((len(self.items), len(names)), np.nan)
        for i, item in enumerate(self.items):
            for name, answer in getattr(item, of).items():
                if name in names:
                    table[i, names.index(name)] = item.value(answer)
        return table

    def own(self) -> Iterator[tuple[AnsweredItem, str, Answer]]:
        """Iterate over what people answered themselves, and over adjudicated answers, by item."""
        for item in self.items:
            yield from item.own()

    def each(self, of: str) -> Iterator[tuple[AnsweredItem, str, Answer]]:
        """Iterate over every answer of a stage, with its item and person."""
        for item in self.items:
            for name, answer in getattr(item, of).items():
                yield item, name, answer


def read_answered(run: Path) -> Answered:
    """Read the answers of an existing review, whoever its plan names now.

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
        found: dict[str, dict[str, Answer]] = {
            "blind": {}, "reveal": {}, "again": {}, "adjudicated": {}
        }  # fmt: skip
        second = Visit(item=one.id, time=2).id
        for name, person in people.items():
            for kind, answer in (
                ("blind", person.blind(one.id)),
                ("reveal", person.reveal(one.id)),
                ("again", person.blind(second)),
                ("adjudicated", person.adjudicated(one.id)),
            ):
                if answer is None:
                    continue
                if answer.content == item.content:
                    found[kind][name] = answer
                else:
                    outdated += kind in ("blind", "adjudicated")
        items.append(AnsweredItem(item, review.rows[one.id], cluster, weight(one), **found))
    failures = [isinstance(outcome, Failure) for _, outcome in outcomes(run)]
    answered = Answered(review, people, tuple(items), outdated, sum(failures), len(failures))
    if not answered.names:
        raise DataError("nobody has answered yet", path=str(run),
                        hint=f"glider review {run} serves the page")  # fmt: skip
    return answered
