"""What version 0.1.0 left on disk is still read: `fixtures/v0.1` was made by its own commands."""

import gzip
import json
import shutil
from collections import Counter
from pathlib import Path

import in_process
import pytest

MADE = Path(__file__).parents[1] / "fixtures" / "v0.1"


@pytest.fixture
def made(tmp_path):
    shutil.copytree(MADE, tmp_path / "made")
    return tmp_path / "made"


def journal(folder):
    lines = (folder / "journal.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["outcome"] for line in lines]


@pytest.mark.parametrize("name", ["run", "explained", "pairs"])
def test_a_run_gives_its_report(made, name):
    told = in_process.glider("report", made / name, cwd=made)
    assert told.returncode == 0, told.stderr
    page = (made / name / "report.html").read_text("utf-8")
    for outcome in journal(made / name):
        assert outcome["criterion"] in page
        for highlight in outcome.get("highlights", []):
            assert json.dumps(highlight["phrase"])[1:-1] in page


def test_a_run_is_gated(made):
    scores = [
        outcome["score"]
        for outcome in journal(made / "run")
        if outcome["kind"] == "judgment" and outcome["criterion"] == "faithfulness"
    ]
    told = in_process.glider(
        "gate", made / "run", "--check", "mean_score:faithfulness >= 1", cwd=made
    )
    assert told.returncode == 0, told.stderr
    assert f"{sum(scores) / len(scores):.3f}" in told.stdout + told.stderr


def test_a_calibration_is_put_on_its_run(made):
    told = in_process.glider(
        "apply", made / "run/calibration-faithfulness.json", made / "run", cwd=made
    )
    assert told.returncode == 0, told.stderr
    rows = [json.loads(line) for line in told.stdout.splitlines()]
    assert Counter(row["score"] is None for row in rows) == {False: 24, True: 1}


def test_examples_are_chosen_from(made, tmp_path):
    told = in_process.glider(
        "select", made / "examples", "--by", "random", "--size", 10, "--out", "chosen", cwd=tmp_path
    )
    assert told.returncode == 0, told.stderr
    with gzip.open(tmp_path / "chosen/train.jsonl.gz", "rt", encoding="utf-8") as lines:
        assert len(list(lines)) == 10


def test_a_training_is_exported_with_its_card_and_its_model_judges(made, tmp_path):
    pytest.importorskip("torch", reason="the model is one of torch's")
    told = in_process.glider("export", made / "training", "--to", "hf", "--out", "m", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "score loss 5.56" in (tmp_path / "m/README.md").read_text("utf-8")
    told = in_process.glider(
        "judge", "--output", "Yes.", "-c", "faithfulness", "--context", "Yes.", "--no-explain",
        "-m", f"fast/{made / 'training/1-sft/model'}", cwd=tmp_path,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["score"] in range(1, 6)
