"""Which items people disagree on, for adjudicators."""

from collections.abc import Mapping

from glider.review.answers import Person, value_of
from glider.review.items import ReviewItem
from glider.review.plan import ReviewPlan


def disputed(
    plan: ReviewPlan, items: Mapping[str, ReviewItem], people: Mapping[str, Person]
) -> list[str]:
    """Return ids of the items that people disagree on, the farthest apart first.

    Two scores are apart by `plan.apart` steps or more; two people prefer different outputs of a
    pair. What an adjudicator has answered stays, whatever the others answer afterwards.
    """
    found: list[tuple[float, int, str]] = []
    for number, drawn in enumerate(plan.items):
        item = items.get(drawn.id)
        if item is None:
            continue
        own = [person.blind(drawn.id) for person in people.values()]
        given = [
            value
            for answer in own
            if answer is not None and answer.content == item.content
            for value in [value_of(answer, item)]
            if value == value
        ]
        spread = max(given, default=0.0) - min(given, default=0.0)
        settled = any(person.adjudicated(drawn.id) for person in people.values())
        if settled or (spread > 0 and (item.is_pair or spread >= plan.apart)):
            found.append((-spread, number, drawn.id))
    return [id for *_, id in sorted(found)]
