"""A queue: whoever is free gets the next item that still needs somebody.

An item that somebody is looking at is theirs until they answer or skip it, or have not touched it
for half an hour. That is kept in memory alone: after a restart it may go to another person too,
and an item that one person too many answered has one more rating.
"""

import time
from collections.abc import Mapping

from glider.review.answers import Person
from glider.review.plan import ReviewPlan, Visit, chance, is_held_out

_LEASE_SECONDS = 1800.0


class Queue:
    """The items of a plan, given out one at a time."""

    def __init__(self, plan: ReviewPlan, people: Mapping[str, Person]) -> None:
        self._plan, self._people = plan, people
        # Not in the run's order: what is answered when people stop is then a random part.
        self._items = sorted(plan.items, key=lambda one: chance(plan, "queue", "", one.id))
        self._held: dict[str, tuple[str, float]] = {}
        """Person to item and the time of their last request."""

    def visits(self, person: Person) -> list[Visit]:
        """Return what a person has answered or skipped, in order, and the item that is theirs."""
        seen = {visit for visit, stage in person.current if stage in ("blind", "skip")}
        mine = self._now(person, seen)
        return [
            Visit(
                item=drawn.id,
                shows_judgment=self._plan.shows == "after"
                and not is_held_out(self._plan, person.name, drawn.id),
            )
            for drawn in self._items
            if drawn.id in seen or drawn.id == mine
        ]

    def _now(self, person: Person, seen: set[str]) -> str | None:
        now = time.monotonic()
        held, _ = self._held.get(person.name, (None, 0.0))
        if held is None or held in seen:
            held = self._next(person, seen, now)
        if held is None:
            self._held.pop(person.name, None)
        else:
            self._held[person.name] = (held, now)
        return held

    def _next(self, person: Person, seen: set[str], now: float) -> str | None:
        looked_at = [
            item
            for name, (item, at) in self._held.items()
            if name != person.name and now - at < _LEASE_SECONDS
        ]
        each = self._plan.each or len(self._plan.people)
        for drawn in self._items:
            if drawn.id in seen:
                continue
            given = sum(other.blind(drawn.id) is not None for other in self._people.values())
            if given + looked_at.count(drawn.id) < each:
                return drawn.id
        return None
