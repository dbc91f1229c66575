"""How many labels: with a pilot, and without."""

import numpy as np
import pytest
from labelled_runs import graded_run, judgment, population, write_run

from glider.calibration.labelled import LabelledRun
from glider.calibration.plan import plan
from glider.calibration.words import plan_text
from glider.core.errors import SetupError


def test_without_a_pilot_the_table_runs_over_correlations():
    found = plan(0.05)
    # (1.96 * 0.5 / 0.05) squared is 384.16; Student's t asks for a few more.
    assert [row.width for row in found.rows] == [0.1, 0.05, 0.025]
    assert 385 <= found.rows[1].labels[0] <= 389
    assert list(found.rows[1].labels) == sorted(found.rows[1].labels, reverse=True)
    # A judge that goes with people at 0.9 leaves 1 - 0.81 of the variance.
    assert found.rows[1].labels[-1] == pytest.approx(0.19 * 385, abs=5)


def test_a_small_set_may_not_have_enough():
    found = plan(0.01, total=500)
    assert found.rows[1].labels[0] is None
    assert "more than the set has" in plan_text(found)


@pytest.mark.parametrize(
    ("asked", "rate", "spread"),
    [
        ({}, True, 0.5),
        ({"spread": 1.2}, False, 1.2),
        ({"pass_at": 4}, True, 0.5),
        ({"pass_at": 4, "spread": 0.3}, True, 0.3),
    ],
)
def test_without_a_pilot_a_spread_alone_is_that_of_a_mean_score(asked, rate, spread):
    found = plan(0.1, total=2000, **asked)
    assert (found.rate, found.spread) == (rate, spread)
    text = plan_text(found)
    assert ("the true pass rate" in text, "± 10.0%" in text) == (rate, rate)
    assert ("the true mean score" in text, "± 0.1 " in text) == (not rate, not rate)


@pytest.fixture(scope="module")
def pilot(tmp_path_factory):
    labelled = set(np.random.default_rng(3).choice(2000, 150, replace=False))
    return LabelledRun.load(
        graded_run(tmp_path_factory.mktemp("pilot") / "run", 2000, labelled=labelled, per_prompt=4)
    )


def test_a_pilot_measures_spread_and_correlation(pilot):
    found = plan(0.05, run=pilot, pass_at=4)
    assert (found.pilot, found.total, found.rate) == (150, 2000, True)
    none, this, cautious = found.rows[1].labels
    assert this < cautious < none
    assert found.columns[1].startswith("this judge (r 0.")
    assert found.design >= 1
    means = plan(0.2, run=pilot)
    assert not means.rate and means.spread == pytest.approx(np.nanstd(pilot.label, ddof=1))


def test_the_text_says_what_it_rests_on(pilot):
    text = plan_text(plan(0.05, run=pilot, pass_at=4))
    assert "Measured on 150 labelled items" in text and "2,000 items" in text
    assert "at random" in text
    assert "± 5.0%" in text


@pytest.mark.parametrize("width", [0, -1])
def test_a_width_that_is_none(width):
    with pytest.raises(SetupError, match="--width must be above 0"):
        plan(width)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"spread": 0.0}, "--spread must be above 0"),
        ({"spread": 1.2, "pass_at": 4}, "at most 0.5"),
    ],
)
def test_a_spread_that_there_cannot_be(pilot, asked, words):
    for run in (None, pilot):
        with pytest.raises(SetupError, match=words):
            plan(0.1, run=run, **asked)
    with pytest.raises(SetupError, match="labels from 1 to 5 is at most 2"):
        plan(0.1, run=pilot, spread=2.5)


def test_pilots_that_tell_nothing(tmp_path):
    _, probs, _ = population(60)
    outcomes = [judgment(n, p) for n, p in enumerate(probs)]
    few = LabelledRun.load(write_run(tmp_path / "few", outcomes, labels=[3] * 5 + [None] * 55))
    with pytest.raises(SetupError, match="a pilot of 5 labels"):
        plan(0.05, run=few)
    alike = LabelledRun.load(write_run(tmp_path / "alike", outcomes, labels=[3] * 60))
    with pytest.raises(SetupError, match="every label of the pilot is the same"):
        plan(0.05, run=alike)
    same = LabelledRun.load(
        write_run(tmp_path / "same", [judgment(n, [0.2] * 5) for n in range(60)],
                  labels=[1 + n % 5 for n in range(60)])
    )  # fmt: skip
    found = plan(0.2, run=same)
    assert found.columns == ("no judge",)
    assert "is of no help" in found.notes[-1]
