"""A judge's answers for the bench page: its uncertainty, and the largest disagreements with people.

A disagreement is worth a look but proves nothing: the label may also be wrong. Only the worst item
per prompt or document is taken, so that one bad document does not fill the list.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from glider.bench.scored import Floats, Scored, item_id
from glider.core.judgments import Comparison, Failure, Highlight, Judgment
from glider.gold.items import Item

MOST = 6
"""Number of disagreements kept per benchmark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """An item on which judge and people differ widely."""

    item: Item
    score: float
    """The judge's score, on the scale of the labels; for a pair P(the second is better)."""
    reasoning: str
    highlights: tuple[Highlight, ...]
    flipped: bool
    """For a pair: whether its two orders have different winners."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """One judge's answers on one benchmark."""

    scored: Scored
    doubt: Mapping[str, float]
    """The judge's uncertainty by item id, 0 to 1; without items that give none."""
    worst: tuple[Disagreement, ...]

    @classmethod
    def of(
        cls,
        scored: Scored,
        items: Sequence[Item],
        outcomes: Iterable[tuple[int, Judgment | Failure | Comparison]],
        *,
        most: int = MOST,
    ) -> Self:
        """Collect in a single pass; only the worst outcomes are kept in memory.

        Args:
            scored: made of these items in this order.
            outcomes: item number and outcome, in any order.
        """
        wanted = _farthest(scored, most)
        doubt: dict[str, float] = {}
        found: dict[int, Disagreement] = {}
        for number, outcome in outcomes:
            if isinstance(outcome, Failure):
                continue
            unsure = _doubt(outcome)
            if unsure is not None:
                doubt[item_id(items[number])] = unsure
            if number in wanted:
                found[number] = _disagreement(items[number], float(scored.score[number]), outcome)
        return cls(
            scored=scored,
            doubt=doubt,
            worst=tuple(found[number] for number in wanted if number in found),
        )


def _farthest(scored: Scored, most: int) -> list[int]:
    """Item numbers by distance of score and label as a share of the scale, largest first."""
    if not len(scored):
        return []
    low, high = np.array(scored.scales).T[:, scored.part]
    distance: Floats = np.abs(scored.score - scored.gold) / (high - low)
    distance[~scored.judged | ~np.isfinite(distance)] = -1
    chosen: list[int] = []
    seen: set[int] = set()
    for number in np.argsort(-distance, kind="stable").tolist():
        if distance[number] <= 0 or len(chosen) == most:
            break
        if int(scored.cluster[number]) not in seen:
            seen.add(int(scored.cluster[number]))
            chosen.append(number)
    return chosen


def _doubt(outcome: Judgment | Comparison) -> float | None:
    if isinstance(outcome, Judgment):
        return outcome.doubt
    return None if outcome.p_first is None else 1 - abs(2 * outcome.p_first - 1)


def _disagreement(item: Item, score: float, outcome: Judgment | Comparison) -> Disagreement:
    parts = outcome.orders if isinstance(outcome, Comparison) else (outcome,)
    shown = next((part for part in parts if isinstance(part, Judgment)), None)
    return Disagreement(
        item=item,
        score=score,
        reasoning=(shown.reasoning or "") if shown else "",
        highlights=shown.highlights if shown else (),
        flipped=isinstance(outcome, Comparison) and bool(outcome.flipped),
    )
