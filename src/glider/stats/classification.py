"""Levels as classes: accuracy, macro-F1, confusion; AUC and MCC; MR-Ben's MR-Score.

Scores must be levels, except for AUC, which takes any number that increases with the chance of the
higher class. Labels within 1e-9 are equal. Averages leave out classes that do not occur.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from glider.stats.agreement import coded, percent_agreement
from glider.stats.estimates import Degenerate
from glider.stats.statistic import (
    SHARE,
    Floats,
    Prepared,
    Statistic,
    checked,
    constant,
    divided,
    runs,
    tally,
)

accuracy = percent_agreement
"""Share of items with the gold label, 0 to 1."""


def confusion(
    score: ArrayLike,
    gold: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    levels: Sequence[float] | None = None,
) -> tuple[Floats, Floats]:
    """Count the scores given for each gold label.

    Returns:
        The levels, ascending, shape (k,), and the counts, shape (k, k): gold by rows, scores by
        columns.

    Raises:
        Degenerate: there are no items, or a label is not one of `levels`.
    """
    x, y, values = coded(score, gold, levels)
    counts = np.zeros((len(values), len(values)))
    np.add.at(counts, (y, x), 1.0 if weights is None else np.asarray(weights, np.float64))
    return values, counts


@Statistic
def balanced_accuracy(
    score: ArrayLike, gold: ArrayLike, *, levels: Sequence[float] | None = None
) -> Prepared:
    """Mean recall over the gold labels that occur, 0 to 1; 1/k by guessing."""
    x, y, values = coded(score, gold, levels)
    of_gold, of_hits = tally(y, len(values)), tally(y, len(values), np.flatnonzero(x == y))

    def kernel(weights: Floats) -> Floats:
        total = of_gold(weights)
        occurs = total > 0
        recall = np.where(occurs, of_hits(weights) / total, 0)
        classes = occurs.sum(axis=1)
        return np.where(classes > 1, recall.sum(axis=1) / classes, np.nan)

    return Prepared(len(x), kernel, lambda weights: _one_class(values[y], weights), SHARE)


@Statistic
def macro_f1(
    score: ArrayLike, gold: ArrayLike, *, levels: Sequence[float] | None = None
) -> Prepared:
    """Mean F1 over the levels that occur in gold or among the scores, 0 to 1.

    A level that the judge gives and people never do counts with 0, so the figure falls when a
    judge strays. A level of a few items swings between 0 and 1: with fewer than about ten of one,
    the bootstrap's 95 % interval holds the truth 78 to 89 times in 100 (benchmarks/simulation.py),
    and it mostly errs by being too low.
    """
    x, y, values = coded(score, gold, levels)
    of_score, of_gold = tally(x, len(values)), tally(y, len(values))
    of_hits = tally(y, len(values), np.flatnonzero(x == y))

    def kernel(weights: Floats) -> Floats:
        either = of_score(weights) + of_gold(weights)
        occurs = either > 0
        f1 = np.where(occurs, 2 * of_hits(weights) / either, 0)
        classes = occurs.sum(axis=1)
        return np.where(classes > 1, f1.sum(axis=1) / classes, np.nan)

    return Prepared(len(x), kernel, lambda weights: _one_class(values[y], weights), SHARE)


@Statistic
def auc(score: ArrayLike, gold: ArrayLike) -> Prepared:
    """Area under the ROC curve, 0 to 1, 0.5 by guessing (Mann-Whitney; a tie counts half).

    The chance that an item of the higher class has the higher score. Gold must have two classes:
    cut a finer scale first, in sight of the reader.
    """
    x, y = checked(score, gold)
    classes = np.unique(y)
    if len(classes) > 2:
        raise Degenerate(f"AUC is of two classes, and gold has {len(classes)}")
    order = np.argsort(x, kind="stable")
    starts = runs(np.unique(x, return_inverse=True)[1][order].astype(np.int64))
    higher = (y[order] == classes[-1]) & (len(classes) == 2)

    def kernel(weights: Floats) -> Floats:
        ordered = np.take(weights, order, axis=1)
        total = np.add.reduceat(ordered, starts, axis=1)
        ordered *= higher
        high = np.add.reduceat(ordered, starts, axis=1)
        low = total - high
        below = np.cumsum(low, axis=1)
        below -= low / 2
        return divided(np.einsum("ij,ij->i", high, below), high.sum(axis=1) * low.sum(axis=1))

    return Prepared(len(x), kernel, lambda weights: _one_class(y, weights), SHARE)


@Statistic
def matthews(score: ArrayLike, gold: ArrayLike) -> Prepared:
    """Matthews' correlation, -1 to 1, also of more than two classes (Gorodkin 2004, R_K)."""
    x, y, values = coded(score, gold, None)
    of_score, of_gold = tally(x, len(values)), tally(y, len(values))
    hits = (x == y).astype(np.float64)

    def kernel(weights: Floats) -> Floats:
        n = weights.sum(axis=1)
        score_, gold_ = of_score(weights), of_gold(weights)
        together = n * (weights @ hits) - (score_ * gold_).sum(axis=1)
        spread = (n * n - (score_**2).sum(axis=1)) * (n * n - (gold_**2).sum(axis=1))
        return divided(together, np.sqrt(spread))

    def why(weights: Floats) -> str:
        return constant("score", values[x], weights) or _one_class(values[y], weights)

    return Prepared(len(x), kernel, why, (-1, 1))


@Statistic
def mr_score(score: ArrayLike, gold: ArrayLike) -> Prepared:
    """MR-Score of MR-Ben (arXiv 2406.13975): 0.2 max(0, MCC) + 0.3 steps + 0.5 reasons, 0 to 1.

    Steps and reasons are shares of the solutions that are wrong; a reason counts only where the
    judge called the solution wrong and named the right step.

    Args:
        score: shape (n, 3), each 0 or 1: the judge called the solution right; it named the first
            wrong step; it gave the reason.
        gold: shape (n,), 1 where the solution is right.

    Raises:
        Degenerate: all solutions are right, or all are wrong. A judge that says the same of all
            has MCC 0, as in the paper's code.
    """
    answers = np.asarray(score, np.float64)
    if answers.ndim != 2 or answers.shape[1] != 3:
        raise ValueError(f"scores must have the shape (n, 3), not {answers.shape}")
    said, truth = checked(answers[:, 0], gold)
    if not np.isin(answers, (0, 1)).all() or not np.isin(truth, (0, 1)).all():
        raise Degenerate("MR-Score knows 0 and 1 only")
    right_step = (said == 0) & (answers[:, 1] == 1)
    right_reason = right_step & (answers[:, 2] == 1)
    wrong = truth == 0
    columns = np.column_stack(
        (
            *(said * truth, said * wrong, (1 - said) * truth, (1 - said) * wrong),
            *(wrong & right_step, wrong & right_reason),
        )
    )

    def kernel(weights: Floats) -> Floats:
        true_right, false_right, false_wrong, true_wrong, step, reason = (weights @ columns).T
        n_right, n_wrong = true_right + false_wrong, true_wrong + false_right
        said_spread = (true_right + false_right) * (true_wrong + false_wrong)
        together = true_right * true_wrong - false_right * false_wrong
        mcc = np.where(said_spread > 0, together / np.sqrt(said_spread * n_right * n_wrong), 0)
        shares = 0.3 * divided(step, n_wrong) + 0.5 * divided(reason, n_wrong)
        return np.where(n_right > 0, 0.2 * np.maximum(mcc, 0) + shares, np.nan)

    return Prepared(len(truth), kernel, lambda weights: _one_class(truth, weights), SHARE)


def _one_class(gold: Floats, weights: Floats) -> str:
    return constant("gold label", gold, weights) or "there are no items"
