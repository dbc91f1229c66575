"""The alternative-annotator test (Calderon, Reichart and Dror 2025, arXiv 2501.10970).

Each person is left out in turn. On every item, the judge and that person are each compared with the
remaining people: minus the root mean square of their distances. The judge wins against the
person if it is at least as near on more items, minus epsilon, which stands for the greater cost
and care of a person. The paper's t test of the item differences uses prompts as clusters here.
"""

from collections.abc import Sequence

import numpy as np

from glider.review.results import AlternativeAnnotator, Replacement
from glider.stats.clustered import codes, mean_variance
from glider.stats.multiplicity import benjamini_yekutieli
from glider.stats.statistic import Floats, Ints

EPSILON = 0.15
"""The paper's values: 0.2 for experts, 0.15 for trained people, 0.1 for a crowd."""
_FEWEST = 5
"""Minimum number of prompts for a test."""
_LEVEL = 0.05


def alternative_annotator(
    names: Sequence[str],
    scores: Floats,
    judge: Floats,
    clusters: Ints,
    *,
    epsilon: float = EPSILON,
) -> AlternativeAnnotator:
    """Run the test for every person.

    Args:
        names: the people's names.
        scores: the people's scores, shape (items, people); NaN where missing.
        judge: the judge's scores, shape (items,).
        clusters: prompt of each item, shape (items,).
        epsilon: from 0 to 1.
    """
    if len(names) < 3:
        why = f"it needs three people who score the same items, not {len(names)}"
        return AlternativeAnnotator(epsilon=epsilon, undefined=why)
    found: list[tuple[str, int, float, float, float]] = []
    for column, name in enumerate(names):
        others = np.delete(scores, column, axis=1)
        rows = np.flatnonzero(np.isfinite(scores[:, column]) & np.isfinite(others).any(axis=1))
        if codes(clusters[rows])[1] >= _FEWEST:
            told = _against(
                scores[rows, column], others[rows], judge[rows], clusters[rows], epsilon
            )
            found.append((name, len(rows), *told))
    if not found:
        return AlternativeAnnotator(epsilon=epsilon, undefined="people share too few items")
    adjusted = benjamini_yekutieli([p for *_, p in found])
    people = tuple(
        Replacement(
            person=name,
            n=n,
            judge_at_least_as_near=of_judge,
            person_at_least_as_near=of_person,
            p=p,
            p_adjusted=float(q),
            judge_wins=bool(q < _LEVEL),
        )
        for (name, n, of_judge, of_person, p), q in zip(found, adjusted, strict=True)
    )
    return AlternativeAnnotator(
        epsilon=epsilon,
        people=people,
        winning_rate=sum(one.judge_wins for one in people) / len(people),
        advantage=sum(one.judge_at_least_as_near for one in people) / len(people),
    )


def _against(
    own: Floats, rest: Floats, judge: Floats, clusters: Ints, epsilon: float
) -> tuple[float, float, float]:
    """Return the shares of items on which the judge, and the person, is at least as near; and p."""
    of_judge = -np.sqrt(np.nanmean((judge[:, None] - rest) ** 2, axis=1))
    of_person = -np.sqrt(np.nanmean((own[:, None] - rest) ** 2, axis=1))
    judge_near = of_judge >= of_person - 1e-9
    person_near = of_person >= of_judge - 1e-9
    d = person_near * 1.0 - judge_near * 1.0
    group, n_groups = codes(clusters)
    # All items agree: use what one more prompt could have shown.
    spread = max(float(np.sqrt(mean_variance(d, group, n_groups))), 1 / n_groups)
    p = _t_below((float(d.mean()) - epsilon) / spread, n_groups - 1)
    return float(judge_near.mean()), float(person_near.mean()), p


def _t_below(t: float, degrees: int) -> float:
    """Return P(T < t) of Student's t."""
    from scipy.stats import t as student

    return float(student.cdf(t, degrees))
