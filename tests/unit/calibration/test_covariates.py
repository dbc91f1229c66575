"""`--with`: the judge weighed against what is free, and plainly told where it adds nothing."""

import json

import numpy as np
import pytest
from labelled_runs import GRADES, judgment, population, write_run

from glider.calibration.calibrate import apply_calibration, calibrate
from glider.calibration.combined import weigh
from glider.calibration.labelled import LabelledRun
from glider.calibration.model import Calibration, CalibrationSettings
from glider.calibration.truth import truth
from glider.core.errors import SetupError, UnknownName
from glider.core.samples import Sample
from glider.data.covariates import covariates
from glider.judging.readings import Readings

N = 600


def run_of(folder, *, judge_knows, length_tells):
    """Labels of 300 of 600; a judge that reads them or rolls dice, texts as long as good or not."""
    label, probs, _ = population(N, seed=3, heat=1.0)
    rng = np.random.default_rng(4)
    if not judge_knows:
        probs = rng.dirichlet(np.ones(5), size=N)
    words = rng.integers(5, 60, N)
    if length_tells:
        words = 8 * (label + 1) + rng.integers(0, 8, N)
    return label + 1, write_run(
        folder, [judgment(n, p) for n, p in enumerate(probs)],
        labels=[int(v) + 1 if n % 2 else None for n, v in enumerate(label)],
        texts=["word " * int(n) for n in words],
    )  # fmt: skip


@pytest.mark.parametrize("pass_at", [None, 4.0])
def test_where_length_is_all_there_is_the_judge_is_said_to_add_nothing(tmp_path, pass_at):
    label, run = run_of(tmp_path / "run", judge_knows=False, length_tells=True)
    found = calibrate(run, settings=CalibrationSettings(pass_at=pass_at, covariates=("length",)))
    assert found.finding("gain_over_judge").low > 0.3
    assert found.finding("gain_over_covariates").low <= 0
    assert any("The judge adds nothing" in note for note in found.notes)
    what = "mean" if pass_at is None else "rate"
    both, judge = (found.finding(f"true_{what}{who}") for who in ("", "_judge"))
    actual = label.mean() if pass_at is None else (label >= 4).mean()
    assert both.low <= actual <= both.high
    assert both.high - both.low < 0.9 * (judge.high - judge.low)
    found.save(tmp_path / "kept.json")
    said = [each.applied for each in apply_calibration(tmp_path / "kept.json", run)]
    if pass_at is None:
        off = np.array([a.score for a in said]) - label
        assert np.sqrt(np.mean(off**2)) < 0.6 * label.std()
    else:
        assert np.mean((np.array([a.p_pass for a in said]) >= 0.5) == (label >= 4)) > 0.85


def test_where_the_judge_knows_it_is_said_to_add(tmp_path):
    _, run = run_of(tmp_path / "run", judge_knows=True, length_tells=False)
    found = calibrate(run, settings=CalibrationSettings(covariates=("length", "chrf")))
    assert found.finding("gain_over_covariates").low > 0.2
    assert found.finding("gain_over_judge").low <= 0
    assert not any("adds nothing" in note for note in found.notes)


def test_the_file_has_the_oldest_version_that_can_say_what_is_in_it(tmp_path):
    _, run = run_of(tmp_path / "run", judge_knows=True, length_tells=True)
    for names, mark, version in (
        ((), None, 1),
        (("length",), None, 2),
        (("length",), 4, 3),
        ((), 4, 3),
    ):
        settings = CalibrationSettings(covariates=names, pass_at=mark)
        calibrate(run, settings=settings).save(tmp_path / "c.json")
        data = json.loads((tmp_path / "c.json").read_text("utf-8"))
        assert data["version"] == version and ("blocking" in data) == (version == 3)
        assert ("combined" in data) == ("covariates" in data["settings"]) == bool(names)
        assert Calibration.load(tmp_path / "c.json").version == version


def test_what_cannot_be_weighed_is_refused_or_told(tmp_path):
    _, run = run_of(tmp_path / "run", judge_knows=True, length_tells=True)
    with pytest.raises(UnknownName, match="lenght"):
        calibrate(run, settings=CalibrationSettings(covariates=("lenght",)))
    learnt = calibrate(run, settings=CalibrationSettings(covariates=("length",)))
    with pytest.raises(SetupError, match="needs the sample"):
        learnt.apply(judgment(0, np.full(5, 0.2)))
    assert learnt.apply(judgment(0, np.full(5, 0.2)), Sample.of("word " * 40)).score > 3
    alike = write_run(
        tmp_path / "alike", [judgment(n, np.full(5, 0.2)) for n in range(30)], labels=[3] * 30
    )
    found = calibrate(alike, settings=CalibrationSettings(covariates=("length",)))
    assert found.combined is None
    assert any("cannot be weighed: every label says the same" in note for note in found.notes)


def test_what_is_measured_of_a_sample():
    pair = Sample.of(outputs=["abc", "abcdefg"], reference="abcdefg")
    length, chrf, unknown = (covariates(pair, [n])[0] for n in ("length", "chrf", "rouge_l"))
    assert length == pytest.approx(np.log(8 / 4)) and chrf > 0.5 and unknown == 1
    assert np.isnan(covariates(Sample.of("alone"), ["chrf"])[0])


def test_the_interval_of_the_true_mean_holds_the_truth_as_often_as_it_says():
    hits, tries = 0, 150
    rng = np.random.default_rng(8)
    for _ in range(tries):
        prompt = np.repeat(np.arange(150), 2)
        quality = rng.normal(size=300) + rng.normal(size=150)[prompt]
        label = np.clip(np.round(3 + quality), 1, 5)
        judge, free = (quality + rng.normal(size=300) * s for s in (1.5, 1.0))
        known = np.isin(prompt, rng.choice(150, 40, replace=False))
        run = LabelledRun(
            judge="j", criterion="c", criterion_id="", kind="graded", levels=GRADES.rubric.scores,
            scale=(1.0, 5.0), ids=tuple(map(str, range(300))), judged=np.ones(300, bool),
            readings=Readings(
                ladder=np.arange(1.0, 6), position=np.zeros(300), expected=judge, probs=None
            ),
            label=np.where(known, label, np.nan), cluster=prompt,
            covariates={"length": free, "noise": rng.normal(size=300)},
        )  # fmt: skip
        found = truth(run, None, score=weigh(run, None, rng).score).powered.estimate
        # The interval is for everything like this set: the mean of the population.
        hits += found.low <= _MEAN <= found.high
    assert hits / tries >= 0.9


_BIG = np.random.default_rng(0).normal(size=400_000) * np.sqrt(2)
_MEAN = float(np.clip(np.round(3 + _BIG), 1, 5).mean())
