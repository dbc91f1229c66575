"""One criterion of a run, prepared for display: mean, levels, pairs.

Arranges what `summary.py` has counted; counts nothing itself. The input is the criterion's part of
`summary.json` (`figures`) and its tally of comparisons.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from glider.core.criteria import Criterion
from glider.data.clusters import Clusters
from glider.pages.words import slug
from glider.report.data import PageData, labelled
from glider.report.summary import Tally

Figures = Mapping[str, Any]
"""One criterion's part of `summary.json`."""


@dataclass(frozen=True, slots=True)
class MeanBar:
    """A mean with its interval on the rubric's scale; places are in per cent of it."""

    low: int
    high: int
    mean: float
    interval: tuple[float, float]
    at: float
    left: float
    width: float
    ticks: tuple[float, ...]


@dataclass(frozen=True)
class Card:
    """One criterion with its results."""

    criterion: Criterion
    tally: Tally
    figures: Figures
    label: str
    """Its heading; numbered if several criteria share the name."""
    number: int | None = None
    """Number among the run's criteria, if it shares its name with others."""
    variants: "Sequence[Card]" = ()
    """The criteria of this name, each with a card of its own."""

    @property
    def anchor(self) -> str:
        """Fragment of its place on the page."""
        name = self.criterion.name
        return slug(name if self.number is None else f"{name} {self.criterion.content_id}")

    @cached_property
    def counts(self) -> dict[int, int]:
        """Score to count (JSON keys are strings). Empty if scales differ."""
        return {int(score): n for score, n in self.figures.get("counts", {}).items()}

    @property
    def total(self) -> int:
        """Scores given."""
        return sum(self.counts.values())

    @property
    def levels(self) -> list[tuple[int, str]]:
        """Scores and their descriptions, highest first; a score outside the rubric has none."""
        own = {} if self.several else dict(self.criterion.rubric.levels)
        known = dict.fromkeys(self.counts, "") | own
        return sorted(known.items(), reverse=True)

    @property
    def several(self) -> int:
        """Number of criteria with this name, if rows have their own; 0 for one."""
        found: int = self.figures.get("criteria", 0)
        return found

    @property
    def by_scale(self) -> list[tuple[str, dict[int, int]]]:
        """If scales differ: each scale with its counts by score."""
        found = self.figures.get("counts_by_scale", {})
        return [(scale, {int(s): n for s, n in counts.items()}) for scale, counts in found.items()]

    @property
    def only_pairs(self) -> bool:
        """Whether outputs were only compared, never scored."""
        return bool(self.tally.wins) and not self.tally.scores

    @property
    def why_no_mean(self) -> str:
        """Why there is no mean; empty if there is one."""
        if "mean" in self.figures:
            return ""
        if self.by_scale:
            whole = self.figures["normalized_mean"]
            if whole.get("value") is None:
                return "different scales, no mean"
            ends = f"{whole['low']:.2f} to {whole['high']:.2f}"
            return f"different scales; normalized mean {whole['value']:.2f}, {ends}"
        alike = [score for score, n in self.counts.items() if n]
        return f"every score is {alike[0]}" if self.figures["judged"] > 1 else "too few judgments"

    @property
    def bar(self) -> MeanBar:
        """The mean on its scale; check `why_no_mean` first."""
        rubrics = self.tally.criteria.values() if self.several else [self.criterion]
        scores = sorted({*self.counts, *(s for each in rubrics for s in each.rubric.scores)})
        low, high = scores[0], scores[-1]

        def place(value: float) -> float:
            return round(100 * (value - low) / (high - low), 2)

        # A mean cannot lie outside the scale, so its interval is cut to it.
        lower, upper = max(self.figures["low"], low), min(self.figures["high"], high)
        return MeanBar(
            low=low,
            high=high,
            mean=self.figures["mean"],
            interval=(lower, upper),
            at=place(self.figures["mean"]),
            left=place(lower),
            width=round(max(place(upper) - place(lower), 0.6), 2),
            ticks=tuple(map(place, scores)),
        )

    @property
    def duel(self) -> list[tuple[str, str, int]]:
        """For one pair of fields: `first`, `tie`, `second` with labels and counts."""
        ((first, second),) = self.tally.pairs
        said = {"first": f"{first} better", "tie": "Tie", "second": f"{second} better"}
        return [(place, words, self.tally.places[place]) for place, words in said.items()]

    @property
    def league(self) -> list[tuple[str, int, int]]:
        """For several pairs: every field with its wins and comparisons, best first."""
        played: Counter[str] = Counter()
        for pair, n in self.tally.pairs.items():
            played.update(dict.fromkeys(pair, n))
        wins = self.tally.wins
        found = [(field, wins[field], n) for field, n in played.items()]
        return sorted(found, key=lambda each: -each[1] / each[2])


def cards_of(data: PageData, figures: Mapping[str, Figures], clusters: Clusters) -> list[Card]:
    """One card per name; criteria that share a name get one card each below it.

    Args:
        figures: name to its part of `summary.json`.
        clusters: which rows are not independent.
    """
    labels = labelled(data.criteria)
    cards: dict[str, Card] = {}
    for criterion in data.criteria:
        name = criterion.name
        if name in cards:
            continue
        variants = [
            Card(c, tally, tally.figures(clusters), labels[c.content_id], number)
            for number, c in enumerate(data.criteria)
            if c.name == name and (tally := data.variants.get(c.content_id)) is not None
        ]
        tally = data.tallies.by_criterion[name]
        cards[name] = Card(criterion, tally, figures[name], criterion.heading, variants=variants)
    return list(cards.values())
