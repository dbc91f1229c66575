"""Only what was held out of training is measured, and every figure says what it is of."""

import json

import numpy as np
import pytest
from test_bench_run import labelled
from test_metrics import table

from glider.bench.benchmark import FigureSettings
from glider.bench.held_out import HeldOut
from glider.bench.markdown import markdown
from glider.bench.page import page
from glider.bench.table import ALL, measure
from glider.core.errors import DataError
from glider.gold.sets import load_set

RNG = np.random.default_rng(5)
GOLD = RNG.integers(1, 6, 60).astype(float)


def written(folder, listed):
    folder.mkdir(exist_ok=True)
    (folder / "held-out.json").write_text(json.dumps(listed))
    return HeldOut.read(folder)


def test_what_a_set_is_to_a_trained_judge(tmp_path):
    kept = written(tmp_path, {"saf_short_answers": ["q1"], "qags": ["d1"], "dices_safety": []})
    held, whole, unseen = "held-out part of a trained set", "not trained on", "unseen task"
    for name, exposure, is_whole in (
        ("saf_short_answers", held, False),
        ("dices_safety", held, True),
        ("summeval", whole, False),
        ("llmbar", unseen, False),
        ("qags", held, False),  # taken all the same, on somebody's own word
    ):
        assert kept.exposure(load_set(name)) == exposure
        assert kept.is_whole(load_set(name)) == is_whole


@pytest.mark.parametrize("text", ["", "[]", '{"a": "b"}', '{"a": [1]}', '{"a": {"b": 1}}'])
def test_a_file_of_something_else_is_refused(tmp_path, text):
    (tmp_path / "held-out.json").write_text(text)
    with pytest.raises(DataError, match="does not list clusters by set"):
        HeldOut.read(tmp_path)


def test_no_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no held-out\.json"):
        HeldOut.read(tmp_path)


def records(folder):
    rows = [
        {"id": f"r{n}", "input": f"q{n // 4}", "output": f"answer {n}", "label": 1 + n % 5,
         "scale": [1, 5], "rubric": {"1": "bad", "5": "good"},
         "criterion": {"name": "tone", "description": "Is it kind?"}}
        for n in range(40)
    ]  # fmt: skip
    (folder / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_sample_is_drawn_of_what_was_held_out(tmp_path):
    records(tmp_path)
    own = labelled(cluster="input")
    whole = own.items(tmp_path)
    some = own.load(tmp_path, clusters={"q3", "q7"})
    assert [i.sample.id for i in some.items] == [f"r{n}" for n in (*range(12, 16), *range(28, 32))]
    assert some.notes == own.load(tmp_path).notes  # about the data, whatever is measured of it
    drawn = own.load(tmp_path, limit=5, clusters={"q3", "q7"}).items
    assert len(drawn) == 5 and {i.cluster for i in drawn} <= {"q3", "q7"}
    assert len(whole) == 40
    with pytest.raises(DataError, match="none of its items is among those"):
        own.load(tmp_path, clusters={"gone"})


# ---- figures by what was trained on

HELD, OTHER, UNSEEN = ("held-out part of a trained set", "not trained on", "unseen task")
EXPOSURES = {"a": HELD, "b": HELD, "c": UNSEEN}


def near(noise, seed):
    return np.clip(GOLD + np.random.default_rng(seed).normal(0, noise, 60), 1, 5).tolist()


def compared():
    """Two judges and a rule on three sets, one metric in which lower is better."""
    every = []
    for seed, name in enumerate("abc"):
        for system, noise in (("base", 4.0), ("nano", 1.0), ("length", 9.0)):
            scores = near(noise, seed)
            every.append(table(GOLD, scores, system=system, benchmark=name))
    metrics = {"a": ("pearson",), "b": ("mae",), "c": ("pearson",)}
    sets = {name: labelled(name=name, metrics=m) for name, m in metrics.items()}
    return measure(
        every, sets, kinds={"length": "baseline"}, exposures=EXPOSURES,
        settings=FigureSettings(n_resamples=199, n_permutations=199),
    )  # fmt: skip


@pytest.fixture(scope="module")
def found():
    return compared()


def test_aggregates_stand_for_each_group(found):
    value = {
        (f.system, f.part): f.value
        for f in found.figures
        if f.benchmark == ALL and f.metric == "aggregate"
    }
    main = {
        (f.benchmark, f.system): f.value
        for f in found.figures
        if f.metric in ("pearson", "mae") and f.protocol == "strict"
    }
    chance = np.abs(GOLD[:, None] - np.linspace(1, 5, 101)).mean()
    shares = {
        system: [main["a", system], 1 - main["b", system] / chance, main["c", system]]
        for system in ("base", "nano", "length")
    }
    for system, (a, b, c) in shares.items():
        assert value[system, HELD] == pytest.approx((a + b) / 2)
        assert value[system, UNSEEN] == pytest.approx(c)
        assert value[system, ""] == pytest.approx((a + b + c) / 3)
        assert (system, OTHER) not in value
    gap = {(d.a, d.b, d.part): d for d in found.overall}
    for part in ("", HELD, UNSEEN):
        d = gap["base", "nano", part]
        assert d.value == pytest.approx(value["base", part] - value["nano", part])
        assert d.low < d.value < d.high < 0
        assert d.p is None
    assert gap["nano", "length", HELD].low > 0
    assert gap["nano", "length", ""].n == 180
    assert not any(a == "length" for a, _, _ in gap)


def test_paired_intervals_are_narrower_than_those_of_the_two(found):
    whole = {f.system: f for f in found.figures if (f.part, f.metric) == ("", "aggregate")}
    (d,) = (d for d in found.overall if (d.b, d.part) == ("nano", ""))
    apart = np.hypot(*(whole[s].high - whole[s].low for s in ("base", "nano")))
    assert d.high - d.low < apart


def test_tables_and_page_say_what_was_trained_on(found):
    text = markdown(found)
    assert f"| own | a | {HELD} | Pearson's r | 60 |" in text
    assert f"|  | c | {UNSEEN} | Pearson's r | 60 |" in text
    assert f"| **{HELD}** |" in text
    assert "| base less nano |" in text
    html = page(found)
    assert "by what was trained on" in html
    assert f'<dt>Training</dt><dd dir="auto">{UNSEEN}</dd>' in html


def test_where_nobody_said_what_was_trained_on_nothing_is_claimed():
    found = measure(
        [table(GOLD, near(1, 1))], {"b": labelled(name="b")},
        settings=FigureSettings(n_resamples=99, n_permutations=99),
    )  # fmt: skip
    assert "training" not in markdown(found)
    assert {f.part for f in found.figures if f.metric == "aggregate"} == {"", "own"}
