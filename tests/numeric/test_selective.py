"""Risk against coverage: by hand, and the promise of the threshold by simulation."""

import numpy as np
import pytest
from scipy import stats

from glider.stats.estimates import Degenerate, Undefined
from glider.stats.selective import (
    aurc,
    certified_threshold,
    fewest_labels,
    risk_coverage,
    thresholds,
)  # fmt: skip


@pytest.mark.parametrize(
    ("confidence", "wrong", "area"),
    [
        ([0.9, 0.8, 0.7, 0.6], [0, 0, 1, 1], (0 + 0 + 1 / 3 + 2 / 4) / 4),
        ([0.9, 0.8, 0.7, 0.6], [1, 1, 0, 0], (1 + 1 + 2 / 3 + 2 / 4) / 4),
        ([0.5, 0.5, 0.5, 0.5], [1, 0, 0, 0], 0.25),  # tells nothing: the overall risk
        ([0.9, 0.9, 0.1, 0.1], [0, 0, 1, 1], (0 + 0 + 0.5 + 0.5) / 4),
    ],
)
def test_aurc_by_hand(confidence, wrong, area):
    confidence, wrong = np.array(confidence), np.array(wrong, float)
    assert aurc(confidence, wrong) == pytest.approx(area)
    # A weight of 3 is the item three times.
    weights = np.array([3.0, 1, 0, 2])
    repeated = np.repeat(np.arange(4), weights.astype(int))
    assert aurc(confidence, wrong, weights) == pytest.approx(
        aurc(confidence[repeated], wrong[repeated])
    )


def test_aurc_without_items():
    with pytest.raises(Degenerate):
        aurc(np.array([0.5]), np.array([1.0]), np.array([0.0]))


@pytest.mark.parametrize(
    ("alpha", "delta", "wrong", "n"), [(0.1, 0.05, 0, 29), (0.1, 0.05, 2, 61), (0.2, 0.1, 0, 11)]
)
def test_the_fewest_labels_that_certify(alpha, delta, wrong, n):
    assert fewest_labels(alpha, delta, wrong) == n
    assert stats.binom.cdf(wrong, n, alpha) <= delta < stats.binom.cdf(wrong, n - 1, alpha)


def test_thresholds_keep_a_twentieth_more_each():
    everyone = np.arange(1, 101) / 100
    kept = [(everyone >= t).mean() for t in thresholds(everyone)]
    assert kept == pytest.approx(np.arange(1, 21) / 20, abs=0.011)
    assert len(thresholds(np.full(50, 0.7))) == 1


def test_the_curve_has_intervals_and_ends_at_the_overall_risk():
    rng = np.random.default_rng(1)
    confidence, everyone = rng.random(200), rng.random(2000)
    wrong = rng.random(200) < 1 - confidence
    points = risk_coverage(confidence, wrong, np.arange(200), everyone)
    assert points[-1].kept == 1
    assert [p.kept for p in points] == sorted(p.kept for p in points)
    here = confidence >= points[9].threshold
    assert points[9].risk.value == pytest.approx(wrong[here].mean())
    assert points[9].risk.low < points[9].risk.value < points[9].risk.high


def judge_of(rng, n, shape):
    """Confidences and disagreements; the disagreement rate falls with confidence."""
    confidence = rng.random(n)
    return confidence, rng.random(n) < shape(confidence)


SHAPES = {
    "steep": (lambda c: 0.5 * (1 - c) ** 2, lambda t: 0.5 * (1 - t) ** 2 / 3),
    "flat": (lambda c: 0.2 * (1 - c), lambda t: 0.1 * (1 - t)),
    # Just above alpha everywhere: every threshold breaks the promise.
    "at the edge": (lambda c: np.full_like(c, 0.105), lambda t: 0.105),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("n", [80, 300])
def test_the_promise_is_broken_in_at_most_delta_of_the_cases(name, n):
    shape, true_risk = SHAPES[name]
    rng = np.random.default_rng(2)
    broken, certified = 0, 0
    for _ in range(600):
        confidence, wrong = judge_of(rng, n, shape)
        found = certified_threshold(
            confidence, wrong, np.arange(n), rng.random(2000), alpha=0.1, delta=0.1
        )
        if not isinstance(found, Undefined):
            certified += 1
            broken += true_risk(found.threshold) > 0.1
            assert found.upper <= 0.1
    # 600 draws: two standard errors above delta are 0.124.
    assert broken / 600 <= 0.124
    assert certified > 100 or name == "at the edge"


def test_clusters_do_not_break_the_promise():
    rng = np.random.default_rng(3)
    prompt = np.repeat(np.arange(40), 5)
    broken = naive = 0
    for _ in range(400):
        # Half of the disagreement is a matter of the prompt; 12 in 100 everywhere.
        bad = (rng.random(40) < 0.12)[prompt]
        wrong = np.where(rng.random(200) < 0.6, bad, rng.random(200) < 0.12)
        confidence, everyone = rng.random(200), rng.random(1000)
        promise = {"alpha": 0.1, "delta": 0.1}
        broken += not isinstance(
            certified_threshold(confidence, wrong, prompt, everyone, **promise), Undefined
        )
        naive += not isinstance(
            certified_threshold(confidence, wrong, np.arange(200), everyone, **promise), Undefined
        )
    assert broken / 400 <= 0.13
    assert naive > broken


@pytest.mark.parametrize(
    ("n", "wrong", "told"),
    [(28, 0.0, "29 labels without any disagreement"), (200, 0.3, "not shown to disagree in at most 10%")],
)  # fmt: skip
def test_what_cannot_be_certified_says_why(n, wrong, told):
    rng = np.random.default_rng(4)
    found = certified_threshold(
        rng.random(n), rng.random(n) < wrong, np.arange(n), rng.random(500), alpha=0.1, delta=0.05
    )
    assert isinstance(found, Undefined) and told in found.reason


def test_a_judge_that_is_never_wrong_is_kept_whole():
    confidence = np.linspace(0, 1, 100)
    found = certified_threshold(
        confidence, np.zeros(100, bool), np.arange(100), confidence, alpha=0.1, delta=0.05
    )
    assert (found.kept, found.labelled, found.disagreed) == (1.0, 100, 0)
