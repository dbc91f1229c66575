"""Maps and measures of calibration: against scikit-learn, by hand, and by simulation."""

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss, log_loss

from glider.stats.calibration import (
    bins,
    calibration_error,
    cross_fitted,
    fit_isotonic,
    fit_temperature,
    folds,
    log_losses,
    reliability,
    squared_errors,
    tempered,
)  # fmt: skip
from glider.stats.estimates import Estimate


def test_isotonic_is_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    x = rng.integers(1, 40, 300) / 4
    y = np.sqrt(x) + rng.normal(size=300)
    ours = fit_isotonic(x, y)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(x, y)
    new = np.linspace(-1, 12, 200)
    assert ours(new) == pytest.approx(theirs.predict(new), abs=1e-9)
    assert all(np.diff(ours.y) >= 0)


def test_isotonic_by_hand():
    # 1, then 3 and 2 at x=2 and 2 at x=3 pooled to 7/3, then 5; level beyond the ends.
    curve = fit_isotonic(np.array([1.0, 2, 2, 3, 4]), np.array([1.0, 3, 2, 2, 5]))
    assert (curve.x, curve.y) == ((1, 2, 3, 4), pytest.approx((1, 7 / 3, 7 / 3, 5)))
    assert curve(np.array([0.0, 2.5, 3.5, 9])) == pytest.approx([1, 7 / 3, (7 / 3 + 5) / 2, 5])


def test_a_judge_that_goes_against_people_maps_to_one_level():
    curve = fit_isotonic(np.array([1.0, 2, 3]), np.array([3.0, 2, 1]))
    assert curve.y == (2, 2)


@pytest.mark.parametrize("heat", [0.5, 1.0, 2.5])
def test_the_temperature_is_found_again(heat):
    rng = np.random.default_rng(2)
    right = rng.dirichlet(np.ones(5), 4000)
    labels = np.array([rng.choice(5, p=p) for p in right])
    told = tempered(right, 1 / heat)  # `heat` times too sure
    assert fit_temperature(told, np.eye(5)[labels]) == pytest.approx(heat, rel=0.07)


def test_tempering_by_hand():
    probs = np.array([[0.8, 0.2]])
    assert tempered(probs, 1.0) == pytest.approx(probs)
    assert tempered(probs, 2.0) == pytest.approx(np.array([[2 / 3, 1 / 3]]))  # sqrt(0.8/0.2) = 2
    assert tempered(np.array([[1.0, 0.0]]), 20.0)[0, 1] > 0


def test_losses_are_those_of_scikit_learn():
    rng = np.random.default_rng(3)
    p = rng.uniform(0.01, 0.99, 200)
    y = (rng.random(200) < p).astype(float)
    assert squared_errors(p, y).mean() == pytest.approx(brier_score_loss(y, p))
    assert log_losses(p, y).mean() == pytest.approx(log_loss(y, p))
    assert np.isfinite(log_losses(np.array([0.0, 1.0]), np.array([1.0, 0.0]))).all()


def test_folds_keep_clusters_whole_and_sizes_alike():
    clusters = np.array([7] * 10 + [1] * 5 + [2] * 5 + [3] * 6 + [4] * 4)
    fold = folds(clusters, 3, np.random.default_rng(4))
    for cluster in set(clusters):
        assert len(set(fold[clusters == cluster])) == 1
    assert sorted(np.bincount(fold)) == [10, 10, 10]
    assert folds(np.arange(3), 10, np.random.default_rng(4)).max() == 2


def test_a_cross_fitted_prediction_never_saw_its_own_label():
    rng = np.random.default_rng(5)
    labels, clusters = rng.normal(size=60), np.repeat(np.arange(20), 3)
    fold = folds(clusters, 5, rng)
    # Each prediction is the mean label of the other folds; with its own it would be another.
    predicted = cross_fitted(lambda train, test: np.full(test.sum(), labels[train].mean()), fold)
    for n in range(60):
        assert predicted[n] == pytest.approx(labels[fold != fold[n]].mean())


def test_cross_fitting_takes_the_flattery_out():
    rng = np.random.default_rng(6)
    score, label = rng.normal(size=200), rng.normal(size=200)  # nothing to learn
    fold = folds(np.arange(200), 10, rng)
    flattered = squared_errors(fit_isotonic(score, label)(score), label).mean()
    honest = squared_errors(
        cross_fitted(lambda a, b: fit_isotonic(score[a], label[a])(score[b]), fold), label
    ).mean()
    assert flattered < label.var() < honest


def test_bins_have_equal_mass_and_keep_equal_predictions_together():
    assert np.bincount(bins(np.arange(100.0), 5)).tolist() == [20] * 5
    assert len(set(bins(np.repeat([0.2, 0.8], 50), 10))) == 2
    assert bins(np.arange(45.0)).max() + 1 == 3  # 15 items a bin


def test_the_calibration_error_by_hand():
    # Two bins of two: |0.15 - 0.5| and |0.85 - 1|, each half of the items.
    predicted, actual = np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.0, 1.0, 1.0, 1.0])
    found = calibration_error(
        predicted, actual, np.arange(4), rng=np.random.default_rng(0), n_bins=2
    )
    assert found.value == pytest.approx((0.35 + 0.15) / 2)
    assert (found.n, found.n_bins) == (4, 2)


@pytest.mark.parametrize(("per_prompt", "most"), [(1, 0.09), (5, 0.16)])
def test_the_error_by_chance_is_what_a_calibrated_judge_shows(per_prompt, most):
    rng = np.random.default_rng(7)
    shown, by_chance, above = [], [], []
    clusters = np.repeat(np.arange(200 // per_prompt), per_prompt)
    for _ in range(200):
        p = rng.random(200)
        # Answers of one prompt are right or wrong together, so chance does more.
        luck = rng.random(200 // per_prompt)[clusters]
        found = calibration_error(p, (luck < p).astype(float), clusters, rng=rng, n_draws=199)
        shown.append(found.value)
        by_chance.append(found.by_chance)
        above.append(found.value > found.by_chance_high)
    assert np.mean(by_chance) == pytest.approx(np.mean(shown), rel=0.1)
    assert np.mean(above) < most  # 5 in 100; 40 clusters are few


def test_reliability_points_of_a_calibrated_judge_hold_their_prediction():
    rng = np.random.default_rng(8)
    inside = []
    for _ in range(60):
        p = rng.random(300)
        y = (rng.random(300) < p).astype(float)
        for point in reliability(p, y, np.arange(300)):
            inside.append(point.actual.low <= point.predicted <= point.actual.high)
    assert 0.93 <= np.mean(inside) <= 0.99


def test_cross_fitted_predictions_of_a_useless_judge_show_no_error_that_is_not_there():
    rng = np.random.default_rng(9)
    by_itself, by_score = [], []
    for _ in range(60):
        score, label = rng.normal(size=150), rng.normal(size=150)
        fold = folds(np.arange(150), 10, rng)
        mapped = cross_fitted(lambda a, b: fit_isotonic(score[a], label[a])(score[b]), fold)  # noqa: B023
        for by, shown in ((None, by_itself), (score, by_score)):
            found = calibration_error(mapped, label, np.arange(150), rng=rng, by=by, n_draws=199)
            shown.append(found.value > found.by_chance_high)
    assert np.mean(by_itself) > 0.3
    assert np.mean(by_score) < 0.15


def test_reliability_of_scores_is_in_the_labels_units():
    scores = np.repeat([1.0, 4.0], 30)
    points = reliability(scores, scores + np.tile([0.0, 1.0], 30), np.arange(60))
    assert [p.predicted for p in points] == [1, 4]
    assert [p.actual.value for p in points if isinstance(p.actual, Estimate)] == [1.5, 4.5]
