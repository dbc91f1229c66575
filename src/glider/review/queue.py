"""A queue: whoever is free gets the next item that still needs somebody.

An item that somebody is looking at is theirs until they answer or skip it, or have not touched it
for half an hour. Who has which is in `review/leases.jsonl`, which a server that is started again
reads. If that file is lost, an item may go to one person too many, and has one more rating.
"""

import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from glider.core.base import Frozen
from glider.core.errors import RunError
from glider.review.answers import Person
from glider.review.items import ReviewItem
from glider.review.plan import ReviewPlan, Visit, chance, is_held_out
from glider.store.journal import Journal

LEASES = "leases.jsonl"
_LEASE_SECONDS = 1800.0
_WRITTEN_SECONDS = 60.0
"""A lease that goes on is written again after this time."""


class Lease(Frozen):
    """An item is somebody's."""

    person: str
    item: str
    at: float
    """Unix time of the person's last request."""


class Queue:
    """The items of a plan, given out one at a time."""

    def __init__(
        self,
        plan: ReviewPlan,
        items: Mapping[str, ReviewItem],
        people: Mapping[str, Person],
        folder: Path,
    ) -> None:
        """Open the leases in `folder`.

        Raises:
            RunError: they cannot be written.
            DataError: they are damaged.
        """
        self._plan, self._people = plan, people
        self._content = {id: item.content for id, item in items.items()}
        # Not in the run's order: what is answered when people stop is then a random part.
        self._items = sorted(plan.items, key=lambda one: chance(plan, "queue", "", one.id))
        self._held: dict[str, Lease] = {}
        self._written: dict[str, Lease] = {}
        self._journal = Journal(folder / LEASES, Lease, keep=self._take)

    def _take(self, lease: Lease) -> bool:
        if lease.person in self._people:
            self._held[lease.person] = lease
        return False

    def close(self) -> None:
        """Close the file of leases."""
        self._journal.__exit__(None, None, None)

    def visits(self, person: Person) -> list[Visit]:
        """Return what a person has answered or skipped, in order, and the item that is theirs."""
        seen = {
            visit
            for visit, stage in person.current
            if stage == "skip" or (stage == "blind" and self._answered(person, visit))
        }
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
        now = time.time()
        lease = self._held.get(person.name)
        item = lease.item if lease is not None else None
        if item is None or item in seen:
            item = self._next(person, seen, now)
        if item is None:
            self._held.pop(person.name, None)
        else:
            self._hold(Lease(person=person.name, item=item, at=now))
        return item

    def _hold(self, lease: Lease) -> None:
        self._held[lease.person] = lease
        before = self._written.get(lease.person)
        if before is None or before.item != lease.item or lease.at - before.at > _WRITTEN_SECONDS:
            self._written[lease.person] = lease
            with suppress(RunError):  # on a full disk an answer says so; a lease can be lost
                self._journal.add(lease)

    def _next(self, person: Person, seen: set[str], now: float) -> str | None:
        looked_at = Counter(
            lease.item
            for name, lease in self._held.items()
            if name != person.name
            and now - lease.at < _LEASE_SECONDS
            and not self._answered(self._people[name], lease.item)
        )
        each = self._plan.each or len(self._plan.people)
        for drawn in self._items:
            if drawn.id in seen:
                continue
            given = sum(self._answered(other, drawn.id) for other in self._people.values())
            if given + looked_at[drawn.id] < each:
                return drawn.id
        return None

    def _answered(self, person: Person, item: str) -> bool:
        """Whether a person has answered the item's text as it is now."""
        answer = person.blind(item)
        return answer is not None and answer.content == self._content.get(item)
