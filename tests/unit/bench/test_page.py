"""The page of a bench: its words follow from the results, and nothing of the texts gets loose."""

import re
import runpy
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from glider.bench.answers import Answers
from glider.bench.charts import drawings
from glider.bench.page import page
from glider.bench.results import Difference, Figure, Results
from glider.bench.scored import Scored, scored
from glider.bench.standing import Standings, apart, side_of
from glider.core.criteria import Criterion
from glider.core.judgments import Failure, Judgment
from glider.core.samples import Sample
from glider.gold.items import Item

EXAMPLE = runpy.run_path(str(Path(__file__).with_name("example_bench.py")))
ATTACK = "<img src=x onerror='window.pwned=1'></details></script><script>window.pwned=1</script>"


def said(html):
    """The page's words, without tags, styles and scripts; every space is a plain one."""
    body = re.sub(r"<(script|style).*?</\1>", "", html, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).replace("\N{NBSP}", " ").split())


def figure(system, value, *, metric="pearson", benchmark="b", reach=0.05, **more):
    known = value is not None
    return Figure(
        **({"n": 100, "asked": 100, "judged": 100} | more),
        benchmark=benchmark, system=system, metric=metric, value=value,
        low=value - reach if known else None, high=value + reach if known else None,
    )  # fmt: skip


def results(*figures, differences=(), kinds=None, notes=()):
    benchmarks = dict.fromkeys(f.benchmark for f in figures if f.benchmark != "all")
    kinds = {"length": "baseline", "majority": "baseline", "human": "people"} | (kinds or {})
    return Results(
        made_at="2026-11-22T10:00:00+00:00", glider="0.2", figures=figures, notes=notes,
        differences=differences, samples={b: ["x"] * 100 for b in benchmarks},
        settings={
            "seed": 7, "systems": {name: {"kind": kind} for name, kind in kinds.items()},
            "benchmarks": {b: {"title": f"Set {b}", "kind": "graded"} for b in benchmarks},
        },
    )  # fmt: skip


def difference(
    a, b, value, *, p=0.001, p_adjusted=0.01, metric="pearson", reach=0.05, benchmark="b"
):
    return Difference(
        benchmark=benchmark, metric=metric, a=a, b=b, value=value, low=value - reach,
        high=value + reach, p=p, p_adjusted=p_adjusted, n=100,
    )  # fmt: skip


# Who stands where -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "side"),
    [
        ({}, "above"),
        ({"value": -0.2}, "below"),
        ({"metric": "mae"}, "below"),  # of an error, more is worse
        ({"value": -0.2, "metric": "mae"}, "above"),
        ({"reach": 0.3}, "not told apart"),
        ({"p_adjusted": 0.2}, "not told apart"),  # one of many tests
        ({"p_adjusted": None}, "above"),
        ({"p_adjusted": None, "p": 0.2}, "not told apart"),
        ({"p_adjusted": None, "p": None}, "above"),  # by the interval alone
    ],
)
def test_a_side_is_taken_only_when_it_is_sure(changes, side):
    assert side_of(difference("a", "b", **({"value": 0.2} | changes))) == side


@pytest.mark.parametrize(
    ("other", "metric", "side"),
    [(0.3, "pearson", "above"), (0.45, "pearson", "not told apart"), (0.7, "pearson", "below"),
     (0.3, "mae", "below"), (0.7, "mae", "above")],
)  # fmt: skip
def test_people_are_told_apart_by_intervals_that_do_not_touch(other, metric, side):
    assert apart(figure("j", 0.5, metric=metric), figure("human", other, metric=metric)) == side


def test_the_judge_that_leads():
    standings = Standings(results(figure("a", 0.3), figure("b", 0.4), figure("length", 0.9)))
    assert standings.lead == "b"
    errors = (figure(s, v, metric="mae") for s, v in (("a", 0.3), ("b", 0.4)))
    assert Standings(results(*errors)).lead == "a"
    whole = [figure(s, v, benchmark="all", metric="aggregate") for s, v in (("a", 0.3), ("b", 0.2))]
    assert Standings(results(figure("a", 0.3), figure("b", 0.4), *whole)).lead == "a"
    assert Standings(results(figure("length", 0.3))).lead is None


# Words ------------------------------------------------------------------------------------------


def test_one_judge_on_one_set():
    found = results(
        figure("nano", 0.4), figure("length", 0.1), figure("majority", None, undefined="no spread"),
        figure("human", 0.7, n=300), figure("nano", 0.97, metric="coverage", asked=100, judged=97),
        differences=[difference("nano", "length", 0.3)],
    )  # fmt: skip
    words = said(page(found))
    assert "How far to trust this judge" in words
    assert "One judge scored 100 items from one set that people had scored before." in words
    assert "Its Pearson's r is 0.40 (95 % interval 0.35 to 0.45, 100 items)." in words
    assert (
        "It is significantly better than the best simple rule, Length (longer is better), at 0.10."
        in words
    )
    assert "It is worse than one person, at 0.70 with the others: the two intervals" in words
    assert "It judged 97.0 % of the 100 items it was asked about." in words
    assert "no spread" in words
    assert "too high" not in words


def test_what_the_data_cannot_tell_is_said():
    found = results(figure("nano", 0.4), figure("length", 0.38), differences=[difference("nano", "length", 0.02)])  # fmt: skip
    words = said(page(found))
    assert (
        "There is no significant difference from the best simple "
        "rule, Length (longer is better), at 0.38." in words
    )
    assert "significantly better" not in words.partition("How to read")[0]


def test_readings_of_one_judge_are_one_judge():
    found = results(figure("nano, greedy", 0.3), figure("nano, expected", 0.4))
    systems = {name: {"kind": "judge", "judge": "nano@1"} for name in ("nano, greedy", "nano, expected")}  # fmt: skip
    words = said(page(found.model_copy(update={"settings": {"systems": systems}})))
    assert "How far to trust this judge" in words
    assert "One judge, read in 2 ways, scored 100 items" in words
    assert "The highest is nano, expected. It was chosen as the best of 2" in words


def test_several_judges_on_several_sets():
    sets = ("p", "q", "r")
    figures = [
        figure(s, v, benchmark=b)
        for b in sets
        for s, v in (("one", 0.4), ("two", 0.3), ("length", 0.1))
    ]
    figures.append(figure("human", 0.8, benchmark="q", n=300))
    figures += [figure(s, v, benchmark="all", metric="aggregate", n=n)
                for s, v, n in (("one", 0.4, 300), ("two", 0.3, 300), ("length", 0.1, 300), ("human", 0.8, 900))]  # fmt: skip
    tested = [difference("one", "length", v, benchmark=b) for b, v in zip(sets, (0.3, 0.3, 0.01), strict=True)]  # fmt: skip
    html = page(results(*figures, differences=tested))
    words = said(html)
    assert "Two judges scored 300 items from 3 sets" in words
    assert "The highest is one. It was chosen as the best of 2 by the same data" in words
    assert "Over all sets it reaches 0.40" in words
    assert (
        "best simple rule there: significantly better on 2, no "
        "significant difference on 1 of 3 sets" in words
    )
    assert "against one person: worse on 1 set" in words
    assert (
        "one person (some sets only)" in words
    )  # its mean over one set is no match for the others
    assert words.count("one: Pearson's r") == 1


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ([figure("length", 0.2)], "No judge was measured, only simple rules, on 1 set."),
        ([figure("nano", None, undefined="every label is 3")], "There is no figure for it: every label is 3."),
        ([], "No judge was measured"),
    ],
)  # fmt: skip
def test_there_may_be_nothing_to_say(figures, words):
    assert words in said(page(results(*figures)))


def test_a_metric_that_is_not_installed_keeps_its_name():
    words = said(page(results(figure("nano", 0.4, metric="of_theirs"))))
    assert "Its of theirs is 0.40" in words


def test_notes_and_failures_are_named():
    words = said(page(results(figure("nano", 0.4), notes=["b: 3 of 100 labels are ties"])))
    assert "Remarks on the data b: 3 of 100 labels are ties" in words
    assert "A failed judgment stays in every figure" in words


# Answers ----------------------------------------------------------------------------------------


def items_and_outcomes(n=40, levels=(1, 5), attack=""):
    criterion = Criterion(name="tone", question=f"Kind? {attack}", rubric=dict.fromkeys(range(levels[0], levels[1] + 1), "x"))  # fmt: skip
    items, outcomes = [], {}
    for k in range(n):
        sample = Sample.of(f"text {k} {attack}", id=f"s{k}{attack}", input=attack or "ask")
        gold = levels[0] + k % (levels[1] - levels[0] + 1)
        items.append(
            Item(sample=sample, criterion=criterion, gold=float(gold), scale=levels, part="all" + attack,
                 cluster=f"c{k // 2}", reason=attack or None)
        )  # fmt: skip
        score = levels[0] if k % 7 else levels[1]
        outcomes[k] = Judgment(
            task_id="t", sample_id=sample.id, criterion="tone", judge="j", score=score, normalized=0.0,
            score_probs={levels[0]: 0.9 - k / 100, levels[1]: 0.1 + k / 100}, reasoning=f"because {attack}",
        )  # fmt: skip
    outcomes[3] = Failure(task_id="t", sample_id="s3", criterion="tone", judge="j", stage="read",
                          code="missing_part", message="m")  # fmt: skip
    return items, outcomes


def test_the_worst_are_the_farthest_one_a_cluster_and_never_a_failure():
    items, outcomes = items_and_outcomes()
    one = scored("b", "j", items, outcomes, "greedy")
    found = Answers.of(one, items, outcomes.items(), most=5)
    apart_by = [abs(d.item.gold - d.score) for d in found.worst]
    assert apart_by == sorted(apart_by, reverse=True)
    assert apart_by[0] == 4
    assert len({d.item.cluster for d in found.worst}) == 5
    assert "s3" not in {d.item.sample.id for d in found.worst}
    assert len(found.doubt) == 39


def test_who_agrees_throughout_has_no_disagreements():
    items, outcomes = items_and_outcomes()
    one = Scored.of("b", "j", items, [item.gold for item in items])
    assert Answers.of(one, items, outcomes.items()).worst == ()


def made_answers(**kind):
    items, outcomes = items_and_outcomes(**kind)
    one = scored("b", "nano", items, outcomes)
    return Answers.of(one, items, outcomes.items())


def of_a_hundred(n=60):
    """Labels of 0 to 100 in tenths, which no rubric has levels for."""
    items, _ = items_and_outcomes(n=n)
    golds = np.random.default_rng(0).uniform(0, 100, n).round(1).tolist()
    items = [replace(i, gold=gold, scale=(0, 100)) for i, gold in zip(items, golds, strict=True)]
    return Answers(scored=Scored.of("b", "nano", items, golds), doubt={}, worst=())


@pytest.mark.parametrize(
    ("answers", "names"),
    [
        (made_answers(n=60, levels=(1, 5)), "1 2 3 4 5"),
        (made_answers(n=60, levels=(0, 1)), "0 1"),
        (of_a_hundred(), "0–20 20–40 40–60 60–80 80–100"),
    ],
)
def test_confusion_has_the_levels_people_used_or_five_bands(answers, names):
    html = drawings(answers, pairs=False)[0].drawing
    assert re.findall(r"people (\S+), judge \1:", html) == names.split()


def test_charts_need_some_items_and_doubt_its_own_chart():
    assert drawings(made_answers(n=12), pairs=False) == []
    assert len(drawings(made_answers(n=60), pairs=False)) == 4
    assert len(drawings(of_a_hundred(), pairs=False)) == 3  # nobody said how sure it was


def test_parts_of_different_scales_share_a_chart():
    items, outcomes = items_and_outcomes(n=60)
    one = scored("b", "nano", items, outcomes)
    mixed = Scored(
        **{f: getattr(one, f) for f in ("benchmark", "system", "gold", "score", "judged", "cluster", "ids")},
        part=np.arange(60) % 2, parts=("p", "q"), scales=((1.0, 5.0), (0.0, 10.0)),
    )  # fmt: skip
    charts = drawings(Answers(scored=mixed, doubt={}, worst=()), pairs=False)
    assert len(charts) == 3
    assert not any(re.search(r"\bnan\b", chart.drawing) for chart in charts)


def test_text_of_others_stays_text():
    html = page(
        results(figure("nano", 0.4), figure(ATTACK, 0.1), notes=[ATTACK],
                differences=[difference("nano", ATTACK, 0.3)]),
        [made_answers(attack=ATTACK)],
    )  # fmt: skip
    assert html.count("<script") == 1
    assert "<img" not in html
    assert html.count("<details") == html.count("</details")
    assert said(html).count("<img src=x") > 10


def test_answers_of_other_judges_are_not_shown():
    html = page(results(figure("nano", 0.1), figure("better", 0.4)), [made_answers()])
    assert "Largest disagreements" not in said(html)


def test_the_example_has_everything():
    results_, answers = EXAMPLE["made"](("news", "duels"), n=60)
    html = page(results_, answers)
    words = said(html)
    assert html.count("Which level for which?") == html.count("Which winner for which?") == 1
    assert html.count("<figure") == 7  # pairs have no scatter
    assert html.count('class="disagreement"') == 12
    assert "Compared on the same items" in words
    assert "By part (2)" in words
    assert "By subset (2)" in words and "Accuracy, right in both orders by subset" in words
    assert "It rained. not found in the text" in words
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', html)
