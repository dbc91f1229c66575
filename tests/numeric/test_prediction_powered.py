"""The true mean from few labels: against ppi-python and cje-eval, and by simulation."""

import numpy as np
import pytest
from ppi_py import ppi_mean_ci, ppi_mean_pointestimate
from scipy import stats

from glider.stats.clustered import (
    binomial_tail,
    clustered_mean,
    clustered_share,
    design_effect,
    intraclass_correlation,
    share_upper,
)  # fmt: skip
from glider.stats.estimates import Estimate, Undefined
from glider.stats.prediction_powered import (
    half_width,
    labels_needed,
    prediction_powered_mean,
    prediction_powered_rate,
    weighted_prediction_powered,
)  # fmt: skip


def drawn(rng, n, m, r=0.7):
    """Labels and a judge's scores with correlation r; n labelled, m not."""
    quality = rng.normal(size=n + m)
    score = r * quality + np.sqrt(1 - r * r) * rng.normal(size=n + m)
    return quality[:n], score[:n], score[n:]


def alone(n, m):
    """Every item is its own cluster."""
    return {"clusters": np.arange(n), "other_clusters": n + np.arange(m)}


@pytest.mark.parametrize("power", [0.0, 0.4, 1.0])
def test_a_given_power_gives_what_ppi_python_gives(power):
    n, m = 2000, 9000
    labels, judged, others = drawn(np.random.default_rng(1), n, m)
    ours = prediction_powered_mean(labels, judged, others, power=power, **alone(n, m)).estimate
    assert ours.value == pytest.approx(ppi_mean_pointestimate(labels, judged, others, lam=power)[0])
    # Theirs divides by n and uses the normal's 1.96: the same but for O(1/n).
    low, high = ppi_mean_ci(labels, judged, others, alpha=0.05, lam=power)
    assert (ours.low, ours.high) == pytest.approx((low[0], high[0]), abs=2e-4)


@pytest.mark.parametrize("r", [0.0, 0.3, 0.9])
def test_the_tuned_power_gives_what_ppi_python_gives(r):
    n, m = 3000, 12000
    labels, judged, others = drawn(np.random.default_rng(2), n, m, r)
    ours = prediction_powered_mean(labels, judged, others, **alone(n, m))
    low, high = ppi_mean_ci(labels, judged, others, alpha=0.05)
    assert (ours.estimate.low, ours.estimate.high) == pytest.approx((low[0], high[0]), abs=2e-3)
    assert ours.power == pytest.approx(r / (1 + n / m), abs=0.03)  # cov / var, eq. 6
    assert ours.labels_worth == pytest.approx(n / (1 - r * r * m / (n + m)), rel=0.08)


def test_the_interval_is_like_that_of_cje_eval():
    cje = pytest.importorskip("cje")
    n, m = 150, 1000
    labels, judged, others = (0.5 + x / 8 for x in drawn(np.random.default_rng(3), n, m))
    ours = prediction_powered_mean(labels, judged, others, **alone(n, m)).estimate
    rows = [
        {"prompt_id": str(i), "judge_score": float(np.clip(f, 0, 1))}
        | ({"oracle_label": float(np.clip(labels[i], 0, 1))} if i < n else {})
        for i, f in enumerate(np.concatenate([judged, others]))
    ]
    theirs = cje.analyze_dataset(fresh_draws_data={"a": rows})
    assert ours.value == pytest.approx(theirs.estimates[0], abs=0.005)
    # Theirs maps by isotonic regression before, so the widths are alike and not the same.
    ((low, high),) = theirs.ci()
    assert (ours.high - ours.low) / (high - low) == pytest.approx(1, abs=0.2)


def coverage(make, truth, reps, seed):
    rng = np.random.default_rng(seed)
    found = [make(rng) for _ in range(reps)]
    known = [e for e in found if isinstance(e, Estimate)]
    return len(known), np.mean([e.low <= truth <= e.high for e in known])


@pytest.mark.parametrize(("n", "m", "r"), [(20, 400, 0.8), (50, 50, 0.5), (100, 1000, 0.0)])
def test_a_95_percent_interval_covers_about_95_in_100(n, m, r):
    def make(rng):
        return prediction_powered_mean(*drawn(rng, n, m, r), **alone(n, m)).estimate

    known, share = coverage(make, 0.0, 1500, 4)
    assert known == 1500
    assert 0.935 <= share <= 0.965  # two standard errors are 0.011


def test_a_rate_is_covered_about_95_in_100():
    def make(rng):
        quality = rng.random(840)
        passes = (rng.random(840) < quality**2).astype(float)  # a third pass
        score = quality + rng.normal(0, 0.3, 840)
        return prediction_powered_rate(
            passes[:40], score[:40], score[40:], **alone(40, 800)
        ).estimate

    known, share = coverage(make, 1 / 3, 1500, 5)
    assert known > 1480
    assert 0.93 <= share <= 0.97


def clustered(rng, n_labelled, n_prompts, size=6, alike=0.6):
    """Answers to prompts; all answers of some prompts are labelled."""
    prompt = np.repeat(np.arange(n_prompts), size)
    common = rng.normal(size=n_prompts)[prompt] * np.sqrt(alike)
    quality = common + rng.normal(size=len(prompt)) * np.sqrt(1 - alike)
    score = 0.8 * quality + 0.6 * rng.normal(size=len(prompt))
    ours = prompt < n_labelled
    return quality[ours], score[ours], score[~ours], prompt[ours], prompt[~ours]


def test_clustered_labels_are_covered_and_would_not_be_if_taken_as_independent():
    def make(rng):
        labels, judged, others, ours, theirs = clustered(rng, 25, 200)
        return prediction_powered_mean(
            labels, judged, others, clusters=ours, other_clusters=theirs
        ).estimate

    def naive(rng):
        labels, judged, others, *_ = clustered(rng, 25, 200)
        return prediction_powered_mean(
            labels, judged, others, **alone(len(labels), len(others))
        ).estimate

    assert 0.93 <= coverage(make, 0.0, 1000, 6)[1] <= 0.97
    assert coverage(naive, 0.0, 400, 6)[1] < 0.9


def test_labels_and_others_of_one_prompt_are_covered():
    def make(rng):
        prompt = np.repeat(np.arange(60), 4)
        quality = rng.normal(size=60)[prompt] + rng.normal(size=240)
        score = quality + rng.normal(size=240)
        ours = np.arange(240) % 4 == 0
        return prediction_powered_mean(
            quality[ours], score[ours], score[~ours],
            clusters=prompt[ours], other_clusters=prompt[~ours],
        ).estimate  # fmt: skip

    assert 0.93 <= coverage(make, 0.0, 1000, 7)[1] <= 0.97


def test_a_useless_judge_costs_next_to_nothing():
    labels, _, _ = drawn(np.random.default_rng(8), 100, 1)
    noise = np.random.default_rng(9).normal(size=1100)
    found = prediction_powered_mean(labels, noise[:100], noise[100:], **alone(100, 1000))
    assert found.labels_worth == pytest.approx(100, rel=0.05)


@pytest.mark.parametrize(
    ("labels", "judged", "others", "told"),
    [
        ([4, 4, 4, 4], [1, 2, 3, 4], [1, 2], "every value is 4"),
        ([4], [1], [1, 2], "fewer than two"),
    ],
)
def test_no_interval_where_there_is_no_spread(labels, judged, others, told):
    arrays = (np.array(x, float) for x in (labels, judged, others))
    found = prediction_powered_mean(*arrays, **alone(len(labels), len(others)))
    assert isinstance(found.estimate, Undefined) and told in found.estimate.reason


@pytest.mark.parametrize(("judged", "others"), [([1, 1, 1, 1], [1, 1]), ([1, 2, 3, 4], [])])
def test_a_judge_that_tells_nothing_leaves_the_labels_alone(judged, others):
    labels = np.array([1.0, 2, 2, 5])
    found = prediction_powered_mean(
        labels, np.array(judged, float), np.array(others, float), **alone(4, len(others))
    )
    assert found.estimate == found.classical
    assert found.labels_worth is None


def test_too_few_of_a_kind_leave_the_exact_interval():
    passes = np.array([1.0] * 4 + [0.0] * 36)
    found = prediction_powered_rate(passes, np.arange(40.0), np.arange(90.0), **alone(40, 90))
    assert isinstance(found.estimate, Undefined) and "only 4 of the 40" in found.estimate.reason
    exact = stats.binomtest(4, 40).proportion_ci(method="exact")
    assert (found.classical.low, found.classical.high) == pytest.approx((exact.low, exact.high))


@pytest.mark.parametrize(("r", "total", "design"), [(0.0, None, 1.0), (0.7, 2000, 1.0), (0.5, 900, 2.0)])  # fmt: skip
def test_planned_labels_are_the_fewest_that_do(r, total, design):
    about = {"spread": 0.5, "correlation": r, "total": total, "design": design}
    n = labels_needed(0.06, **about)
    assert half_width(n, **about) <= 0.06 < half_width(n - 1, **about)


def test_a_plan_gives_the_width_it_promises():
    n, m, r = 120, 880, 0.8
    rng = np.random.default_rng(10)
    widths = []
    for _ in range(300):
        found = prediction_powered_mean(*drawn(rng, n, m, r), **alone(n, m)).estimate
        widths.append((found.high - found.low) / 2)
    planned = half_width(n, spread=1.0, correlation=r, total=n + m)
    assert np.mean(widths) == pytest.approx(planned, rel=0.02)


def test_a_width_that_cannot_be_had():
    assert labels_needed(0.001, spread=0.5, correlation=0.5, total=500) is None
    # With all 500 labelled nothing is left for the judge to help with: 1.96 * 0.5 / sqrt(500).
    assert labels_needed(0.0445, spread=0.5, correlation=0.9, total=500) is not None


# Clusters


def test_a_mean_without_clusters_is_the_textbook_interval():
    values = np.array([1.0, 2, 2, 3, 7])
    ours = clustered_mean(values, np.arange(5))
    low, high = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
    assert (ours.low, ours.high) == pytest.approx((low, high))


def test_clusters_of_equal_items_count_once():
    values = np.repeat([1.0, 2, 4, 9], 5)
    ours = clustered_mean(values, np.repeat(np.arange(4), 5))
    low, high = stats.t.interval(0.95, 3, 4, stats.sem([1, 2, 4, 9]))
    assert (ours.low, ours.high) == pytest.approx((low, high))


@pytest.mark.parametrize(("hits", "n"), [(0, 30), (3, 30), (30, 30)])
def test_a_share_without_clusters_is_clopper_pearson(hits, n):
    ours = clustered_share(np.arange(n) < hits, np.arange(n))
    exact = stats.binomtest(hits, n).proportion_ci(method="exact")
    assert (ours.low, ours.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_a_share_over_clusters_covers():
    rng = np.random.default_rng(11)
    held = []
    for _ in range(800):
        prompt = np.repeat(np.arange(40), 5)
        p = rng.beta(1.6, 0.4, 40)[prompt]  # mean 0.8, answers of a prompt much alike
        found = clustered_share(rng.random(200) < p, prompt)
        held.append(found.low <= 0.8 <= found.high)
    assert 0.93 <= np.mean(held) <= 0.985


@pytest.mark.parametrize(("k", "n", "p"), [(0, 29, 0.1), (3, 50, 0.1), (7, 7, 0.5)])
def test_the_tail_and_its_bound_are_binomial(k, n, p):
    assert binomial_tail(k, n, p) == pytest.approx(stats.binom.cdf(k, n, p))
    assert share_upper(k, n, 0.05) == pytest.approx(
        stats.binomtest(k, n).proportion_ci(0.9, method="exact").high
    )


def test_the_intraclass_correlation_is_found_again():
    rng = np.random.default_rng(12)
    prompt = np.repeat(np.arange(3000), 4)
    values = rng.normal(size=3000)[prompt] + rng.normal(
        size=12000
    )  # half of the variance is shared
    assert intraclass_correlation(values, prompt) == pytest.approx(0.5, abs=0.03)
    assert intraclass_correlation(values, np.arange(12000)) == 0
    assert design_effect(0.5, prompt) == pytest.approx(1 + 3 * 0.5)


# A judge whose help cannot be measured


def test_a_judge_that_repeats_every_label_is_no_division_by_zero():
    """24 of 25 items are labelled, and the judge is always right."""
    labels = np.array([1.0] * 12 + [0.0] * 12)
    found = prediction_powered_rate(labels, labels, np.array([1.0]), **alone(24, 1))
    assert (
        found.estimate
        == prediction_powered_mean(
            labels, labels, np.array([1.0]), scale=(0, 1), **alone(24, 1)
        ).classical
    )
    assert found.labels_worth is None
    alike = prediction_powered_mean(labels, labels, np.ones(50), **alone(24, 50))
    assert isinstance(alike.estimate, Estimate) and alike.estimate.high > alike.estimate.low


@pytest.mark.parametrize("m", [1, 5, 15])
def test_few_items_without_a_label_are_covered(m):
    def make(rng):
        return prediction_powered_mean(*drawn(rng, 25, m, 0.95), **alone(25, m)).estimate

    assert 0.93 <= coverage(make, 0.0, 1000, 13)[1] <= 0.97


def test_labels_drawn_with_unequal_probabilities_estimate_the_whole_set():
    """Items on which the judge errs are drawn more often; the interval holds the truth all the same."""
    rng = np.random.default_rng(5)
    held = worth = 0
    for _ in range(300):
        doubt = rng.random(400)
        score = rng.normal(size=400)
        value = score + 2.0 * doubt * rng.normal(size=400) + doubt  # errs upwards where in doubt
        chance = 80 * (0.25 + doubt) / (0.25 + doubt).sum()
        drawn = rng.random(400) < chance
        found = weighted_prediction_powered(
            value[drawn], score[drawn], score, weights=1 / chance[drawn],
            clusters=np.flatnonzero(drawn), all_clusters=np.arange(400),
        )  # fmt: skip
        held += found.estimate.low <= 0.5 <= found.estimate.high
        worth += found.labels_worth > drawn.sum()
        assert abs(value[drawn].mean() - 0.5) < 2
    assert 0.92 <= held / 300 <= 0.98
    assert worth > 270
