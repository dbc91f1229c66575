"""Intervals against scipy, tests against all ways of swapping, both by simulation."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats

from glider.stats.agreement import cohen_kappa, percent_agreement
from glider.stats.classification import macro_f1
from glider.stats.correlation import kendall, pearson, spearman
from glider.stats.estimates import (
    Degenerate,
    Estimate,
    Undefined,
    exact_proportion,
    mean,
    t975,
)
from glider.stats.resampling import Swapped, bootstrap, paired_difference, paired_permutation
from glider.stats.statistic import SHARE, average, mean_of


def rng(seed=7):
    return np.random.default_rng(seed)


def scores(n, seed=1):
    draw = rng(seed)
    gold = draw.integers(1, 6, n).astype(float)
    return np.clip(gold + draw.integers(-1, 2, n), 1, 5), gold, draw.normal(size=n) + gold


# ---- bootstrap


@pytest.mark.parametrize("n", [40, 300])
def test_bca_against_scipy(n):
    # An exponential mean is skewed, so bias and acceleration both matter.
    values = rng(n).exponential(size=n)
    figure = bootstrap(mean_of(values), np.arange(n), rng=rng(), n_resamples=20_000)
    # Tails further out for few items; scipy has none of that, and gets the level instead.
    level = 2 * NormalDist().cdf(t975(n - 1) * math.sqrt(n / (n - 1))) - 1
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, confidence_level=level, method="BCa", rng=rng()
    )
    low, high = theirs.confidence_interval
    width = high - low
    assert (figure.low, figure.high) == pytest.approx((low, high), abs=0.03 * width)
    assert figure.value == pytest.approx(values.mean())
    assert figure.method == f"BCa bootstrap over {n} items, 20000 resamples, 95 %"


def test_near_to_students_t_where_that_is_right():
    half = rng(3).normal(size=8)
    values = np.concatenate([half, -half])
    figure = bootstrap(mean_of(values), np.arange(16), rng=rng(), n_resamples=20_000)
    t = mean(dict.fromkeys(values.tolist(), 1))
    assert (figure.low, figure.high) == pytest.approx((t.low, t.high), abs=0.04 * (t.high - t.low))


@pytest.mark.parametrize("ours", [pearson, spearman, kendall, cohen_kappa, macro_f1])
def test_a_plain_function_gives_what_a_prepared_one_gives(ours):
    score, gold, _ = scores(60)
    clusters = np.arange(60) // 3
    prepared = bootstrap(ours.on(score, gold), clusters, rng=rng(), n_resamples=99)
    plain = bootstrap(lambda w: ours(score, gold, w), clusters, rng=rng(), n_resamples=99)
    assert (prepared.low, prepared.value, prepared.high) == pytest.approx(
        (plain.low, plain.value, plain.high)
    )
    assert prepared.method == plain.method


def test_copies_in_a_cluster_tell_nothing_new():
    score, gold, _ = scores(40)
    one = bootstrap(pearson.on(score, gold), np.arange(40), rng=rng())
    ten = bootstrap(
        pearson.on(np.repeat(score, 10), np.repeat(gold, 10)),
        np.repeat([f"document {i:02}" for i in range(40)], 10),
        rng=rng(),
    )
    assert (ten.low, ten.high) == pytest.approx((one.low, one.high))
    assert (ten.n, one.n) == (400, 40)
    assert "over 40 clusters" in ten.method


def test_the_seed_decides():
    score, gold, _ = scores(50)
    of = pearson.on(score, gold)
    assert bootstrap(of, np.arange(50), rng=rng(1)) == bootstrap(of, np.arange(50), rng=rng(1))
    assert bootstrap(of, np.arange(50), rng=rng(1)) != bootstrap(of, np.arange(50), rng=rng(2))


def test_an_average_over_parts():
    _, gold, other = scores(90)
    rows = [np.arange(0, 30), np.arange(30, 90)]
    parts = [(pearson.on(other[r], gold[r]), r) for r in rows]
    both = average(parts, 90)
    assert both() == pytest.approx(np.mean([pearson(other[r], gold[r]) for r in rows]))
    figure = bootstrap(both, np.arange(90) % 45, rng=rng())
    assert isinstance(figure, Estimate)
    assert "BCa" in figure.method
    gold[:30] = 2
    with pytest.raises(Degenerate, match="every gold label is 2"):
        average([(pearson.on(other[r], gold[r]), r) for r in rows], 90)()
    with pytest.raises(Degenerate, match="there are no parts"):
        average([], 90)()


@pytest.mark.parametrize(
    ("statistic", "clusters", "reason"),
    [
        (pearson.on([1, 2, 3], [4, 4, 4]), [0, 1, 2], "every gold label is 4"),
        (pearson.on([1, 2, 3], [1, 3, 2]), [5, 5, 5], "all items are of one cluster"),
        (percent_agreement.on(range(9), range(9)), range(9), "every resample gives 1, so there"),
        (percent_agreement.on([1, 2, 3], [1, 2, 3]), [0, 1, 1], "any 1 of its 2 clusters give 1"),
        (pearson.on([1, 2, 3, 4], [4, 4, 1, 1]), [0, 1, 2, 2], "one of its 3 clusters it has no"),
        # One item of the rarer class: more than a third of all resamples are without it.
        (pearson.on([1, 2, 3] * 4, [1] + [0] * 11), np.arange(12), "resamples have no value"),
    ],
)
def test_no_honest_interval(statistic, clusters, reason):
    figure = bootstrap(statistic, clusters, rng=rng(), skipped=4)
    assert isinstance(figure, Undefined)
    assert reason in figure.reason
    assert (figure.n, figure.skipped) == (len(clusters), 4)


def test_resamples_without_a_value_are_told():
    gold = [1, 1, 1] + [0] * 17
    figure = bootstrap(pearson.on(np.arange(20) % 7, gold), np.arange(20), rng=rng())
    assert isinstance(figure, Estimate)
    assert " without a value left out" in figure.method


def test_percentile_where_bca_does_not_hold():
    # The share of items drawn at all: every resample is below the value.
    figure = bootstrap(lambda w: float((w > 0).mean()), np.arange(40), rng=rng())
    assert figure.method == "percentile bootstrap over 40 items, 999 resamples, 95 %"
    assert figure.low < 0.6 < figure.high == 1  # An interval always has its value.


@pytest.mark.parametrize("k", [2, 3, 7])
def test_few_clusters_by_jackknife(k):
    values = rng(k).normal(size=(k, 5)).clip(-1, 1) / 2 + 0.5
    clusters = np.arange(5 * k) // 5
    figure = bootstrap(mean_of(values.ravel(), SHARE), clusters, rng=rng())
    # Of clusters of one size the jackknife is Student's t of the clusters' means.
    t = mean(dict.fromkeys(values.mean(axis=1).tolist(), 1))
    assert figure.low == pytest.approx(max(t.low, 0), abs=1e-6)
    assert figure.high == pytest.approx(min(t.high, 1), abs=1e-6)
    assert figure.method == f"jackknife over {k} clusters, Student t, 95 %"


def test_more_items_draw_fewer_resamples_and_say_so():
    score, gold, _ = scores(80_000)
    figure = bootstrap(percent_agreement.on(score, gold), np.arange(80_000) // 8, rng=rng())
    assert "over 10000 clusters, 500 resamples" in figure.method
    exact = exact_proportion(int((score == gold).sum()), 80_000)
    assert (figure.low, figure.high) == pytest.approx((exact.low, exact.high), abs=1e-3)


# ---- differences of two


def test_paired_difference_uses_that_the_items_are_the_same():
    score, gold, other = scores(120)
    a, b = pearson.on(score, gold), pearson.on(other, gold)
    figure = paired_difference(a, b, np.arange(120), rng=rng())
    assert figure.value == pytest.approx(a() - b())
    own = [bootstrap(of, np.arange(120), rng=rng()) for of in (a, b)]
    assert figure.high - figure.low < sum(one.high - one.low for one in own)
    same = paired_difference(a, a, np.arange(120), rng=rng())
    assert isinstance(same, Undefined)
    assert "every resample gives 0" in same.reason


def of_sum(difference):
    return lambda swap: float(np.where(swap, -difference, difference).sum())


def test_all_ways_of_swapping_by_hand():
    # 1 + 2 + 3 = 6 or -6 in 2 of 8 ways.
    assert paired_permutation(of_sum(np.array([1.0, 2, 3])), [0, 1, 2], rng=rng()) == 2 / 8
    # Swapped as wholes: 3 and 3 in four ways, two of them as large.
    assert paired_permutation(of_sum(np.array([1.0, 2, 3])), [0, 0, 2], rng=rng()) == 2 / 4
    assert paired_permutation(of_sum(np.zeros(3)), [0, 1, 2], rng=rng()) == 1


def test_all_ways_of_swapping_many_items_come_in_blocks():
    difference = np.tile([1.0, -0.5, 0.25, 2], 200_000)
    p = paired_permutation(of_sum(difference), np.arange(800_000) % 4, rng=rng())
    # 2.75 of 3.75 (1 + 0.25 + 2 - 0.5), 3.25 and 3.75 are as large, in both directions.
    assert p == 6 / 16


@pytest.mark.parametrize("n", [8, 40])
def test_permutation_against_scipy(n):
    a, b = rng(n).normal(0.3, 1, n), rng(n + 1).normal(size=n)
    theirs = stats.permutation_test(
        (a, b), lambda x, y: np.mean(x) - np.mean(y), permutation_type="samples", rng=rng(),
        n_resamples=9999,
    ).pvalue  # fmt: skip
    ours = paired_permutation(of_sum(a - b), np.arange(n), rng=rng(), n_permutations=9999)
    assert ours == pytest.approx(theirs, abs=0 if n == 8 else 0.015)


@pytest.mark.parametrize("ours", [pearson, kendall, macro_f1])
def test_swapped_is_swapping(ours):
    score, gold, other = scores(50)
    other = np.round(other)
    swap = rng().random((20, 50)) < 0.5
    swapped = Swapped(ours.on(np.concatenate([score, other]), np.concatenate([gold, gold])))
    by_hand = [
        ours(np.where(s, other, score), gold) - ours(np.where(s, score, other), gold) for s in swap
    ]
    assert swapped.many(swap) == pytest.approx(by_hand)
    assert swapped(swap[0]) == pytest.approx(by_hand[0])
    p = paired_permutation(swapped, np.arange(50), rng=rng(), n_permutations=199)
    assert p == round(p * 200) / 200
    assert 0 < p <= 1


def test_a_value_that_is_zero_but_for_rounding_is_told_as_zero():
    nothing = bootstrap(lambda weights: -4.44e-17, np.arange(6), rng=rng())
    assert nothing.reason.startswith("any 5 of its 6 items give 0, so there is no spread")


def test_p_is_never_0():
    p = paired_permutation(of_sum(np.ones(200)), np.arange(200), rng=rng())
    assert p == 1 / 1000


# ---- by simulation (benchmarks/simulation.py is the long form)


@pytest.mark.parametrize("k", [12, 100])
def test_intervals_hold_the_truth_about_95_times_in_100(k):
    draw, held = rng(11), 0
    for _ in range(400):
        document = draw.normal(size=k)[:, None]
        gold = document + draw.normal(size=(k, 4))
        score = gold + document / 2 + draw.normal(size=(k, 4))
        # cov = 2 + 1/2; var = 2 and 2 + 1/4 + 1 + 1
        truth = 2.5 / math.sqrt(2 * 4.25)
        figure = bootstrap(
            pearson.on(score.ravel(), gold.ravel()), np.arange(4 * k) // 4, rng=draw,
            n_resamples=399,
        )  # fmt: skip
        held += figure.low <= truth <= figure.high
    assert (0.90 if k == 12 else 0.92) < held / 400 < 0.985


def test_a_null_test_rejects_about_5_in_100():
    draw, rejected = rng(12), 0
    for _ in range(400):
        gold = draw.normal(size=(20, 3))
        shift = draw.normal(size=(2, 20, 1))
        a, b = (gold + shift + draw.normal(size=(2, 20, 3))).reshape(2, 60)
        both = pearson.on(np.concatenate([a, b]), np.tile(gold.ravel(), 2))
        clusters = np.arange(60) // 3
        rejected += (
            paired_permutation(Swapped(both), clusters, rng=draw, n_permutations=199) <= 0.05
        )
    assert 0.02 < rejected / 400 < 0.085


# ---- exact shares


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (3, 10), (10, 10), (1, 1), (98, 100)])
def test_exact_proportion_against_scipy(hits, n):
    figure = exact_proportion(hits, n)
    theirs = stats.binomtest(hits, n).proportion_ci(method="exact")
    assert (figure.low, figure.high) == pytest.approx((theirs.low, theirs.high))
    assert figure.value == hits / n


def test_exact_proportion_of_nothing():
    assert isinstance(exact_proportion(0, 0, skipped=3), Undefined)


@pytest.mark.parametrize("degrees", [1, 2, 10, 29, 30, 31, 60, 1000])
def test_students_t(degrees):
    assert t975(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), abs=1e-3)
