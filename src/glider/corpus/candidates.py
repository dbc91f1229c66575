"""Candidates for a mixture, and counts of the items left out or changed."""

from collections import Counter
from dataclasses import dataclass, field

from glider.gold.items import Item
from glider.gold.sets import LabelledSet

IN_BENCHMARK = "in a benchmark"
"""Prefix of the reason given for items that overlap a benchmark."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item that may become examples."""

    labelled: LabelledSet
    item: Item
    copy: int = 0
    """0 for the first use of the item, 1 for the second, ..."""
    derived: bool = False
    """A pair made from single outputs; its wording is never changed."""

    @property
    def name(self) -> str:
        """The name that seeds this candidate's random draws."""
        again = f":{self.copy}" if self.copy else ""
        return f"{self.labelled.name}:{self.item.sample.id}:{self.item.criterion.name}{again}"


@dataclass
class CandidateCounts:
    """Counts of the items left out or changed, by set."""

    loaded: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, Counter[str]] = field(default_factory=dict)
    changed: Counter[str] = field(default_factory=Counter)
    bare: dict[str, Counter[str]] = field(default_factory=dict)
    """Why an answer is a bare score although a reason was available."""

    def drop(self, name: str, why: str, n: int = 1) -> None:
        """Count `n` more items of a set as left out."""
        if n:
            self.left_out.setdefault(name, Counter())[why] += n

    def keep_bare(self, name: str, why: str) -> None:
        """Count one more reason that is not used."""
        self.bare.setdefault(name, Counter())[why] += 1

    def reasons(self) -> list[tuple[str, int]]:
        """Reasons for leaving items out, with counts: benchmarks first, then by frequency."""
        total: Counter[str] = Counter()
        for reasons in self.left_out.values():
            total.update(reasons)
        return sorted(total.items(), key=lambda one: (not one[0].startswith(IN_BENCHMARK), -one[1]))
