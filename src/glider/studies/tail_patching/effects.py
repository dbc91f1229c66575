"""Effects of a patch on the development sets: paired differences, intervals, ratings."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from glider.core.base import Frozen
from glider.gold.sets import known, load_set
from glider.stats.estimates import Estimate, Undefined
from glider.studies.tail_patching.measuring import Development, Scores
from glider.training.agreement import correlates

if TYPE_CHECKING:
    from glider.stats.statistic import Prepared

_INTERVAL = 3.92
"""Width of a 95 % interval in standard errors."""


class PatchEffect(Frozen):
    """Effect of a patch on some development sets; positive is better."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    why: str = ""
    """Reason why there is no valid figure."""

    @property
    def rating(self) -> int:
        """Return +2 (significantly better), +1 (better by a standard error), 0, or -1 (worse)."""
        if self.value is None or self.low is None or self.high is None:
            return 0
        if self.low > 0:
            return 2
        if self.high < 0:
            return -1
        return int(self.value > (self.high - self.low) / _INTERVAL)

    def __str__(self) -> str:
        if self.value is None:
            return "none"
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def effect(
    before: Scores,
    after: Scores,
    dev: Development,
    sets: Collection[str],
    metric: str,
    *,
    seed: int,
) -> PatchEffect:
    """Estimate the paired difference of a metric, averaged over sets, with an interval.

    The bootstrap resamples whole clusters. The sign of `loss` is flipped.
    """
    import numpy as np

    from glider.stats.resampling import paired_difference

    rows = [n for n, example in enumerate(dev.examples) if example.set in sets]
    clusters = [f"{dev.examples[n].set}:{dev.examples[n].cluster}" for n in rows]
    found = paired_difference(
        _figure(after, dev, rows, metric),
        _figure(before, dev, rows, metric),
        clusters,
        rng=np.random.default_rng(seed),
    )
    if isinstance(found, Undefined):
        return PatchEffect(value=None, low=None, high=None, n=found.n, why=found.reason)
    assert isinstance(found, Estimate)
    low, value, high = (round(x, 6) for x in (found.low, found.value, found.high))
    return PatchEffect(value=value, low=low, high=high, n=found.n)


def _figure(values: Scores, dev: Development, rows: Sequence[int], metric: str) -> "Prepared":
    import numpy as np

    from glider.stats.correlation import pearson
    from glider.stats.statistic import average, mean_of

    parts: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        parts.setdefault(dev.examples[row].set, []).append(number)
    made = []
    for numbers in parts.values():
        mine = [values[dev.examples[rows[n]].id] for n in numbers]
        if metric == "pearson":
            gold = [dev.gold[rows[n]] for n in numbers]
            one = pearson.on([score.expected for score in mine], gold)
        elif metric == "accuracy":
            one = mean_of([float(score.right) for score in mine], (0, 1))
        else:
            one = mean_of([-score.loss for score in mine])
        made.append((one, np.array(numbers)))
    return average(made, len(rows))


def categories(dev: Development, metric: str) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return the development sets of each family, and the sets without a figure with the reason."""
    families: dict[str, list[str]] = {}
    left_out = dict(dev.left_out)
    shipped = set(known())
    for name in sorted({example.set for example in dev.examples}):
        gold = [
            value
            for example, value in zip(dev.examples, dev.gold, strict=True)
            if example.set == name
        ]
        if metric == "pearson" and not correlates(gold):
            left_out[name] = f"{len(gold)} scores, too few or all alike"
            continue
        families.setdefault(load_set(name).family if name in shipped else name, []).append(name)
    return families, left_out
