"""Candidates for a mixture, and counts of what is left out or changed."""

from collections import Counter
from dataclasses import dataclass, field

from glider.gold.items import Item
from glider.gold.sets import LabelledSet

IN_BENCHMARK = "in a benchmark"
"""How the reason begins of what a benchmark holds."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item that may become examples."""

    labelled: LabelledSet
    item: Item
    copy: int = 0
    """0 the first time it is used, 1 the second, ..."""
    derived: bool = False
    """A pair that was made of single outputs; its wording is not changed."""

    @property
    def name(self) -> str:
        """What its draws are seeded with."""
        again = f":{self.copy}" if self.copy else ""
        return f"{self.labelled.name}:{self.item.sample.id}:{self.item.criterion.name}{again}"


@dataclass
class CandidateCounts:
    """What was left out or changed, by set."""

    loaded: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, Counter[str]] = field(default_factory=dict)
    changed: Counter[str] = field(default_factory=Counter)
    bare: dict[str, Counter[str]] = field(default_factory=dict)
    """Why an answer with a reason at hand is a bare score."""

    def drop(self, name: str, why: str, n: int = 1) -> None:
        """`n` more items of a set that are not taken."""
        if n:
            self.left_out.setdefault(name, Counter())[why] += n

    def keep_bare(self, name: str, why: str) -> None:
        """One more reason that is not used."""
        self.bare.setdefault(name, Counter())[why] += 1

    def reasons(self) -> list[tuple[str, int]]:
        """Why items were left out of any set, and how many; benchmarks first, then the most."""
        total: Counter[str] = Counter()
        for reasons in self.left_out.values():
            total.update(reasons)
        return sorted(total.items(), key=lambda one: (not one[0].startswith(IN_BENCHMARK), -one[1]))
