"""Results: every odd thing about the data named, comparisons corrected, the aggregate by hand."""

from dataclasses import replace

import numpy as np
import pytest
from cases import item
from test_bench_run import labelled
from test_metrics import NONE, table

from glider.bench.benchmark import FigureSettings, cleaned
from glider.bench.markdown import brief, markdown
from glider.bench.results import Results
from glider.bench.scored import Scored
from glider.bench.table import BY_LANGUAGE, measure
from glider.release.card import main_figures

QUICK = FigureSettings(n_resamples=199, n_permutations=199)
RNG = np.random.default_rng(5)
LOST = -1.0
"""Stands for no score in an array."""
GOLD = RNG.integers(1, 6, 60).astype(float)


def near(noise, seed=1):
    """Scores that follow the labels, more or less."""
    return np.clip(GOLD + np.random.default_rng(seed).normal(0, noise, 60), 1, 5).tolist()


def results(*scored, kinds=None, metrics=("pearson", "accuracy"), readings=None, **options):
    sets = {"b": labelled(name="b", metrics=metrics, **options)}
    return measure(scored, sets, kinds=kinds, readings=readings, settings=QUICK)


def figure(found, system, metric, protocol="strict", part=""):
    (one,) = (
        f
        for f in found.figures
        if (f.benchmark, f.system, f.metric, f.protocol, f.part)
        == ("b", system, metric, protocol, part)
    )
    return one


def test_figures_have_interval_count_and_coverage():
    scores = near(0.5)
    scores[:6] = [NONE] * 6
    found = results(table(GOLD, scores))
    pearson = figure(found, "judge", "pearson")
    assert pearson.low < pearson.value < pearson.high
    assert (pearson.n, pearson.asked, pearson.judged) == (60, 60, 54)
    left = figure(found, "judge", "pearson", "judged only")
    assert (left.n, left.asked) == (54, 60)
    assert left.value > pearson.value
    coverage = figure(found, "judge", "coverage")
    assert coverage.value == 0.9
    assert 0.79 < coverage.low < 0.9 < coverage.high < 0.97


def test_without_failures_the_protocols_are_one():
    found = results(table(GOLD, near(0.5)))
    assert {f.protocol for f in found.figures} == {"strict"}


def test_the_same_seed_gives_the_same_figures_alone_or_among_others():
    alone = results(table(GOLD, near(1)))
    among = results(table(GOLD, near(1)), table(GOLD, near(2), system="other"))
    assert figure(alone, "judge", "pearson") == figure(among, "judge", "pearson")


def test_all_right_has_an_exact_interval_not_a_certain_one():
    accuracy = figure(results(table(GOLD, GOLD.tolist())), "judge", "accuracy")
    assert (accuracy.value, accuracy.high) == (1, 1)
    assert accuracy.low == pytest.approx(0.025 ** (1 / 60))  # Clopper-Pearson by hand
    assert "Clopper" in accuracy.method


# ---- bad data, each named


def one_cluster(scored):
    return replace(scored, cluster=np.zeros(len(scored), np.int64))


NAN = float("nan")


@pytest.mark.parametrize(
    ("scored", "note"),
    [
        (table([*GOLD, NAN, NAN], [*near(1), 3, 3]), "b: 2 of 62 items without a label, left out"),
        (
            table([*GOLD, 9], [*near(1), 3]),
            "b: 1 of 61 items with a label outside its scale, left out",
        ),
        (
            replace(table(GOLD, near(1)), ids=("i0", "i0", *(f"i{n}" for n in range(2, 60)))),
            "b: 1 of 60 items with a repeated id, left out",
        ),
        (table([3] * 20, near(1)[:20]), "b: no Pearson's r, Accuracy: the labels are all alike"),
        (
            table([*GOLD, 2, 2, 2], [*near(1), 1, 2, 3], parts=["p"] * 60 + ["q"] * 3),
            "b: no Pearson's r, Accuracy of q: the labels are all alike",
        ),
        (
            one_cluster(table(GOLD, near(1))),
            "b: all items belong to one cluster, so there are no intervals and no tests",
        ),
        (table(GOLD, [2] * 60), "b: judge gives every item the same score"),
        (
            table(GOLD, [*near(1)[:30], *[NONE] * 30]),
            "b: judge did not judge 30 of 60 items (50%)",
        ),
    ],
)
def test_bad_data_is_named(scored, note):
    found = results(scored)
    assert note in found.notes
    assert note in markdown(found)


def test_a_value_that_rounds_to_zero_has_no_sign():
    found = results(table(GOLD, near(1)))
    tiny = [
        f.model_copy(update={"value": -0.001, "low": -0.004, "high": -0.0005})
        for f in found.figures
    ]
    said = markdown(found.model_copy(update={"figures": tuple(tiny)}))
    assert "0.00 [0.00, 0.00]" in said
    assert "-0.00" not in said


def test_a_part_of_which_nothing_was_judged_is_not_called_the_same_score():
    parts = ["p"] * 30 + ["q"] * 30
    none_of_q = results(table(GOLD, [*near(1)[:30], *[NONE] * 30], parts=parts))
    one_of_p = results(table(GOLD, [*[2] * 30, *[NONE] * 30], parts=parts))
    assert not any("same score" in note for note in none_of_q.notes)
    assert "b: judge gives every item of p the same score" in one_of_p.notes


def test_what_cannot_be_measured_is_undefined_with_a_reason_never_zero():
    found = results(table([3] * 20, near(1)[:20]), one_cluster(table(GOLD, near(1), system="one")))
    for system, reason in (("judge", "the labels are all alike"), ("one", "one cluster")):
        pearson = figure(found, system, "pearson")
        assert pearson.value is None
        assert reason in pearson.undefined
    assert "| – |" in brief(found)


def test_pair_ties_are_counted():
    scored = table([1, 0, 0.5, 1, 0], [0.9, 0.1, 0.5, 0.8, 0.4], scale=(0, 1))
    found = results(scored, metrics=("accuracy_single",), kind="pairs")
    assert any("1 of 5 pairs are ties" in note for note in found.notes)
    assert figure(found, "judge", "accuracy_single").n == 4


@pytest.mark.parametrize(
    ("gold", "orders", "metric", "why"),
    [
        ([0.5] * 12, [[0.2, 0.3]] * 12, "accuracy_averaged", "every label is a tie"),
        ([0, 1] * 6, [[np.nan, np.nan]] * 12, "flip_rate", "no pair was judged in both orders"),
    ],
)
def test_a_share_of_nothing_is_undefined_with_its_own_reason(gold, orders, metric, why):
    score = [NONE if np.isnan(o).any() else 1.0 for o in orders]
    found = results(
        table(gold, score, scale=(0, 1), orders=orders), kind="pairs",
        metrics=("accuracy_averaged", "flip_rate"),
    )  # fmt: skip
    one = figure(found, "judge", metric)
    assert one.value is None
    assert one.undefined == why
    markdown(found)


def test_items_with_bad_labels_do_not_count():
    scored, notes = cleaned(table([1, NAN, 9, 2], [1, 2, 3, 2]))
    assert scored.ids == ("i0", "i3")
    assert len(notes) == 2
    same, none = cleaned(table([1, 2], [1, 2]))
    assert (len(same), none) == (2, [])


# ---- comparisons


def test_a_judge_is_tested_against_each_baseline_and_each_other_judge():
    found = results(
        table(GOLD, near(0.3), system="good"),
        table(GOLD, near(3, 2), system="bad"),
        table(GOLD, near(3, 3), system="length"),
        table(GOLD, near(3, 4), system="random"),
        kinds={"length": "baseline", "random": "baseline"},
    )
    tested = {(d.a, d.b): d for d in found.differences}
    assert set(tested) == {
        ("good", "bad"), ("good", "length"), ("good", "random"), ("bad", "length"),
        ("bad", "random"),
    }  # fmt: skip
    sure = tested["good", "length"]
    assert sure.value > 0
    assert sure.low > 0
    assert sure.p < sure.p_adjusted < 0.05
    assert tested["bad", "length"].p_adjusted > 0.05
    ps = sorted(d.p for d in found.differences)
    by_hand = np.maximum.accumulate(np.minimum(1, np.array(ps) * np.arange(5, 0, -1)))
    assert sorted(d.p_adjusted for d in found.differences) == pytest.approx(list(by_hand))
    assert f"{sure.value:.2f} [{sure.low:.2f}, {sure.high:.2f}]" in markdown(found)
    assert "▲" in brief(found)


def test_many_tests_get_enough_permutations_to_survive_their_correction():
    """With 199 permutations p is at least 0.005, and times 30 tests never below 0.05."""
    rules = [table(GOLD, near(5, seed), system=f"rule {seed}") for seed in range(30)]
    kinds = {rule.system: "baseline" for rule in rules}
    found = results(table(GOLD, near(0.2), system="good"), *rules, kinds=kinds)
    assert len(found.differences) == 30
    assert max(d.p_adjusted for d in found.differences) < 0.05


def test_further_readings_are_compared_with_the_main_one_only():
    found = results(
        table(GOLD, near(1), system="a, expected"),
        table(GOLD, np.rint(near(1)).tolist(), system="a, greedy"),
        table(GOLD, near(2), system="b"),
        table(GOLD, near(3), system="length"),
        kinds={"length": "baseline"},
        readings={"a, expected": "a, expected", "a, greedy": "a, expected", "b": "b"},
    )
    assert [(d.a, d.b) for d in found.differences] == [
        ("a, expected", "a, greedy"), ("a, expected", "b"), ("a, expected", "length"),
        ("b", "length"),
    ]  # fmt: skip


def test_systems_with_fewer_items_are_compared_on_those_they_share():
    whole = table(GOLD, near(1), system="fast")
    few = table(GOLD, near(1, 2), system="slow").only(np.arange(60) % 3 == 0)
    (difference,) = results(whole, few).differences
    assert difference.n == 20
    assert difference.p is not None


def test_a_silent_system_is_not_compared_but_named():
    (difference,) = results(table(GOLD, near(1)), table(GOLD, [2] * 60, system="mute")).differences
    assert difference.value is None
    assert difference.p is None
    assert difference.undefined == "mute: the system gives every item the same score"


def test_people_are_compared_with_nobody():
    found = results(
        table(GOLD, near(1)), table(GOLD, near(1), system="human"), kinds={"human": "people"}
    )
    assert found.differences == ()
    assert found.settings["systems"]["human"] == {"kind": "people"}


# ---- the aggregate


def test_the_aggregate_maps_random_to_0_and_perfect_to_1():
    pairs = table([1, 0, 1, 0] * 10, [0.9, 0.1, 0.9, 0.9] * 10, scale=(0, 1), benchmark="pairs")
    graded = table(GOLD, GOLD.tolist(), benchmark="graded")
    sets = {
        "pairs": labelled(name="pairs", kind="pairs", metrics=("accuracy_single",), family="p"),
        "graded": labelled(name="graded", metrics=("mae",), family="g"),
    }
    found = measure([pairs, graded], sets, settings=QUICK)
    whole = {f.part: f for f in found.figures if f.metric == "aggregate"}
    assert whole["p"].value == pytest.approx((0.75 - 0.5) / 0.5)
    # An error of 0 throughout has no interval, but it is as good as can be.
    assert whole["g"].value == 1
    assert whole["g"].low is None
    assert whole[""].value == pytest.approx(0.75)
    assert whole[""].low < 0.75 < whole[""].high
    assert "1 of them without interval" in whole[""].method


def test_two_judges_are_compared_over_all_sets_whichever_was_measured_first():
    scored = [
        table(GOLD, near(noise, seed), benchmark=name, system=judge)
        for seed, (name, judge, noise) in enumerate([
            ("x", "good", 0.5), ("x", "bad", 3), ("y", "bad", 3), ("y", "good", 0.5),
        ])
    ]  # fmt: skip
    sets = {name: labelled(name=name, metrics=("pearson",)) for name in "xy"}
    found = measure(scored, sets, settings=QUICK)
    assert {(d.benchmark, d.a, d.b) for d in found.differences} == {
        ("x", "good", "bad"), ("y", "good", "bad"),
    }  # fmt: skip
    (whole,) = (d for d in found.overall if d.part == "")
    assert (whole.a, whole.b, whole.n) == ("good", "bad", 120)


def test_the_interval_of_a_mean_follows_from_those_of_its_parts():
    scored = [table(GOLD, near(1, seed), benchmark=name) for seed, name in enumerate("xyz")]
    sets = {name: labelled(name=name, metrics=("pearson",)) for name in "xyz"}
    found = measure(scored, sets, settings=QUICK)
    single = [f for f in found.figures if f.metric == "pearson"]
    (whole,) = (f for f in found.figures if (f.metric, f.part) == ("aggregate", ""))
    assert whole.value == pytest.approx(np.mean([f.value for f in single]))
    below = np.sqrt(sum((f.value - f.low) ** 2 for f in single)) / 3
    assert whole.low == pytest.approx(whole.value - below)


def test_a_system_that_tells_nothing_stands_with_the_random_one():
    found = results(table(GOLD, [2] * 60))
    (whole,) = (f for f in found.figures if (f.metric, f.part) == ("aggregate", ""))
    assert whole.value == 0


# ---- parts and subsets


def test_a_subset_has_its_own_figure_a_mean_over_the_parts_it_cuts_across():
    """RM-Bench's way: `hard` is the mean of its accuracies in chat and in code."""
    part = ["chat"] * 40 + ["code"] * 20
    hard = ["hard"] * 10 + ["easy"] * 30 + ["hard"] * 10 + ["easy"] * 10
    score = GOLD.copy()
    score[:4] = 6 - score[:4] + (score[:4] == 3)  # wrong: 4 of 10 that are chat and hard
    score[40:41] = LOST
    found = results(
        table(GOLD, [None if s == LOST else s for s in score], parts=part, groups=hard),
        metrics=("accuracy",),
    )
    split = {(f.by, f.part): f for f in found.figures if f.part and f.benchmark == "b"}
    assert list(split) == [
        ("part", "chat"), ("part", "code"), ("subset", "hard"), ("subset", "easy"),
    ]  # fmt: skip
    one = split["subset", "hard"]
    assert one.value == pytest.approx((6 / 10 + 9 / 10) / 2)
    assert (one.n, one.asked, one.judged) == (20, 20, 19)
    assert one.low < one.value < one.high
    assert split["subset", "easy"].value == 1
    assert split["part", "chat"].value == pytest.approx(36 / 40)
    assert figure(found, "judge", "accuracy").value == pytest.approx((36 / 40 + 19 / 20) / 2)
    rows = [line for line in markdown(found).splitlines() if line.startswith("| b | Accuracy | ")]
    assert rows[-2].startswith("| b | Accuracy | subset | hard | 20 | 0.75 [")
    assert rows[-2].endswith("(95%) |")
    assert "hard" not in brief(found), "the tables to look at first stay short"


@pytest.mark.parametrize(
    ("groups", "subsets", "note"),
    [
        (None, [], ()),
        (["all"] * 60, [], ()),
        (["", *["a"] * 29, *["b"] * 30], ["a", "b"], ()),  # of none: in no subset
        ([f"g{n % 25}" for n in range(60)], [],
         ("b: 25 subsets, too many for figures of each (at most 24)",)),
    ],
)  # fmt: skip
def test_only_named_subsets_and_not_too_many(groups, subsets, note):
    found = results(table(GOLD, near(1), groups=groups), metrics=("mae",))
    assert [f.part for f in found.figures if f.by == "subset"] == subsets
    assert found.notes == note


# ---- what is written


def test_results_read_back_and_the_report_speaks_of_all():
    scores = near(1)
    scores[:9] = [NONE] * 9
    found = results(
        table(GOLD, scores, parts=["first", "second"] * 30),
        table(GOLD, near(2), system="length", parts=["first", "second"] * 30),
        kinds={"length": "baseline"},
    )
    assert Results.model_validate_json(found.model_dump_json()) == found
    assert figure(found, "judge", "pearson", part="first").n == 30
    text = markdown(found)
    for part in ("# Agreement", "## By benchmark", "(85%)", "Pearson's r, judged only", "length"):
        assert part in text
    widths = {line.count("|") for line in brief(found).splitlines() if line.startswith("|")}
    assert len(widths) == 2  # two tables, each with rows as wide as its head


def test_each_language_has_a_figure_over_the_sets_that_have_items_in_it():
    """A judge that reads English and rolls dice in German; a second set is English alone."""
    rng = np.random.default_rng(3)
    systems = []
    for name, languages in (("a", ["en", "de"] * 60), ("b", ["en"] * 60)):
        items = [
            replace(item(gold=gold, id=f"{name}{n}"), lang=lang)
            for n, (lang, gold) in enumerate(
                zip(languages, rng.integers(1, 6, len(languages)).tolist(), strict=True)
            )
        ]
        scores = [
            float(np.clip(i.gold + rng.normal(0, 0.5), 1, 5)) if i.lang == "en" else
            float(rng.uniform(1, 5)) for i in items
        ]  # fmt: skip
        systems.append(Scored.of(name, "judge", items, scores))
    sets = {name: labelled(name=name, metrics=("pearson",)) for name in "ab"}
    found = measure(systems, sets, settings=QUICK)
    spoken = {f.part: f for f in found.figures if f.metric == BY_LANGUAGE}
    assert spoken["en"].low > 0.5 and spoken["de"].low < 0
    assert (spoken["en"].n, spoken["de"].n) == (120, 60)
    assert "mean over 2 benchmarks" in spoken["en"].method
    table = brief(found).split("## By language")[1]
    assert "| en | **" in table and "| de | **" not in table
    alone = measure(systems[1:], {"b": sets["b"]}, settings=QUICK)
    assert not any(f.metric == BY_LANGUAGE for f in alone.figures)
    rows = {row.benchmark: row.figure for row in main_figures(found)}
    assert rows["items in en"].low > 0.5
