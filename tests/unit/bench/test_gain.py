"""The gain of a tuned judge, against tables worked out by hand."""

import numpy as np
import pytest
from unit.corpus.cases import CRITERION, item, labelled, pair

from glider.bench.gain import (
    CONSTANT,
    LENGTH,
    TUNED,
    UNTUNED,
    as_scored,
    by_length,
    gain,
    gains,
    is_shown,
    one_answer,
)
from glider.bench.results import Difference


def sure(level):
    """All on one of five levels."""
    return [[float(n == level) for n in range(1, 6)]]


def four(*, clusters="abcd"):
    """Gold 1, 2, 4, 5; the tuned judge is off by 0, 1, 0, 1, the untuned one by 1, 2, 2, 1."""
    items = [item(g, cluster=c, id=c + str(g)) for g, c in zip((1, 2, 4, 5), clusters, strict=True)]
    return items, {
        "tuned": [sure(1), sure(3), sure(4), sure(4)],
        "untuned": [sure(2), sure(4), sure(2), sure(4)],
    }


def figures(results):
    return {(one.system, one.metric): one for one in results.figures}


def differences(results):
    return {(one.b, one.metric): one for one in results.differences}


def test_figures_and_differences_of_four_prompts():
    items, answers = four()
    found = gains(labelled(), items, [0, 1, 0, 1], **answers, settings={"folds": 2})
    told = figures(found)
    assert told[TUNED, "mae"].value == pytest.approx(0.5)
    assert told[UNTUNED, "mae"].value == pytest.approx(1.5)
    # Gold is 1, 2, 4, 5: deviations -2, -1, 1, 2. Tuned 1, 3, 4, 4: -2, 0, 1, 1, so 7 / sqrt(10 * 6).
    assert told[TUNED, "pearson"].value == pytest.approx(7 / np.sqrt(60))
    # Untuned 2, 4, 2, 4: -1, 1, -1, 1, so 2 / sqrt(10 * 4).
    assert told[UNTUNED, "pearson"].value == pytest.approx(2 / np.sqrt(40))
    assert gain(found).value == pytest.approx(7 / np.sqrt(60) - 2 / np.sqrt(40))
    # Errors differ by -1, -1, -2, 0: mean -1, standard error sqrt(2/3) / 2, t of 3 degrees 3.182.
    mae = differences(found)[UNTUNED, "mae"]
    half = 3.182 * np.sqrt(2 / 3) / 2
    assert (mae.value, mae.low, mae.high) == pytest.approx((-1, -1 - half, -1 + half), abs=1e-3)
    assert mae.method == "jackknife over 4 items, Student t, 95 %"
    assert not is_shown(mae)
    assert (
        found.settings["folds"] == 2 and found.settings["systems"][CONSTANT]["kind"] == "baseline"
    )


def test_whole_prompts_are_resampled():
    items, answers = four(clusters="aabb")
    mae = differences(gains(labelled(), items, [0, 0, 1, 1], **answers, settings={}))[
        UNTUNED, "mae"
    ]
    # Two prompts: -1 and -1. There is no spread to judge by, however many items there are.
    assert (mae.value, mae.low) == (-1, None) and "no spread" in mae.undefined


def test_one_answer_for_all_has_no_correlation_and_the_least_error():
    items, answers = four()
    found = gains(labelled(), items, [0, 1, 0, 1], **answers, settings={})
    told = figures(found)
    assert told[CONSTANT, "pearson"].value is None
    assert "same score" in told[CONSTANT, "pearson"].undefined
    assert told[CONSTANT, "mae"].value == pytest.approx(1.5)  # all 3: 2, 1, 1, 2
    assert one_answer([item(1), item(2), item(2), item(5)], "graded") == [2, 2, 2, 2]
    assert one_answer([item(1), item(1), item(4), item(5), item(5)], "classes") == [1] * 5


def test_classes_take_the_likeliest_level_and_grades_the_mean():
    items, probs = [item(5)], [[[0.45, 0, 0, 0, 0.55]]]
    assert as_scored("x", TUNED, items, probs, "classes").score.tolist() == [5]
    assert as_scored("x", TUNED, items, probs, "graded").score.tolist() == [pytest.approx(3.2)]
    # Labels in per cent, judged from 1 to 5.
    assert as_scored(
        "x", TUNED, [item(70, scale=(0, 100))], probs, "graded"
    ).score.tolist() == [pytest.approx(55)]  # fmt: skip


@pytest.mark.parametrize(
    ("shown", "swapped", "right"),
    [
        ([0.1, 0.9], [0.8, 0.2], 1.0),  # the second one, in both places
        ([0.1, 0.9], [0.2, 0.8], 0.0),  # whatever stands second: one order right is not enough
        ([0.9, 0.1], [0.2, 0.8], 0.0),
    ],
)
def test_a_pair_counts_if_it_is_right_in_both_orders(shown, swapped, right):
    two = [pair(1), pair(1)]
    found = gains(
        labelled(kind="pairs"), two, [0, 1], settings={},
        tuned=[[shown, swapped]] * 2, untuned=[[[0.5, 0.5], [0.5, 0.5]]] * 2,
    )  # fmt: skip
    assert as_scored("x", TUNED, two, [[shown, swapped]] * 2, "pairs").orders[0].tolist() == [
        shown[1], swapped[0],
    ]  # fmt: skip
    from glider.bench.metrics import METRICS, MetricOfScores

    scored = as_scored("x", TUNED, two, [[shown, swapped]] * 2, "pairs")
    assert MetricOfScores(METRICS.get("accuracy_both"), scored).statistic() == right
    assert CONSTANT not in {one.system for one in found.figures}


def test_length_points_where_the_other_folds_point():
    texts = ["x" * size for size in (1, 3, 7, 15, 31, 63)]  # 1 + characters doubles each time
    items = [item(n, output=text, scale=(0, 5)) for n, text in enumerate(texts)]
    assert by_length(items, [0, 1, 2, 0, 1, 2]) == pytest.approx([0, 1, 2, 3, 4, 5])
    # Learnt from the other two, which fall, though its own two rise.
    falls = [
        item(g, output=t, scale=(0, 5))
        for g, t in zip((1, 4, 4, 1), (texts[0], texts[5]) * 2, strict=True)
    ]
    found = by_length(falls, [0, 0, 1, 1])
    assert found[0] > found[1] and found[2] < found[3]


def test_length_of_pairs_is_what_won_elsewhere():
    # "Hello there!" is longer than "Go away."
    assert by_length([pair(0), pair(0), pair(1)], [0, 1, 2]) == [0.5, 0.5, 0.0]
    assert by_length([pair(1), pair(1), pair(1)], [0, 1, 2]) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("metric", "low", "high", "shown"),
    [
        ("pearson", 0.01, 0.4, True),
        ("pearson", -0.01, 0.4, False),
        ("pearson", -0.4, -0.1, False),
        ("mae", -0.4, -0.1, True),  # a smaller error is the better one
        ("mae", 0.1, 0.4, False),
        ("pearson", None, None, False),
    ],
)
def test_a_gain_is_shown_if_its_whole_interval_is_on_the_better_side(metric, low, high, shown):
    value = None if low is None else (low + high) / 2
    difference = Difference(
        benchmark="x", metric=metric, a=TUNED, b=UNTUNED, value=value, low=low, high=high, n=60
    )
    assert is_shown(difference) is shown


def test_where_all_resamples_agree_the_next_metric_decides():
    items = [item(n % 2, scale=(0, 1), levels={0: "bad", 1: "good"}, id=str(n), cluster=str(n))
             for n in range(60)]  # fmt: skip
    right = [[[1 - n % 2, n % 2]] for n in range(60)]
    always = [[[1, 0]]] * 60
    folds = [n // 2 % 3 for n in range(60)]
    found = gains(labelled(kind="classes"), items, folds, tuned=right, untuned=always, settings={})
    balanced = differences(found)[UNTUNED, "balanced_accuracy"]
    assert (balanced.value, balanced.low) == (0.5, None)
    assert (gain(found).metric, gain(found).value) == ("accuracy", pytest.approx(0.5))
    assert is_shown(gain(found))


def test_a_judge_that_learnt_the_common_label_alone_has_gained_nothing():
    items = [item(n % 3 > 0, scale=(0, 1), levels={0: "bad", 1: "good"}, id=str(n), cluster=str(n))
             for n in range(60)]  # fmt: skip
    found = gains(
        labelled(kind="classes"), items, [n % 5 for n in range(60)], settings={},
        tuned=[[[0, 1]]] * 60, untuned=[[[1, 0]]] * 60,
    )  # fmt: skip
    assert is_shown(differences(found)[UNTUNED, "accuracy"])  # 2/3 against 1/3
    assert gain(found).metric == "balanced_accuracy" and not is_shown(gain(found))


def test_a_judge_that_knows_is_shown_to_be_better_than_one_that_does_not():
    rng = np.random.default_rng(1)
    gold = rng.integers(1, 6, 80)
    items = [item(int(g), id=str(n), cluster=str(n // 2), output="x" * int(rng.integers(1, 99)),
                  criterion=CRITERION) for n, g in enumerate(gold)]  # fmt: skip
    knows = [sure(int(np.clip(g + rng.integers(-1, 2), 1, 5))) for g in gold]
    guesses = [sure(int(n)) for n in rng.integers(1, 6, 80)]
    folds = [n // 2 % 5 for n in range(80)]
    found = gains(labelled(), items, folds, tuned=knows, untuned=guesses, settings={})
    assert is_shown(gain(found)) and is_shown(differences(found)[LENGTH, "pearson"])
    assert "40 clusters" in gain(found).method
    nothing = gains(labelled(), items, folds, tuned=guesses, untuned=guesses, settings={})
    assert gain(nothing).value == 0 and not is_shown(gain(nothing))
