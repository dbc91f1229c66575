"""Reviewable items: a run's texts with the judge's answers, and how items are drawn.

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
from glider.core.judgments import Comparison, Failure, Judgment, Step
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask, pair_id
from glider.store.manifest import NO_JUDGE
from glider.store.run import AskedCriteria, load_manifest, outcomes, samples

REJECTED = "rejected judgment"
"""Name of the step that holds a wrong judgment of the same text, where data was made with one."""


@dataclass(frozen=True)
class ReviewItem:
    """One text (or pair) under one criterion, with the judge's answer if there is a judge."""

    sample: Sample
    criterion: Criterion
    outcome: Judgment | Comparison | None

    @cached_property
    def id(self) -> str:
        """The task's id, which is the same for the same texts and criterion in any run."""
        if self.outcome is not None:
            return self.outcome.task_id
        if self.pair:
            return pair_id(self.sample, self.criterion, *self.pair)
        return JudgeTask(self.sample, self.criterion).id

    @property
    def is_pair(self) -> bool:
        """Whether two outputs are compared."""
        return self.pair is not None

    @cached_property
    def pair(self) -> tuple[str, str] | None:
        """The names of the two outputs that are compared, in the order of their labels."""
        if isinstance(self.outcome, Comparison):
            return self.outcome.first, self.outcome.second
        names = [field.name for field in self.sample.judged]
        return (names[0], names[1]) if self.outcome is None and len(names) == 2 else None

    @property
    def of_two(self) -> bool:
        """Whether two outputs are compared, or a single judgment is of two."""
        return len(self.sample.judged) == 2

    @property
    def rejected(self) -> Step | None:
        """A wrong judgment of the same text, where data was made with one."""
        steps = self.outcome.steps if self.outcome is not None else ()
        return next((step for step in steps if step.name == REJECTED), None)

    @cached_property
    def content(self) -> str:
        """Hash of what a person sees before the judge's answer; any change of a text changes it."""
        return content_hash([self.sample.content_id, self.criterion.content_id])

    @cached_property
    def title(self) -> str:
        """The beginning of the judged text, on one line."""
        return " ".join(self.sample.judged[0].text[:200].split())[:80]


class Drawn(Frozen):
    """A drawn item."""

    id: str
    row: int
    content: str
    stratum: str
    probability: float = Field(gt=0, le=1)
    """The inclusion probability of an item of its stratum."""


def run_items(run: Path) -> Iterator[tuple[int, ReviewItem]]:
    """Yield row and item of every judgment and comparison of a run; failures are skipped.

    Of a run without a judge (`texts.py`), every text under every criterion that was asked of it.
    The same texts under the same criterion are one item, however many rows contain them.

    Raises:
        RunError, DataError: it is not a run, or it is damaged.
    """
    texts = dict(samples(run))
    asked = AskedCriteria(run)
    seen: set[str] = set()
    if load_manifest(run).judge == NO_JUDGE:
        for row, sample in texts.items():
            for criterion in asked.at(row):
                item = ReviewItem(sample, criterion, None)
                if item.id not in seen:
                    seen.add(item.id)
                    yield row, item
        return
    for row, outcome in outcomes(run):
        if isinstance(outcome, Failure) or row not in texts or outcome.task_id in seen:
            continue
        if (known := asked.of(row, outcome)) is not None:
            seen.add(outcome.task_id)
            yield row, ReviewItem(texts[row], known, outcome)


def stratum_of(item: ReviewItem, by: str) -> str:
    """Return an item's stratum by `score`, `criterion` or `doubt`; empty if unstratified."""
    outcome = item.outcome
    if by == "criterion":
        return item.criterion.heading
    if outcome is None:
        return ""
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
    """Draw items: equally many from each stratum as far as possible, or by their worth.

    Args:
        items: rows and items, in the run's order.
        size: number of items; None takes all, each with probability 1.
        by: `score`, `criterion`, `doubt`; `worth`, see `_by_worth`; empty draws without strata.

    Raises:
        DataError: there is nothing to draw from, or no probability to tell the worth by.
    """
    if not items:
        raise DataError("the run has no judgment to look at")
    if by == "worth" and size is not None and size < len(items):
        return _by_worth(items, size, Random(f"{seed}:worth"))
    strata: dict[str, list[tuple[int, ReviewItem]]] = defaultdict(list)
    for row, item in items:
        strata[stratum_of(item, by)].append((row, item))
    shares = _shares({name: len(found) for name, found in strata.items()}, size)
    drawn: list[Drawn] = []
    for name in sorted(strata):
        found, n = strata[name], shares[name]
        rng = Random(f"{seed}:{name}")
        drawn += [_drawn(one, name, n / len(found)) for one in rng.sample(found, n)]
    return sorted(drawn, key=lambda one: (one.row, one.id))


def _drawn(one: tuple[int, ReviewItem], stratum: str, probability: float) -> Drawn:
    row, item = one
    return Drawn(
        id=item.id, row=row, content=item.content, stratum=stratum, probability=probability
    )


def _by_worth(items: Sequence[tuple[int, ReviewItem]], size: int, rng: Random) -> list[Drawn]:
    """Draw items that tell a calibration most: with a probability that rises with the spread.

    The best probability is proportional to the standard deviation of what the label adds to the
    judge's score (Neyman 1934; Zrnic and Candes 2024, arXiv 2403.03208), for which the judge's own
    distribution stands. Half of it is uniform, so that a judge that is wrongly sure costs at most a
    factor of two. Systematic sampling in random order has exactly these probabilities.
    """
    spreads = [_spread(item.outcome) for _, item in items]
    known = [spread for spread in spreads if spread is not None]
    if not known or not sum(known):
        raise DataError("the judge gives no probabilities, so no item can be told to be worth more",
                        hint="leave out --by worth, or draw by score")  # fmt: skip
    usual = sum(known) / len(known)
    wanted = [0.5 + 0.5 * (usual if s is None else s) / usual for s in spreads]
    chances = _scaled(wanted, size)
    order = list(range(len(items)))
    rng.shuffle(order)
    at, reached, drawn = rng.random(), 0.0, []
    for n in order:
        reached += chances[n]
        if reached > at:
            drawn.append(_drawn(items[n], "", chances[n]))
            at += 1
    return sorted(drawn, key=lambda one: (one.row, one.id))


def _scaled(wanted: Sequence[float], size: int) -> list[float]:
    """Return probabilities proportional to `wanted`, at most 1, that sum to `size`."""
    sure: set[int] = set()
    while True:
        rest = sum(w for n, w in enumerate(wanted) if n not in sure)
        factor = (size - len(sure)) / rest
        more = {n for n, w in enumerate(wanted) if n not in sure and w * factor >= 1}
        if not more:
            return [1.0 if n in sure else w * factor for n, w in enumerate(wanted)]
        sure |= more


def _spread(outcome: Judgment | Comparison | None) -> float | None:
    """Return the standard deviation of the judge's own distribution, as a share of the scale."""
    if outcome is None:
        return None
    if isinstance(outcome, Comparison):
        p = outcome.p_first
        return None if p is None else (p * (1 - p)) ** 0.5
    probs = outcome.score_probs
    if not probs:
        return None
    low, high = min(probs), max(probs)
    mean = sum(level * p for level, p in probs.items())
    variance = sum(p * (level - mean) ** 2 for level, p in probs.items())
    return float(max(variance, 0.0) ** 0.5 / ((high - low) or 1))


def _shares(sizes: dict[str, int], size: int | None) -> dict[str, int]:
    """Return each stratum's sample size: as even as possible, summing to `size` or all items."""
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
    """Return the number of run items that a drawn one represents."""
    return 1 / drawn.probability
