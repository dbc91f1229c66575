"""Item: one text (or pair) under one criterion, with its human labels.

Gold labels stay on the annotators' scale; the criterion's scale may differ (people rated 0 to 100,
the judge has five levels). Only `on_gold_scale` maps a judge's score to the gold scale. Records
that give no item are never dropped silently: the notes of `LoadedSet` count them. This module calls
no model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from glider.core.criteria import Criterion
from glider.core.judgments import Span
from glider.core.samples import Sample

OWN = "own labels"
"""Family of the user's own files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One judged text or pair with its gold label."""

    sample: Sample
    criterion: Criterion
    """The criterion the judge applies."""
    gold: float
    """The final human label on `scale`. For a pair: 0 means the first output is better, 1 the
    second, 0.5 a tie."""
    scale: tuple[float, float]
    """Lowest and highest possible label."""
    part: str
    """The part of the set; metrics are computed per part and averaged over parts."""
    cluster: str
    """Shared by items of one prompt or document, which are dependent; the bootstrap resamples
    clusters."""
    ratings: tuple[float, ...] = ()
    """Individual ratings on `scale`, if there were several annotators."""
    spans: tuple[Span, ...] = ()
    """Human highlights."""
    reason: str | None = None
    """The reason that people wrote."""
    lang: str = "en"
    group: str = ""
    """A named subset, such as RM-Bench's `hard`; may cut across parts. Empty: in no subset."""
    as_written: bool = False
    """Whether the criterion itself refers to all outputs (a published comparison). It is then used
    verbatim, as one task with one score for any number of outputs."""

    @property
    def is_pair(self) -> bool:
        """Whether two outputs are compared, in both orders, by a criterion for one output."""
        return len(self.sample.judged) == 2 and not self.as_written

    def on_gold_scale(self, score: float) -> float:
        """Map a score linearly from the criterion's rubric to the scale of the labels."""
        low, high = self.scale
        rubric = self.criterion.rubric
        if (rubric.low, rubric.high) == (low, high):
            return score
        return low + (high - low) * rubric.normalize(score)


@dataclass(frozen=True, slots=True)
class LoadedSet:
    """The items of a set, and notes on irregularities in their records."""

    items: list[Item]
    notes: tuple[str, ...] = ()
    """One sentence each, with a count; no paths."""


class Notes:
    """Counts of irregularities by kind, with the first places."""

    def __init__(self) -> None:
        self._lines: dict[str, list[int]] = {}

    def add(self, what: str, line: int) -> None:
        """Count one more record with this irregularity."""
        self._lines.setdefault(what, []).append(line)

    def sentences(self) -> tuple[str, ...]:
        """Return a sentence for each kind, in order of first occurrence."""
        return tuple(
            f"{what}: {len(lines)} (line {', '.join(map(str, lines[:3]))}"
            + (", ...)" if len(lines) > 3 else ")")
            for what, lines in self._lines.items()
        )


def oddities(items: Sequence[Item]) -> tuple[str, ...]:
    """Name problems that statistics cannot fix: constant labels, one cluster, ties."""
    golds: dict[str, set[float]] = {}
    for item in items:
        golds.setdefault(item.part, set()).add(item.gold)
    found = [
        f"every label of {part!r} is {min(values):g}"
        for part, values in golds.items()
        if len(values) == 1
    ]
    if len({item.cluster for item in items}) == 1:
        found.append("all items are of one cluster, so there are no intervals and no tests")
    if ties := sum(item.is_pair and item.gold == 0.5 for item in items):
        found.append(
            f"{ties} of {len(items)} pairs are ties in the labels; no accuracy rests on them"
        )
    return tuple(found)
