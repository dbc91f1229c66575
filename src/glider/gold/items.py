"""Item: one text (or pair) under one criterion, with its human labels.

Gold stays on the scale people used; the criterion may have another (people rated 0 to 100, the
judge has five levels). `on_gold_scale` is the one place where a judge's score is carried over.
A record that gives no item is never passed over in silence: it is counted in the notes of `Loaded`.
Nothing here asks a model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from glider.core.criteria import Criterion
from glider.core.judgments import Span
from glider.core.samples import Sample

OWN = "own labels"
"""Family of a person's own files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One judged thing and its gold."""

    sample: Sample
    criterion: Criterion
    """What is put to the judge."""
    gold: float
    """The settled human label on `scale`. Of a pair: 0 the first output is better, 1 the second,
    0.5 a tie."""
    scale: tuple[float, float]
    """Lowest and highest label there is."""
    part: str
    """Figures are made for each part of a set and averaged over its parts."""
    cluster: str
    """Items that share a prompt or document are not independent; intervals resample clusters."""
    ratings: tuple[float, ...] = ()
    """Single ratings on `scale`, where several people judged."""
    spans: tuple[Span, ...] = ()
    """Human highlights."""
    reason: str | None = None
    """What people wrote."""
    lang: str = "en"
    group: str = ""
    """A named subset, such as RM-Bench's `hard`; it may cut across the parts. Empty: of none."""
    as_written: bool = False
    """The criterion speaks of all outputs itself (a published comparison): it is asked as it
    stands, as one task with one score, whatever the number of outputs."""

    @property
    def is_pair(self) -> bool:
        """Two outputs are compared, in both orders, under a criterion that speaks of one."""
        return len(self.sample.judged) == 2 and not self.as_written

    def on_gold_scale(self, score: float) -> float:
        """A score on the criterion's rubric, carried linearly to the scale of the labels."""
        low, high = self.scale
        rubric = self.criterion.rubric
        if (rubric.low, rubric.high) == (low, high):
            return score
        return low + (high - low) * rubric.normalize(score)


@dataclass(frozen=True, slots=True)
class LoadedSet:
    """The items of a set, and what was odd about the records they came from."""

    items: list[Item]
    notes: tuple[str, ...] = ()
    """One sentence each, with a count; no paths."""


class Notes:
    """What was odd, counted by kind, with the first places."""

    def __init__(self) -> None:
        self._lines: dict[str, list[int]] = {}

    def add(self, what: str, line: int) -> None:
        """One more record that is odd in this way."""
        self._lines.setdefault(what, []).append(line)

    def sentences(self) -> tuple[str, ...]:
        """A sentence for each kind, in the order in which they were met."""
        return tuple(
            f"{what}: {len(lines)} (line {', '.join(map(str, lines[:3]))}"
            + (", ...)" if len(lines) > 3 else ")")
            for what, lines in self._lines.items()
        )


def oddities(items: Sequence[Item]) -> tuple[str, ...]:
    """What statistics over these items cannot mend: constant labels, one cluster, ties."""
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
