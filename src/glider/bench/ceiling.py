"""Agreement of people with people: the level a judge can be expected to reach.

If an item has several single ratings, each is compared with the mean of the others (for
classes and pairs: their majority). The rows are scored like any system's, under the name `human`,
with the same metrics and the same clusters.

Read it with two things in mind. The others are fewer than the people behind the gold that judges
are held against, so the ceiling is a little low. And raters are taken as exchangeable: sets seldom
say who is who, so one person's habit of grading high counts as disagreement. A judge may therefore
stand above it without knowing more than people do.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from glider.bench.scored import Scored, cluster_codes, item_id
from glider.gold.items import Item
from glider.gold.sets import Kind
from glider.stats.agreement import krippendorff_alpha
from glider.stats.estimates import Estimate, Undefined
from glider.stats.resampling import bootstrap

SYSTEM = "human"
_LEVELS: dict[Kind, Literal["nominal", "ordinal", "interval"]] = {
    "graded": "interval",
    "classes": "ordinal",
    "pairs": "nominal",
}


def human(benchmark: str, items: Sequence[Item], kind: Kind) -> Scored | Undefined:
    """Score every rating against the others of its item; n items with k ratings give n k rows.

    Items with fewer than two ratings are left out.

    Args:
        kind: kind of the set's labels; decides between mean and majority.
    """
    rows: list[Item] = []
    ratings: list[float | None] = []
    names: list[str] = []
    for item in items:
        if len(item.ratings) < 2:
            continue
        for place, rating in enumerate(item.ratings):
            gold = _of_others(item.ratings, place, kind)
            rows.append(replace(item, gold=gold))
            ratings.append(rating)
            names.append(f"{item_id(item)} rating {place + 1}")
    if not rows:
        return Undefined("no item has two single ratings or more", 0, len(items))
    made = Scored.of(benchmark, SYSTEM, rows, ratings)
    return replace(made, ids=tuple(names))


def _of_others(ratings: Sequence[float], place: int, kind: Kind) -> float:
    if kind == "graded":
        return (sum(ratings) - ratings[place]) / (len(ratings) - 1)
    others = Counter(ratings)
    others[ratings[place]] -= 1
    most = max(others.values())
    leading = sorted(rating for rating, count in others.items() if count == most)
    if kind == "pairs":
        return leading[0] if len(leading) == 1 else 0.5
    # Among tied classes, the one nearest to the mean; the lower of two at equal distance.
    mean = sum(rating * count for rating, count in others.items()) / (len(ratings) - 1)
    return min(leading, key=lambda rating: (abs(rating - mean), rating))


def agreement(
    items: Sequence[Item], kind: Kind, *, rng: np.random.Generator
) -> dict[str, Estimate | Undefined]:
    """Krippendorff's alpha among the raters of each part, with a cluster bootstrap interval.

    Graded labels are interval, classes ordinal, the two sides of a pair nominal. Items with
    one rating carry no information and count as skipped.
    """
    parts: dict[str, list[Item]] = {}
    for item in items:
        parts.setdefault(item.part, []).append(item)
    return {part: _alpha(inside, kind, rng) for part, inside in parts.items()}


def _alpha(items: Sequence[Item], kind: Kind, rng: np.random.Generator) -> Estimate | Undefined:
    rated = [item for item in items if len(item.ratings) > 1]
    skipped = len(items) - len(rated)
    if not rated:
        return Undefined("no item has two single ratings or more", 0, skipped)
    table = np.full((len(rated), max(len(item.ratings) for item in rated)), np.nan)
    for row, item in zip(table, rated, strict=True):
        row[: len(item.ratings)] = item.ratings
    statistic = krippendorff_alpha.on(table, level=_LEVELS[kind])
    return bootstrap(statistic, cluster_codes(rated), rng=rng, skipped=skipped)
