"""A calibration from end to end: fitted, kept, applied, refused."""

import json

import numpy as np
import pytest
from labelled_runs import (
    BINARY,
    comparison,
    failure,
    graded_run,
    judgment,
    population,
    write_run,
)  # fmt: skip

from glider.calibration.labelled import LabelledRun
from glider.calibration.model import Calibration, CalibrationSettings
from glider.calibration.words import calibration_text
from glider.core.errors import DataError, SetupError, UnknownSchemaVersion

N, N_LABELLED = 3000, 300


@pytest.fixture(scope="module")
def truth():
    return population(N, seed=5, heat=3, lean=0.5)[0] + 1


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A judge three times too sure and half a level too lenient; 300 of 3000 labelled, 75 failed."""
    labelled = set(np.random.default_rng(1).choice(N, N_LABELLED, replace=False))
    run = graded_run(
        tmp_path_factory.mktemp("calibration") / "run", N,
        labelled=labelled, fail=set(range(0, N, 40)), seed=5, heat=3, lean=0.5,
    )  # fmt: skip
    return LabelledRun.load(run)


@pytest.fixture(scope="module")
def passing(loaded):
    return Calibration.of(loaded, CalibrationSettings(pass_at=4, alpha=0.2))


def test_the_true_rate_is_within_its_interval_and_the_judges_is_not(passing, truth):
    found = passing.finding("true_rate")
    assert found.low <= (truth >= 4).mean() <= found.high
    assert passing.finding("judge_says").value > found.high
    alone = passing.finding("labels_alone")
    assert found.high - found.low < alone.high - alone.low
    assert found.n == N_LABELLED


def test_the_true_mean_without_a_mark(loaded, truth):
    found = Calibration.of(loaded)
    mean = found.finding("true_mean")
    assert mean.low <= truth.mean() <= mean.high
    assert found.finding("lean").low > 0.2
    assert "too lenient" in found.finding("lean").meaning
    assert found.pass_at is None and found.agree_on == "level"


def test_the_map_takes_error_away(passing):
    assert passing.maps.method in ("isotonic", "temperature")
    for what in ("brier", "log_loss", "ece"):
        raw, mapped = (
            passing.finding(f"{what}_raw").value,
            passing.finding(f"{what}_calibrated").value,
        )
        assert mapped < raw


def test_the_threshold_holds_on_the_items_nobody_labelled(loaded, passing, truth):
    people = truth >= 4
    readings, judged = loaded.readings, loaded.judged
    kept = readings.confidence("pass", 4) >= passing.threshold
    wrong = (readings.p_pass(4) >= 0.5) != people[judged]
    assert wrong[kept].mean() <= 0.2
    assert kept.sum() / N == pytest.approx(passing.finding("kept").value)


def test_apply_gives_what_the_run_was_told(passing, loaded):
    _, probs, _ = population(N, seed=5, heat=3, lean=0.5)
    applied = [passing.apply(judgment(n, p)) for n, p in enumerate(probs[:200])]
    assert all(1 <= a.score <= 5 and 0 <= a.p_pass <= 1 for a in applied)
    assert [a.keep for a in applied] == [a.confidence >= passing.threshold for a in applied]
    assert {a.keep for a in applied} == {True, False}
    # The judge is too lenient, and the map knows.
    said = np.mean([judgment(n, p).expected for n, p in enumerate(probs[:200])])
    assert np.mean([a.score for a in applied]) < said - 0.2


def test_a_failure_is_never_kept(passing):
    applied = passing.apply(failure(3))
    assert (applied.keep, applied.score, applied.p_pass) == (False, None, None)


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (judgment(1, [0.2] * 5, judge="another/judge nano"), "for the judge 'scripted/made-up nano', not for 'another/judge nano'"),
        (judgment(1, [0.5, 0.5], BINARY), "for the criterion 'quality', not for 'holds'"),
        (judgment(1, [0.2] * 5, bare=True), "has no level probabilities"),
        (comparison(1, 0.5), "not for a comparison"),
    ],
)  # fmt: skip
def test_what_a_calibration_is_not_of_is_refused(passing, outcome, told):
    with pytest.raises(SetupError) as caught:
        passing.apply(outcome)
    assert told in caught.value.message


def test_a_calibration_comes_back_from_its_file(passing, tmp_path):
    file = tmp_path / "calibration.json"
    passing.save(file)
    again = Calibration.load(file)
    assert again == passing
    one = judgment(1, [0.1, 0.1, 0.2, 0.5, 0.1])
    assert again.apply(one) == passing.apply(one)
    assert str(tmp_path) not in file.read_text()


@pytest.mark.parametrize(
    ("content", "error", "told"),
    [
        (None, DataError, "cannot be read"),
        ("{", DataError, "is not JSON"),
        ("[]", DataError, "is no calibration"),
        ('{"version": 99}', UnknownSchemaVersion, "calibration version 99"),
        ('{"version": 1, "judge": 3}', DataError, "is no calibration"),
    ],
)
def test_files_that_are_no_calibration(tmp_path, content, error, told):
    file = tmp_path / "calibration.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(error, match=told):
        Calibration.load(file)


def test_the_same_seed_gives_the_same_calibration(loaded, passing):
    again = Calibration.of(loaded, CalibrationSettings(pass_at=4, alpha=0.2))
    assert again.model_copy(update={"made_at": passing.made_at}) == passing


@pytest.mark.parametrize(
    ("labelled", "fail", "told"),
    [
        (set(range(19)), set(), "19 labels: at least 20 are needed"),
        (set(range(40)), set(range(25)), "40 labels, 15 of them on items that could be judged"),
    ],
)
def test_too_few_labels(tmp_path, labelled, fail, told):
    run = LabelledRun.load(graded_run(tmp_path / "run", 100, labelled=labelled, fail=fail))
    with pytest.raises(DataError, match=told) as caught:
        Calibration.of(run)
    assert "plan-labels" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"pass_at": 9}, "has no level on one side"),
        ({"alpha": 1.5}, "--alpha must lie between 0 and 1"),
        ({"delta": 0}, "--delta must lie between 0 and 1"),
        ({"agree_on": "pass"}, "needs a pass mark"),
    ],
)
def test_settings_that_do_not_fit(loaded, settings, told):
    with pytest.raises(SetupError, match=told):
        Calibration.of(loaded, CalibrationSettings(**settings))


def test_labels_all_alike_give_what_can_be_given(tmp_path):
    _, probs, _ = population(60)
    run = write_run(
        tmp_path / "run", [judgment(n, p) for n, p in enumerate(probs)], labels=[5] * 60
    )
    found = Calibration.of(LabelledRun.load(run), CalibrationSettings(pass_at=4))
    assert found.maps.method == "none"
    assert any("Every label is 5" in note for note in found.notes)
    assert found.finding("true_rate").value is None
    assert found.finding("true_rate").undefined == "only 0 of the 60 labelled items failed"
    alone = found.finding("labels_alone")
    assert (alone.value, alone.high) == (1, 1)
    assert alone.low == pytest.approx(0.025 ** (1 / 60))  # Clopper-Pearson
    plain = Calibration.of(LabelledRun.load(run))
    mean = plain.finding("true_mean")
    assert (mean.value, mean.high) == (5, 5)
    assert mean.low == pytest.approx(5 - 4 * (1 - 0.025 ** (1 / 60)))


@pytest.mark.parametrize("pass_at", [None, 4])
def test_labels_of_one_prompt_fit_no_map(tmp_path, pass_at):
    run = graded_run(tmp_path / "run", 90, labelled=set(range(30)), per_prompt=30)
    labelled = LabelledRun.load(run)
    found = Calibration.of(labelled, CalibrationSettings(pass_at=pass_at))
    assert found.maps.method == "none"
    assert any("no map can be checked" in note for note in found.notes)
    assert calibration_text(found)
    with pytest.raises(DataError, match="all 30 labels belong to one prompt"):
        Calibration.of(labelled, CalibrationSettings(pass_at=pass_at, method="isotonic"))


def test_one_class_of_labels_is_told(tmp_path):
    _, probs, _ = population(60)
    labels = [4 + n % 2 for n in range(60)]
    run = write_run(tmp_path / "run", [judgment(n, p) for n, p in enumerate(probs)], labels=labels)
    found = Calibration.of(LabelledRun.load(run), CalibrationSettings(pass_at=4))
    assert any("All labelled items pass" in note for note in found.notes)
    assert calibration_text(found)


def test_half_of_the_judgments_failed(tmp_path):
    # The judge fails on what people find bad: left out, the set would look better than it is.
    label = population(800, seed=9)[0]
    bad = set(np.flatnonzero(label <= 1)) | set(range(0, 800, 5))
    labelled = set(np.random.default_rng(2).choice(800, 200, replace=False))
    run = graded_run(tmp_path / "run", 800, labelled=labelled, fail=bad, seed=9)
    found = Calibration.of(LabelledRun.load(run), CalibrationSettings(pass_at=4))
    rate, true = found.finding("true_rate"), (label + 1 >= 4).mean()
    assert rate.low <= true <= rate.high
    assert (label + 1 >= 4)[[n not in bad for n in range(800)]].mean() > rate.high
    assert any(f"{len(bad)} of 800 items were not judged" in note for note in found.notes)
    # Failures count as disagreement and are never kept.
    assert found.finding("agreement").value < 1 - len(bad) / 800 + 0.05
    assert max(point.coverage for point in found.risk_coverage) == pytest.approx(1 - len(bad) / 800)


def test_labels_only_where_the_judge_did_not_fail_leave_the_rest_open(tmp_path):
    fail = set(range(0, 600, 3))
    run = graded_run(tmp_path / "run", 600, labelled=set(range(1, 300, 3)), fail=fail)
    found = Calibration.of(LabelledRun.load(run), CalibrationSettings(pass_at=4))
    rate = found.finding("true_rate")
    assert rate.high - rate.low > 1 / 3
    assert any("None of the 33% of items" in note for note in found.notes)


def test_labels_that_are_no_random_draw_are_noticed(tmp_path):
    _, probs, _ = population(600)
    best = set(np.argsort(probs @ np.arange(5))[-120:])
    found = Calibration.of(LabelledRun.load(graded_run(tmp_path / "run", 600, labelled=best)))
    assert any("scores the labelled items higher" in note for note in found.notes)


def test_labels_from_few_prompts_are_told(tmp_path):
    run = graded_run(tmp_path / "run", 200, labelled=set(range(40)), per_prompt=5)
    found = Calibration.of(LabelledRun.load(run))
    assert found.counts.clusters == 8
    assert any("only 8 prompts" in note for note in found.notes)


def test_a_judge_that_gives_only_levels(tmp_path):
    label, probs, _ = population(500, lean=1)
    outcomes = [judgment(n, p, bare=True) for n, p in enumerate(probs)]
    run = LabelledRun.load(
        write_run(tmp_path / "run", outcomes, labels=[int(v) + 1 for v in label])
    )
    found = Calibration.of(run, CalibrationSettings(pass_at=4))
    assert found.maps.method == "isotonic" and not found.uses_probs
    assert 0 < found.apply(judgment(1, [0, 0, 0, 1, 0], bare=True)).p_pass < 1
    plain = Calibration.of(run)
    assert plain.threshold is None
    assert "gives no probabilities" in plain.finding("threshold").undefined
    with pytest.raises(SetupError, match="no temperature"):
        Calibration.of(run, CalibrationSettings(method="temperature"))


def test_two_levels_need_no_mark(tmp_path):
    label, probs, _ = population(300, levels=2)
    outcomes = [judgment(n, p, BINARY) for n, p in enumerate(probs)]
    run = write_run(tmp_path / "run", outcomes, labels=[int(v) for v in label], criteria=(BINARY,))
    found = Calibration.of(LabelledRun.load(run))
    assert (found.pass_at, found.agree_on) == (1, "pass")
    assert found.finding("true_rate").value == pytest.approx(label.mean())


def test_pairs_are_calibrated_like_grades(tmp_path):
    rng = np.random.default_rng(4)
    p_first = rng.random(400)
    labels = [float(rng.random() > p) for p in p_first]  # the judge is right about its odds
    run = write_run(
        tmp_path / "run", [comparison(n, p) for n, p in enumerate(p_first)], labels=labels
    )
    found = Calibration.of(LabelledRun.load(run))
    assert found.kind == "pairs"
    assert found.finding("ece_raw").value < 0.1
    assert found.apply(comparison(1, 0.02)).p_pass > 0.8
    with pytest.raises(SetupError, match="not for a judgment"):
        found.apply(judgment(1, [0.2] * 5))


def test_nothing_in_the_text_is_left_unexplained(passing):
    text = calibration_text(passing)
    for finding in passing.findings:
        assert finding.title in text and finding.meaning
        assert (
            finding.value is None
            or finding.low is None
            or finding.low <= finding.value <= finding.high
        )
    assert max(map(len, text.splitlines())) <= 120
    json.loads(passing.model_dump_json())


def test_the_figures_of_the_curves_are_in_order(passing):
    coverage = [point.coverage for point in passing.risk_coverage]
    assert coverage == sorted(coverage) and coverage[-1] <= 1
    for word in ("raw", "calibrated"):
        points = [p.predicted for p in passing.reliability if p.of == word]
        assert points == sorted(points) and len(points) >= 2
