"""What is put before people: a run's texts with what the judge said of them, and which are drawn.

Drawing keeps each item's inclusion probability, so that estimates over the drawn items can be
weighted back to the run (Horvitz and Thompson 1952).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random

from pydantic import Field

from glider.core.base import Frozen, content_hash
from glider.core.criteria import Criterion
from glider.core.errors import DataError
from glider.core.judgments import Comparison, Failure, Judgment
from glider.core.samples import Sample
from glider.store.run import AskedCriteria, load_manifest, outcomes, samples


@dataclass(frozen=True)
class ReviewItem:
    """One text (or pair) under one criterion, with what the judge said of it."""

    sample: Sample
    criterion: Criterion
    outcome: Judgment | Comparison

    @property
    def id(self) -> str:
        """The task's id: the same texts under the same criterion, in any run."""
        return self.outcome.task_id

    @property
    def is_pair(self) -> bool:
        """Two outputs are compared."""
        return isinstance(self.outcome, Comparison)

    @cached_property
    def content(self) -> str:
        """Hash of what a person is shown before the judge's answer; it changes with any text."""
        return content_hash([self.sample.content_id, self.criterion.content_id])

    @cached_property
    def title(self) -> str:
        """The beginning of what is judged, in one line."""
        return " ".join(self.sample.judged[0].text[:200].split())[:80]


class Drawn(Frozen):
    """An item that was drawn."""

    id: str
    row: int
    content: str
    stratum: str
    probability: float = Field(gt=0, le=1)
    """That an item of its stratum is drawn."""


def run_items(run: Path) -> Iterator[tuple[int, ReviewItem]]:
    """Row and item of every judgment and comparison of a run; failures have nothing to look at.

    The same texts under the same criterion are one item, however many rows hold them.

    Raises:
        RunError, DataError: it is no run, or it is damaged.
    """
    load_manifest(run)
    texts = dict(samples(run))
    asked = AskedCriteria(run)
    seen: set[str] = set()
    for row, outcome in outcomes(run):
        if isinstance(outcome, Failure) or row not in texts or outcome.task_id in seen:
            continue
        criterion = asked.of(row, outcome)
        if criterion is not None:
            seen.add(outcome.task_id)
            yield row, ReviewItem(texts[row], criterion, outcome)


def stratum_of(item: ReviewItem, by: str) -> str:
    """The stratum of an item: `score`, `criterion`, `doubt`, or nothing."""
    outcome = item.outcome
    if by == "criterion":
        return item.criterion.heading
    if by == "score":
        return str(outcome.score) if isinstance(outcome, Judgment) else str(outcome.preferred)
    if by == "doubt":
        doubt = _doubt(outcome)
        return "unknown" if doubt is None else ("high" if doubt > 0.5 else "low")
    return ""


def _doubt(outcome: Judgment | Comparison) -> float | None:
    if isinstance(outcome, Judgment):
        return outcome.doubt
    return None if outcome.p_first is None else 1 - abs(2 * outcome.p_first - 1)


def draw(
    items: Sequence[tuple[int, ReviewItem]], size: int | None, *, by: str = "", seed: int = 0
) -> list[Drawn]:
    """Draw items, the same number of each stratum as far as it has them.

    Args:
        items: rows and items, in the run's order.
        size: how many; None takes all, each with probability 1.
        by: `score`, `criterion`, `doubt`; empty draws from all alike.

    Raises:
        DataError: there is nothing to draw from.
    """
    if not items:
        raise DataError("the run has no judgment to look at")
    strata: dict[str, list[tuple[int, ReviewItem]]] = defaultdict(list)
    for row, item in items:
        strata[stratum_of(item, by)].append((row, item))
    shares = _shares({name: len(found) for name, found in strata.items()}, size)
    drawn: list[Drawn] = []
    for name in sorted(strata):
        found, n = strata[name], shares[name]
        rng = Random(f"{seed}:{name}")
        for row, item in rng.sample(found, n):
            drawn.append(
                Drawn(
                    id=item.id,
                    row=row,
                    content=item.content,
                    stratum=name,
                    probability=n / len(found),
                )
            )
    return sorted(drawn, key=lambda one: (one.row, one.id))


def _shares(sizes: dict[str, int], size: int | None) -> dict[str, int]:
    """How many of each stratum: as even as the sizes allow, summing to `size` or all there is."""
    if size is None or size >= sum(sizes.values()):
        return dict(sizes)
    shares = dict.fromkeys(sizes, 0)
    left = size
    while left:
        open_strata = [name for name in sorted(sizes) if shares[name] < sizes[name]]
        each = max(1, left // len(open_strata))
        for name in open_strata:
            more = min(each, sizes[name] - shares[name], left)
            shares[name] += more
            left -= more
    return shares


def weight(drawn: Drawn) -> float:
    """Items of the run that a drawn one stands for."""
    return 1 / drawn.probability
