"""Metrics over parts on tables that can be checked by eye: levels, failures, constants, orders."""

from dataclasses import replace

import numpy as np
import pytest

from glider.bench.metrics import METRICS, MetricOfScores, levels_of, nearest
from glider.bench.scored import Scored
from glider.core.errors import UnknownName
from glider.gold.sets import load_set, shipped
from glider.stats.estimates import Degenerate
from glider.stats.resampling import paired_difference, paired_permutation

NONE = None


def table(
    gold, score, *, parts=None, texts=None, groups=None, scale=(1, 5), orders=None, system="judge",
    benchmark="b",
):  # fmt: skip
    """One `Scored` from plain lists; a score of None is a failed judgment."""
    parts = parts or ["p"] * len(gold)
    names, of_group = tuple(dict.fromkeys(parts)), tuple(dict.fromkeys(groups or ()))
    return Scored(
        benchmark=benchmark,
        system=system,
        gold=np.array(gold, float),
        score=np.array([0.0 if s is None else s for s in score], float),
        judged=np.array([s is not None for s in score]),
        cluster=np.arange(len(gold)),
        part=np.array([names.index(p) for p in parts], np.int64),
        parts=names,
        scales=(tuple(map(float, scale)),) * len(names),
        ids=tuple(f"i{n}" for n in range(len(gold))),
        text=None if texts is None else np.array(texts, np.int64),
        group=None if groups is None else np.array([of_group.index(g) for g in groups], np.int64),
        groups=of_group,
        orders=None if orders is None else np.array(orders, float),
    )


def value(name, scored, protocol="strict"):
    return MetricOfScores(METRICS.get(name), scored, protocol).statistic()


@pytest.mark.parametrize(("name", "expected"), [("accuracy", 1.0), ("acceptable", 0.5)])
def test_a_class_is_the_likeliest_level_and_a_distance_is_of_the_mean(name, expected):
    """Torn between the ends, the mean lies in the middle; nobody answered the middle."""
    torn = replace(table([1, 5], [3, 4], scale=(1, 5)), levels=np.array([1.0, 5.0]))
    assert value(name, torn) == expected


@pytest.mark.parametrize(
    ("name", "score", "expected"),
    [
        # gold is 1 2 4 5
        ("accuracy", [1, 2, 4, 1], 0.75),
        ("accuracy", [1.4, 2.4, 3.6, 5], 1.0),  # nearest level
        ("accuracy", [1, 2, 4, NONE], 0.75),  # a failure is wrong
        ("agr22", [1, 3, 4, 2], (1 + 0.25 + 1 + 0) / 4),
        ("agr22", [1, 2, 4, NONE], 0.75),
        ("acceptable", [2, 4, 5, 5], 0.75),
        ("acceptable", [1, 2, 4, NONE], 0.75),
        ("mae", [1, 2.5, 4, 4], 1.5 / 4),
        ("mae", [NONE, 2, 4, 5], 4 / 4),  # the farthest level from 1 is 5
        ("mae", [1, 2, NONE, 5], 3 / 4),  # from 4 it is 1
        ("dov", [1, 3, 4, 5], 0.25),
        ("pearson", [1, 2, 4, 5], 1.0),
        ("pearson", [5, 4, 2, 1], -1.0),
        ("spearman", [0.1, 0.2, 0.3, 0.9], 1.0),
        ("kendall", [2, 1, 4, 5], 4 / 6),
        ("qwk", [1, 2, 4, 5], 1.0),
        ("kappa", [1, 2, 4, 5], 1.0),
        ("macro_f1", [1, 2, 4, 1], (2 / 3 + 1 + 1 + 0) / 4),
        ("balanced_accuracy", [1, 2, 5, 5], 0.75),
    ],
)
def test_a_metric_by_hand(name, score, expected):
    assert value(name, table([1, 2, 4, 5], score)) == pytest.approx(expected)


def test_evalyaks_rule_is_over_all_criteria_of_a_text():
    """Acceptable: all off by at most one in the same direction (recipes.md 12), by hand.

    Six transcripts under three criteria, the criteria one below the other as they stand in a run.
    """
    gold = [[3, 3, 3], [3, 3, 3], [3, 3, 3], [3, 4, 2], [2, 4, 3], [3, 4, 2]]
    score = [
        [3, 3, 3],  # accurate
        [4, 3, 4],  # none off by more than one, all of them upwards: acceptable
        [4, 3, 2],  # one up, one down: not acceptable, though each is at most one off
        [2, 3, 1],  # one down each: acceptable
        [2, 4, 5],  # one of them two up: not acceptable
        [3, 4, NONE],  # a failed judgment is no level at all: not acceptable
    ]
    parts = [p for p in ("GV", "DM", "IC") for _ in gold]
    scored = table(
        [row[c] for c in range(3) for row in gold], [row[c] for c in range(3) for row in score],
        parts=parts, texts=[*range(6)] * 3,
    )  # fmt: skip
    measured = MetricOfScores(METRICS.get("acceptable"), scored)
    assert measured.statistic() == pytest.approx(3 / 6)
    assert measured.rows.tolist() == [*range(6)], "a text counts once, whatever was asked of it"
    assert value("acceptable", scored, "judged only") == pytest.approx(3 / 5)
    alone = [value("acceptable", scored.only(scored.part == c)) for c in range(3)]
    assert alone == pytest.approx([1, 1, 4 / 6]), "of one criterion: at most one level off"
    # One level for all criteria, 1 to 5: acceptable for 0, 3, 3, 3, 0 of the six texts.
    assert measured.chance() == pytest.approx(9 / 30)
    right = replace(scored, score=scored.gold, judged=np.ones(18, np.bool_))
    exchange = MetricOfScores.exchange(METRICS.get("acceptable"), scored, right)
    swap = np.zeros((2, 18), np.bool_)
    swap[0, [0, 6, 12]] = True  # the first transcript, as right in both
    swap[1, [2, 8, 14]] = True  # the third, right in one of them
    assert exchange.many(swap).tolist() == pytest.approx([-3 / 6, -1 / 6])


def test_protocols():
    scored = table([1, 2, 4, 5], [1, 2, 4, NONE])
    assert value("accuracy", scored, "judged only") == 1
    assert value("mae", scored, "judged only") == 0
    # The failed item gets the mean of the judge's own scores, so it tells nothing of its rank.
    filled = np.corrcoef([1, 2, 4, 5], [1, 2, 4, 7 / 3])[0, 1]
    assert value("pearson", scored) == pytest.approx(filled)
    assert value("pearson", scored, "judged only") == pytest.approx(1)


@pytest.mark.parametrize(
    ("gold", "score", "auc", "mcc"),
    [
        ([0, 0, 1, 1], [0.1, 0.6, 0.7, 0.9], 1.0, 2 / np.sqrt(12)),
        ([0, 1, 0, 1], [0, 1, 0, 1], 1, 1),
    ],
)
def test_two_classes(gold, score, auc, mcc):
    scored = table(gold, score, scale=(0, 1))
    assert value("auc", scored) == pytest.approx(auc)
    assert value("mcc", scored) == pytest.approx(mcc)


def test_parts_are_averaged_not_pooled():
    scored = table([1, 2, 3, 1, 2, 3], [1, 2, 3, 3, 2, 1], parts=list("aaabbb"))
    assert value("pearson", scored) == pytest.approx(0)
    weights = np.array([1, 1, 1, 0, 0, 0.0])  # a resample without the second part
    assert MetricOfScores(METRICS.get("pearson"), scored).statistic(weights) == pytest.approx(1)


def test_a_part_whose_labels_are_alike_is_left_out_and_named():
    measured = MetricOfScores(METRICS.get("pearson"), table([1, 2, 3, 4, 4, 4], [1, 2, 3, 1, 2, 3],
                                                      parts=list("aaabbb")))  # fmt: skip
    assert measured.statistic() == pytest.approx(1)
    assert measured.left_out == {"b": "the labels are all alike"}
    assert measured.rows.tolist() == [0, 1, 2]


def test_one_score_for_all_of_a_part_is_a_random_answer_and_for_all_items_none():
    half = MetricOfScores(METRICS.get("pearson"), table([1, 2, 3, 1, 2, 3], [1, 2, 3, 4, 4, 4],
                                                  parts=list("aaabbb")))  # fmt: skip
    assert half.silent == ["b"]
    assert half.statistic() == pytest.approx(0.5)
    whole = MetricOfScores(METRICS.get("pearson"), table([1, 2, 3], [4, 4, 4]))
    with pytest.raises(Degenerate, match="every item the same score"):
        whole.statistic()
    # For an accuracy or an error one score throughout is an answer like any other.
    assert value("mae", table([1, 2, 3], [2, 2, 2])) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("scale", "gold", "levels"),
    [
        ((1, 5), [1, 5, 5], [1, 2, 3, 4, 5]),  # whole numbers of a short scale, seen or not
        ((1, 5), [3.67, 4.33], [1, 2, 3, 4, 5]),  # means of several raters go to the nearest
        ((0, 1), [0, 1], [0, 1]),
        ((0, 1), [0.25, 1, 0.5], [0, 0.25, 0.5, 0.75, 1]),
        ((0, 200), [40, 120], [0, 40, 80, 120, 160, 200]),
        ((-2, 2), [0, 1], [-2, -1, 0, 1, 2]),
    ],
)
def test_levels(scale, gold, levels):
    assert levels_of(np.array(gold, float), scale).tolist() == pytest.approx(levels)


def test_labels_on_no_few_levels_have_no_level_metrics():
    with pytest.raises(Degenerate, match="more than 11 levels"):
        levels_of(np.array([13.0, 57.5, 88.25]), (0, 100))
    measured = MetricOfScores(METRICS.get("qwk"), table([13, 57, 88], [10, 60, 90], scale=(0, 100)))
    with pytest.raises(Degenerate, match="more than 11 levels"):
        measured.statistic()


def test_nearest_level():
    levels = np.array([1.0, 2, 4])
    assert nearest(np.array([-3, 1.4, 1.5, 2.9, 3, 9]), levels).tolist() == [0, 0, 1, 1, 2, 2]


# ---- pairs: gold 1 means the second is better; orders are both about the second

PAIRS = table(
    [1, 1, 0, 0, 0.5],
    [0.8, 0.5, 0.2, 0.7, 0.9],
    scale=(0, 1),
    orders=[[0.9, 0.7], [0.8, 0.2], [0.1, 0.3], [0.6, 0.8], [0.9, 0.9]],
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy_single", 3 / 4),  # the tie in gold is left out
        ("accuracy_both", 2 / 4),
        ("accuracy_averaged", (1 + 0.5 + 1 + 0) / 4),
        ("flip_rate", 1 / 5),  # no gold is needed
        ("first_share", (1 + 1 + 1 + 2) / 10 + 1 / 10),
    ],
)
def test_pairs(name, expected):
    # First place chosen: pair 1 swapped, pair 2 swapped once and shown never, ...
    if name == "first_share":
        shown_first = [0, 0, 1, 0, 0]
        swapped_first = [1, 0, 0, 1, 1]
        expected = (sum(shown_first) + sum(swapped_first)) / 10
    assert value(name, PAIRS) == pytest.approx(expected)


def test_an_order_that_was_not_judged_is_wrong_and_left_out_of_judged_only():
    scored = table([1, 0], [0.9, 0.1], scale=(0, 1), orders=[[0.9, np.nan], [0.1, 0.2]])
    assert value("accuracy_both", scored) == 0.5
    assert value("accuracy_both", scored, "judged only") == 1
    assert value("flip_rate", scored) == 0


def test_a_rule_that_knows_no_order_is_right_in_both_or_in_none():
    scored = table([1, 0, 1], [1, 1, NONE], scale=(0, 1))
    assert value("accuracy_both", scored) == value("accuracy_single", scored) == 1 / 3


# ---- chance and exchange


@pytest.mark.parametrize(
    ("name", "chance"),
    [("accuracy", 1 / 5), ("pearson", 0), ("mae", None), ("agr22", None)],
)
def test_chance_is_the_mean_over_answering_each_level_throughout(name, chance):
    scored = table([1, 2, 4, 5], [1, 2, 4, 5])
    found = MetricOfScores(METRICS.get(name), scored).chance()
    if name == "agr22":
        chance = np.mean(
            [
                [1 if d == 0 else 0.25 if d == 1 else 0 for d in (abs(a - g) for g in (1, 2, 4, 5))]
                for a in range(1, 6)
            ]
        )
    if name == "mae":
        chance = np.mean([np.abs(np.array([1, 2, 4, 5]) - a) for a in np.linspace(1, 5, 101)])
    assert found == pytest.approx(chance)


@pytest.mark.parametrize("name", ["pearson", "spearman", "accuracy", "mae", "kendall"])
def test_exchanging_all_scores_turns_the_difference_round(name):
    a, b = table([1, 2, 4, 5], [1, 2, 4, 3]), table([1, 2, 4, 5], [2, 1, 1, 5])
    swapped = MetricOfScores.exchange(METRICS.get(name), a, b)
    whole = value(name, a) - value(name, b)
    assert swapped(np.zeros(4, bool)) == pytest.approx(whole)
    assert swapped(np.ones(4, bool)) == pytest.approx(-whole)


def of_quality(name, noise, rng):
    """A system on 60 items in 30 clusters: scores are the labels with this much noise."""
    metric, n = METRICS.get(name), 60
    fixed = np.random.default_rng(0)
    pairs, texts = metric.kinds == ("pairs",), metric.on == "texts"
    classes = name in ("auc", "mcc")
    gold = fixed.integers(0 if pairs or classes else 1, 2 if pairs or classes else 6, n)
    latent = gold + rng.normal(0, noise, n)
    if pairs:
        # What two orders have in common is the better output, or the place.
        place = rng.normal(0, noise, n)
        orders = np.clip(np.column_stack([latent + place, latent - place]), 0, 1)
        found = table(gold, orders.mean(axis=1), scale=(0, 1), orders=orders)
    else:
        low, high = (0, 1) if classes else (1, 5)
        found = table(
            gold, np.clip(latent, low, high), scale=(low, high),
            parts=list("ab") * (n // 2) if texts else None,
            texts=np.arange(n) // 2 if texts else None,
        )  # fmt: skip
    return replace(found, cluster=np.arange(n) // 2)


@pytest.mark.parametrize("name", METRICS.names())
def test_the_permutation_test_and_the_interval_say_the_same(name):
    metric = METRICS.get(name)
    rng = np.random.default_rng(1)
    good = of_quality(name, 0.1, rng)
    if name == "first_share":  # of no direction: one system always takes the first, one never
        n = len(good)
        first = replace(
            good, orders=np.column_stack([rng.random(n) < 0.1, rng.random(n) < 0.9]) * 1.0
        )
        bad = replace(
            good, orders=np.column_stack([rng.random(n) < 0.9, rng.random(n) < 0.1]) * 1.0
        )
        good = first
    else:
        bad = of_quality(name, 3.0, rng)

    def p(a, b):
        swap = MetricOfScores.exchange(metric, a, b)
        return paired_permutation(swap, a.cluster, rng=np.random.default_rng(2), n_permutations=399)

    found = paired_difference(
        MetricOfScores(metric, good).statistic, MetricOfScores(metric, bad).statistic, good.cluster,
        rng=np.random.default_rng(2), n_resamples=399,
    )  # fmt: skip
    assert found.low > 0 or found.high < 0
    assert p(good, bad) < 0.02 and p(bad, good) < 0.02
    if name != "first_share":
        alike = [p(of_quality(name, 1.0, rng), of_quality(name, 1.0, rng)) for _ in range(12)]
        assert sum(each < 0.05 for each in alike) <= 3
        assert np.mean(alike) > 0.25


def test_exchange_does_not_see_another_scale():
    """A rule that scores 0 to 100 and its copy in 0 to 1 are the same to a correlation."""
    gold = [1, 2, 4, 5]
    a, b = table(gold, [1, 2, 4, 3]), table(gold, [100, 200, 400, 300])
    swapped = MetricOfScores.exchange(METRICS.get("pearson"), a, b)
    assert swapped(np.array([True, False, True, False])) == pytest.approx(0)


def test_every_name_loads_and_is_its_own():
    for name in METRICS.names():
        metric = METRICS.get(name)
        assert metric.name == name
        assert metric.title
        assert metric.kinds
    with pytest.raises(UnknownName, match="pearson"):
        METRICS.get("pearsons")


SETS_OF_PAIRS = [made for made in map(load_set, shipped()) if made.kind == "pairs"]


@pytest.mark.parametrize("labelled", SETS_OF_PAIRS, ids=lambda labelled: labelled.name)
def test_a_coin_that_sees_no_order_stands_at_random_on_every_set_of_pairs(labelled):
    coins = np.random.default_rng(2).integers(0, 2, (2, 20_000))
    metric = METRICS.get(labelled.metrics[0])
    measured = MetricOfScores(metric, table(*coins.tolist(), scale=(0, 1)))
    mapped = (measured.statistic() - measured.chance()) / (metric.best - measured.chance())
    assert abs(mapped) < 0.03
