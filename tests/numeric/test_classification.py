"""Classes against scikit-learn, MR-Score against a table worked by hand."""

import numpy as np
import pytest
from sklearn import metrics

from glider.stats.classification import (
    accuracy,
    auc,
    balanced_accuracy,
    confusion,
    macro_f1,
    matthews,
    mr_score,
)
from glider.stats.estimates import Degenerate


def drawn(kind, n=120):
    rng = np.random.default_rng(len(kind))
    gold = rng.integers(1, 6, n) if kind == "levels" else (rng.random(n) < 0.1) * 1
    score = np.where(rng.random(n) < 0.6, gold, rng.permutation(gold))
    if kind == "strays":
        score[::17] = 9
    return score, gold, rng.integers(0, 4, n)


@pytest.mark.parametrize("kind", ["levels", "skewed", "strays"])
@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        (accuracy, metrics.accuracy_score, {}),
        (balanced_accuracy, metrics.balanced_accuracy_score, {}),
        (macro_f1, metrics.f1_score, {"average": "macro", "zero_division": 0}),
        (matthews, metrics.matthews_corrcoef, {}),
    ],
)
# scikit-learn warns of a level that only the judge gives.
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_against_sklearn(ours, theirs, options, kind):
    score, gold, weights = drawn(kind)
    assert ours(score, gold) == pytest.approx(theirs(gold, score, **options))
    repeated = theirs(np.repeat(gold, weights), np.repeat(score, weights), **options)
    assert ours(score, gold, weights) == pytest.approx(repeated)


@pytest.mark.parametrize("ties", [True, False])
def test_auc_against_sklearn(ties):
    rng = np.random.default_rng(5)
    gold = rng.random(200) < 0.2
    score = gold + rng.normal(size=200)
    score = score.round() if ties else score
    weights = rng.integers(0, 4, 200)
    assert auc(score, gold) == pytest.approx(metrics.roc_auc_score(gold, score))
    assert auc(score, gold, weights) == pytest.approx(
        metrics.roc_auc_score(gold, score, sample_weight=weights)
    )
    assert auc(np.zeros(200), gold) == 0.5
    assert auc(score, 3 + 2 * gold) == auc(score, gold)


def test_confusion():
    score, gold, weights = drawn("levels")
    levels, counts = confusion(score, gold, weights, levels=(1, 2, 3, 4, 5))
    assert levels.tolist() == [1, 2, 3, 4, 5]
    theirs = metrics.confusion_matrix(np.repeat(gold, weights), np.repeat(score, weights))
    assert counts.tolist() == theirs.tolist()
    # Levels that do not occur keep their row and column.
    assert confusion([1], [2], levels=(1, 2, 3))[1].tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]


# said right, step, reason; truth. MCC of the table TP 3, FP 1, FN 2, TN 4:
# (3*4 - 1*2) / sqrt(4*5*5*6) = 10 / sqrt(600) = 0.408248
MR_BEN = [((1, 0, 0), 1)] * 3 + [((0, 0, 0), 1)] * 2 + [
    ((1, 1, 1), 0),  # called right: step and reason do not count
    ((0, 1, 1), 0),
    ((0, 1, 0), 0),
    ((0, 0, 1), 0),  # a reason for the wrong step does not count
    ((0, 0, 0), 0),
]  # fmt: skip


def test_mr_score_by_hand():
    score, gold = zip(*MR_BEN, strict=True)
    expected = 0.2 * 10 / np.sqrt(600) + 0.3 * 2 / 5 + 0.5 * 1 / 5
    assert mr_score(score, gold) == pytest.approx(expected)
    said = np.array(score)[:, 0]
    assert metrics.matthews_corrcoef(gold, said) == pytest.approx(10 / np.sqrt(600))


def test_mr_score_of_a_judge_that_says_one_thing():
    _, gold = zip(*MR_BEN, strict=True)
    assert mr_score([(1, 1, 1)] * 10, gold) == 0
    assert mr_score([(0, 1, 1)] * 10, gold) == pytest.approx(0.8)
    # Worse than chance does not count below 0.
    assert mr_score([(1 - g, 0, 0) for g in gold], gold) == 0


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: auc([1, 2, 3], [1, 1, 1]), "every gold label is 1"),
        (lambda: auc([1, 2, 3], [1, 2, 2], [0, 1, 1]), "every gold label is 2"),
        (lambda: auc([1, 2, 3], [1, 2, 3]), "two classes, and gold has 3"),
        (lambda: balanced_accuracy([1, 2], [2, 2]), "every gold label is 2"),
        (lambda: macro_f1([2, 2], [2, 2]), "every gold label is 2"),
        (lambda: matthews([1, 1], [1, 2]), "every score is 1"),
        (lambda: matthews([1, 2], [2, 2]), "every gold label is 2"),
        (lambda: mr_score([(1, 0, 0), (1, 0, 0)], [1, 1]), "every gold label is 1"),
        (lambda: mr_score([(1, 0, 0), (0, 0, 0)], [0, 0]), "every gold label is 0"),
        (lambda: mr_score([(1, 0, 2), (0, 0, 0)], [0, 1]), "0 and 1 only"),
        (lambda: macro_f1([1, 6], [1, 2], levels=(1, 2)), "score 6 is not on the scale 1 to 2"),
        (lambda: confusion([1, 6], [1, 2], levels=(1, 2)), "score 6 is not on the scale 1 to 2"),
        (lambda: accuracy([], []), "no items"),
        (lambda: accuracy([1, 2], [1, 2], [0, 0]), "no items"),
    ],
)
def test_no_honest_value(call, reason):
    with pytest.raises(Degenerate, match=reason):
        call()


def test_a_judge_that_strays_loses_macro_f1():
    gold = [1, 1, 2, 2]
    assert macro_f1([1, 1, 2, 2], gold) == 1
    # One stray label: F1 of 1, 2/3 and 0 over three levels.
    assert macro_f1([1, 1, 2, 7], gold) == pytest.approx((1 + 2 / 3 + 0) / 3)
