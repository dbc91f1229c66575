"""Ridge and its logistic curve against what a general optimiser finds, and where data is odd."""

import numpy as np
import pytest
from scipy.optimize import minimize

from glider.stats.ridge import Ridge


@pytest.mark.parametrize("logistic", [False, True])
def test_it_is_the_least_of_its_penalised_loss(logistic):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 3)) * [1, 10, 0.1] + [0, 5, 2]
    y = x @ [1.0, -0.1, 4.0] + rng.normal(size=60)
    y = (y > np.median(y)).astype(float) if logistic else y
    z = (x - x.mean(axis=0)) / x.std(axis=0)

    def loss(beta):
        line = beta[0] + z @ beta[1:]
        fit = (np.logaddexp(0, line) - y * line) if logistic else np.square(y - line) / 2
        return fit.sum() + beta[1:] @ beta[1:] / 2

    best = minimize(loss, np.zeros(4), tol=1e-12).x
    found = Ridge.fit(x, y, logistic=logistic)
    assert [found.intercept, *found.weights] == pytest.approx(best, abs=2e-4)


def test_what_can_be_told_apart_wholly_stays_finite_and_in_bounds():
    x = np.arange(40.0)[:, None]
    said = Ridge.fit(x, (x[:, 0] > 19).astype(float), logistic=True)(x * 1e6)
    assert np.isfinite(said).all() and said.min() >= 0 and said.max() <= 1


def test_an_unknown_feature_is_its_mean_and_one_that_never_changes_has_no_weight():
    x = np.array([[1.0, 7.0], [2.0, 7.0], [3.0, 7.0], [np.nan, 7.0]])
    found = Ridge.fit(x, np.array([1.0, 2.0, 3.0, 2.0]), logistic=False)
    assert found.mean[0] == 2 and found.weights[1] == 0
    assert found(np.array([[np.nan, 8.0]]))[0] == pytest.approx(found(np.array([[2.0, 7.0]]))[0])
