"""Which items people disagree on, for adjudicators."""

from collections.abc import Iterable, Mapping
from itertools import combinations

from glider.review.answers import Answer, Person, value_of
from glider.review.items import ReviewItem
from glider.review.plan import ReviewPlan
from glider.review.spans import word_counts

_Dispute = tuple[float, float]
"""Minus the steps between two scores, and the word F1 of the two least alike sets of marks."""


class Disputes:
    """The items of a plan that people disagree on, as answers come in.

    Two scores are apart by `plan.apart` steps or more; two people prefer different outputs of a
    pair; or the word F1 of two people's marks is below `plan.marks_below`.
    """

    def __init__(
        self, plan: ReviewPlan, items: Mapping[str, ReviewItem], people: Mapping[str, Person]
    ) -> None:
        self._plan, self._items, self._people = plan, items, people
        self._known: dict[str, tuple[tuple[str, ...], _Dispute | None]] = {}
        """Item to the ids of the answers that were compared, and what came of it."""

    def listed(self) -> list[str]:
        """Return the items' ids: scores first, the farthest apart first, then marks.

        What an adjudicator has answered stays, whatever the others answer afterwards.
        """
        found: list[tuple[_Dispute, int, str]] = []
        for number, drawn in enumerate(self._plan.items):
            item = self._items.get(drawn.id)
            if item is None:
                continue
            own = [
                answer
                for person in self._people.values()
                if (answer := person.blind(drawn.id)) is not None and answer.content == item.content
            ]
            dispute = self._dispute(item, own)
            if any(person.adjudicated(drawn.id) for person in self._people.values()):
                dispute = dispute or (0.0, 1.0)
            if dispute is not None:
                found.append((dispute, number, drawn.id))
        return [id for *_, id in sorted(found)]

    def _dispute(self, item: ReviewItem, own: list[Answer]) -> _Dispute | None:
        ids = tuple(answer.id for answer in own)
        before, known = self._known.get(item.id, ((), None))
        if ids == before:
            return known
        given = [value for answer in own if (value := value_of(answer, item)) == value]
        spread = max(given, default=0.0) - min(given, default=0.0)
        wide = spread > 0 and (item.is_pair or spread >= self._plan.apart)
        least = self._least_alike(item, own)
        apart = self._plan.marks_below is not None and least < self._plan.marks_below
        dispute = (-spread, least) if wide or apart else None
        self._known[item.id] = ids, dispute
        return dispute

    def _least_alike(self, item: ReviewItem, own: Iterable[Answer]) -> float:
        """Return the lowest word F1 of two people's marks; 1 where neither marked anything."""
        lowest = 1.0
        if self._plan.marks_below is not None:
            for one, other in combinations(own, 2):
                both, a, b = word_counts(item.sample, one.spans, other.spans)
                if a + b:
                    lowest = min(lowest, 2 * both / (a + b))
        return lowest
