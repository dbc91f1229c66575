"""`glider calibrate`, `glider apply` and `glider plan-labels` as functions of their flags."""

import json
from html import escape

import pytest
import typer
from labelled_runs import (
    BINARY,
    GRADES,
    failure,
    graded_run,
    judgment,
    population,
    write_labels,
    write_run,
)

from glider.calibration.model import Calibration
from glider.cli.apply import apply
from glider.cli.calibrate import calibrate
from glider.cli.plan_labels import plan_labels
from glider.core.criteria import Criterion
from glider.core.errors import DataError, RunError, SetupError

app = typer.Typer()
app.command("calibrate")(calibrate)
app.command("apply")(apply)
app.command("plan-labels")(plan_labels)


@pytest.fixture
def told(capsys):
    """Run a command; gives what it printed on standard output."""

    def run(*words):
        app([str(word) for word in words], standalone_mode=False)
        return capsys.readouterr().out

    return run


def test_a_run_with_its_own_labels(tmp_path, told):
    run = graded_run(tmp_path / "run", 200)
    text = told("calibrate", run, "--pass-at", 4)
    assert "True pass rate: " in text and "n=200" in text
    kept = Calibration.load(run / "calibration.json")
    assert kept.pass_at == 4 and kept.criterion == GRADES.name
    page = (run / "calibration.html").read_text("utf-8")
    assert all(escape(f.title) in page for f in kept.findings)
    assert page.count("<svg") >= 3  # the mark, reliability, risk against coverage


def test_a_labels_file_with_names_of_its_own_and_json(tmp_path, told):
    label, probs, _ = population(200)
    run = write_run(tmp_path / "run", [judgment(n, p) for n, p in enumerate(probs)])
    file = write_labels(
        tmp_path / "labels.csv", [(f"s{n}", int(v) * 25) for n, v in enumerate(label[:80])],
        columns=("item", "people"),
    )  # fmt: skip
    out = tmp_path / "mine.json"
    printed = told(
        "calibrate", run, "--labels", file, "--map", "id=item", "--map", "label=people",
        "--scale", "0:100", "--out", out, "--json", "--agree-on", "near",
    )  # fmt: skip
    assert json.loads(printed) == json.loads(out.read_text())
    found = Calibration.load(out)
    assert found.scale == (0, 100) and found.agree_on == "near"
    assert 0 <= found.finding("true_mean").value <= 100


def test_a_calibration_of_one_of_several_criteria_has_its_name(tmp_path, told):
    run = graded_run(tmp_path / "run", 60)
    told("calibrate", run, "-c", "quality")
    assert (run / "calibration-quality.json").exists()


@pytest.mark.parametrize(
    ("flags", "error", "words"),
    [
        (["--method", "magic"], SetupError, "--method: "),
        (["--agree-on", "vibes"], SetupError, "--agree-on: "),
        (["--scale", "5"], SetupError, "--scale takes LOW:HIGH"),
        (["--scale", "5:1"], SetupError, "the first number must be the lower one"),
        (["--alpha", "2"], SetupError, "--alpha must lie between 0 and 1"),
        (["--pass-at", "7"], SetupError, "has no level on one side"),
        (["--labels", "nowhere.csv"], DataError, "nowhere.csv"),
        (["--map", "score=x"], SetupError, "use id and label"),
        (["--out", "/dev/null/calibration.json"], SetupError, "cannot write"),
    ],
)
def test_flags_that_cannot_be_followed(tmp_path, told, flags, error, words):
    run = graded_run(tmp_path / "run", 60)
    with pytest.raises(error) as caught:
        told("calibrate", run, *flags)
    assert words in str(caught.value)


def test_no_run(tmp_path, told):
    with pytest.raises(RunError, match="is no run"):
        told("calibrate", tmp_path)


def test_a_calibration_is_applied_to_another_run(tmp_path, told):
    learnt = graded_run(tmp_path / "learnt", 400)
    told("calibrate", learnt, "--pass-at", 4, "--alpha", 0.2)
    kept = Calibration.load(learnt / "calibration.json")
    _, probs, _ = population(60, seed=3)
    made = [judgment(n, p) for n, p in enumerate(probs)] + [failure(60)]
    run = write_run(tmp_path / "new", made)
    printed = told("apply", learnt / "calibration.json", run)
    lines = [json.loads(line) for line in printed.splitlines()]
    assert [line["row"] for line in lines] == list(range(61))
    assert (
        lines[0]
        == {"row": 0, "sample_id": "s0", "criterion": "quality"} | kept.apply(made[0]).model_dump()
    )
    assert {line["keep"] for line in lines[:60]} == {True, False}
    assert (lines[60]["score"], lines[60]["keep"]) == (None, False)
    assert told("apply", learnt / "calibration.json", run, "--out", tmp_path / "out.jsonl") == ""
    assert (tmp_path / "out.jsonl").read_text("utf-8") == printed


def test_what_was_kept_is_counted_and_no_threshold_is_told(tmp_path, told, capsys):
    run = graded_run(tmp_path / "run", 60, fail={1})
    told("calibrate", run, "--pass-at", 4, "--alpha", 0.01)
    app(["apply", str(run / "calibration.json"), str(run)], standalone_mode=False)
    said = capsys.readouterr().err
    assert "kept: 0   to review: 59   not judged: 1" in said
    assert "this calibration has no threshold" in said


def test_what_a_calibration_is_not_applied_to(tmp_path, told):
    learnt = graded_run(tmp_path / "learnt", 60) / "calibration.json"
    told("calibrate", learnt.parent)
    reworded = Criterion(name="quality", question="Is it very good?", rubric=GRADES.rubric)
    outcomes = [judgment(n, [0.2] * 5) for n in range(3)]
    for name, criterion, words in (
        ("reworded", reworded, "differs in wording"),
        ("another", BINARY, "no criterion in this run"),
    ):
        run = write_run(tmp_path / name, outcomes, criteria=(criterion,))
        with pytest.raises(SetupError) as caught:
            told("apply", learnt, run)
        assert words in str(caught.value)
    with pytest.raises(SetupError, match="--out writes .jsonl"):
        told("apply", learnt, learnt.parent, "--out", tmp_path / "out.txt")


def test_planning(tmp_path, told):
    assert "385" not in told("plan-labels", "--width", 0.05, "--items", 300)
    text = told("plan-labels", "--width", 0.05)
    assert "387" in text and "correlation 0.7" in text
    run = graded_run(tmp_path / "run", 400, labelled=set(range(80)))
    pilot = json.loads(told("plan-labels", run, "--pass-at", 4, "--width", 0.1, "--json"))
    assert pilot["pilot"] == 80 and pilot["rows"][1]["width"] == 0.1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--labels", "x.csv"], "labels need a run"),
        (["--width", "0"], "--width must be above 0"),
    ],
)
def test_plans_that_cannot_be_made(told, flags, words):
    with pytest.raises(SetupError, match=words):
        told("plan-labels", *flags)


def test_items_are_the_runs_own(tmp_path, told):
    with pytest.raises(SetupError, match="a run has its own number"):
        told("plan-labels", graded_run(tmp_path / "run", 60), "--items", 5)
