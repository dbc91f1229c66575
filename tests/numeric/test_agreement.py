"""Agreement against scikit-learn and krippendorff, and against tables worked by hand."""

import krippendorff
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from sklearn.metrics import mean_absolute_error as sk_mae

from glider.stats.agreement import (
    acceptable_accuracy,
    all_criteria_right,
    cohen_kappa,
    degree_of_variation,
    krippendorff_alpha,
    mean_absolute_error,
    percent_agreement,
    some_criteria_right,
    themis_agreement,
)
from glider.stats.estimates import Degenerate

SCALE = (1, 2, 3, 4, 5)


@pytest.mark.parametrize("weighting", ["none", "linear", "quadratic"])
@pytest.mark.parametrize("top", [2, 5])
def test_kappa_against_sklearn(weighting, top):
    rng = np.random.default_rng(top)
    x = rng.integers(1, top + 1, 150)
    y = np.clip(x + rng.integers(-1, 2, 150), 1, top)
    weights = rng.integers(0, 4, 150)
    theirs = {"labels": SCALE[:top], "weights": None if weighting == "none" else weighting}
    assert cohen_kappa(x, y, weighting=weighting) == pytest.approx(
        cohen_kappa_score(x, y, **theirs)
    )
    assert cohen_kappa(x, y, weights, weighting=weighting) == pytest.approx(
        cohen_kappa_score(x, y, **theirs, sample_weight=weights)
    )


@pytest.mark.parametrize(
    ("weighting", "kappa"), [("none", 0.4), ("linear", 0.4), ("quadratic", 0.4)]
)
def test_kappa_by_hand(weighting, kappa):
    # Cohen's table 20 5 / 10 15: p_o = 0.7, p_e = 0.5 * 0.6 + 0.5 * 0.4 = 0.5, kappa = 0.4;
    # with two levels every weighting is the same.
    x, y = [1, 1, 0, 0], [1, 0, 1, 0]
    assert cohen_kappa(x, y, [20, 5, 10, 15], weighting=weighting) == pytest.approx(kappa)


def test_kappa_measures_distance_on_the_scale_and_not_among_the_labels_that_occur():
    x, y = [1, 1, 2, 5, 5, 2], [1, 2, 2, 5, 2, 2]
    given = cohen_kappa_score(x, y, labels=SCALE, weights="quadratic")
    assert cohen_kappa(x, y, weighting="quadratic") == pytest.approx(given)
    assert cohen_kappa_score(x, y, weights="quadratic") != pytest.approx(given)


@pytest.mark.parametrize("weighting", ["none", "linear", "quadratic"])
def test_kappa_without_a_value(weighting):
    with pytest.raises(Degenerate, match="every score and every gold label is 3"):
        cohen_kappa([3, 3, 1], [3, 3, 2], [1, 4, 0], weighting=weighting)
    with pytest.raises(Degenerate, match="no items"):
        cohen_kappa([3, 2], [3, 2], [0, 0], weighting=weighting)


@pytest.mark.parametrize(
    ("score", "gold", "reason"),
    [
        ([1, 2, 7], [1, 2, 3], "score 7 is not on the scale 1 to 5$"),
        ([1, 2, 3], [1, 0, 0], r"gold label 0 is not on the scale 1 to 5 \(2 such\)"),
        ([1, 2.5, 3], [1, 2, 3], "score 2.5 is not on the scale"),
    ],
)
def test_labels_off_the_scale(score, gold, reason):
    with pytest.raises(Degenerate, match=reason):
        cohen_kappa(score, gold, levels=SCALE)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
@pytest.mark.parametrize("missing", [0.0, 0.2, 0.6])
def test_alpha_against_krippendorff(level, missing):
    rng = np.random.default_rng(int(missing * 10))
    truth = rng.integers(1, 6, 80)
    ratings = np.clip(truth[:, None] + rng.integers(-1, 2, (80, 4)), 1, 5).astype(float)
    ratings[rng.random(ratings.shape) < missing] = np.nan
    assert krippendorff_alpha(ratings, level=level) == pytest.approx(
        krippendorff.alpha(ratings.T, level_of_measurement=level)
    )
    weights = rng.integers(0, 4, 80)
    repeated = np.repeat(ratings, weights, axis=0)
    assert krippendorff_alpha(ratings, weights, level=level) == pytest.approx(
        krippendorff.alpha(repeated.T, level_of_measurement=level)
    )


@pytest.mark.parametrize(
    ("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_alpha_of_krippendorffs_own_example(level, alpha):
    # Krippendorff (2011), "Computing Krippendorff's alpha-reliability", section C.
    nan = np.nan
    table = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, nan, nan, nan],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, nan, 3],
        [nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, nan],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, nan],
    ]
    assert krippendorff_alpha(np.transpose(table), level=level) == pytest.approx(alpha, abs=5e-4)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_alpha_without_a_value(level):
    nan = np.nan
    with pytest.raises(Degenerate, match="no item has two ratings"):
        krippendorff_alpha([[1, nan], [nan, 2]], level=level)
    with pytest.raises(Degenerate, match="every rating is 4"):
        krippendorff_alpha([[4, 4], [4, 4], [1, 2]], [1, 3, 0], level=level)
    with pytest.raises(Degenerate, match="no item has two ratings"):
        krippendorff_alpha([[1, nan], [1, 2]], [1, 0], level=level)


def test_means_of_distances():
    score, gold = [1, 2, 3, 5, 2.5], [1, 3, 1, 5, 2]
    assert percent_agreement(score, gold) == pytest.approx(2 / 5)
    assert mean_absolute_error(score, gold) == pytest.approx(sk_mae(gold, score))
    # Distances 0, 1, 2, 0, 0.5: 1 + 1/4 + 0 + 1 + 1/2.25
    assert themis_agreement(score, gold) == pytest.approx((1 + 0.25 + 0 + 1 + 1 / 2.25) / 5)
    # Agr(3, 1): 1 + 1/2 + 1/3 + 1 + 1/1.5
    agr = (1 + 1 / 2 + 1 / 3 + 1 + 1 / 1.5) / 5
    assert themis_agreement(score, gold, p=3, q=1) == pytest.approx(agr)
    assert percent_agreement(score, gold, [3, 1, 0, 0, 0]) == pytest.approx(3 / 4)


def test_labels_equal_but_for_rounding_are_the_same():
    assert percent_agreement([0.1 + 0.2], [0.3]) == 1
    assert cohen_kappa([0.1 + 0.2, 1, 1], [0.3, 1, 0.3]) == pytest.approx(
        cohen_kappa([0, 1, 1], [0, 1, 0])
    )


def test_evalyaks_by_hand():
    nan = np.nan
    gold = [[3, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, nan], [3, 3, 3]]
    score = [
        [3, 3, 3],  # all right
        [4, 3, 4],  # one up at most: acceptable, partly
        [4, 3, 2],  # up and down: partly only
        [5, 3, 3],  # two up: partly only
        [3, 3, nan],  # a criterion less, all right
        [2, 2, 2],  # one down each: acceptable, none right
    ]
    assert all_criteria_right(score, gold) == pytest.approx(2 / 6)
    assert some_criteria_right(score, gold) == pytest.approx(3 / 6)
    assert acceptable_accuracy(score, gold) == pytest.approx(4 / 6)
    assert degree_of_variation(score, gold) == pytest.approx((0 + 2 + 2 + 2 + 0 + 3) / 17)
    assert acceptable_accuracy(score, gold, [0, 1, 2, 0, 0, 0]) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "statistic",
    [all_criteria_right, some_criteria_right, acceptable_accuracy, degree_of_variation],
)
def test_evalyaks_with_holes(statistic):
    nan = np.nan
    with pytest.raises(Degenerate, match="1 items have no gold label"):
        statistic([[1, 2], [1, 2]], [[nan, nan], [1, 2]])
    with pytest.raises(Degenerate, match="1 criteria have a gold label and no score"):
        statistic([[1, nan], [1, 2]], [[1, 2], [1, 2]])
