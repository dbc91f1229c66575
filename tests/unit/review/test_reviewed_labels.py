"""A reviewed run is a set of labels for the commands that read labels."""

import json

import numpy as np
import pytest
from in_process import glider
from review_runs import answered, begun, graded_run, pair_run

from glider.bench.choose import choose
from glider.calibration.labelled import LabelledRun
from glider.calibration.truth import truth
from glider.core.errors import DataError, RunError, SetupError
from glider.core.judgments import Span
from glider.corpus.mixture import Mixture
from glider.corpus.sources import own_sources
from glider.gold.own import own_labels
from glider.review.export import export_answers
from glider.review.plan import questions_of


@pytest.fixture
def reviewed(tmp_path):
    """60 texts that two people scored, marked and commented on."""
    run = graded_run(tmp_path / "monday", 60)
    review = begun(run, mode="label")
    for n, drawn in enumerate(review.plan.items):
        spans = (Span(field="output", start=0, end=4),)
        answered(run, "ana", drawn, score=1 + n % 5, spans=spans, note="so")
        answered(run, "ben", drawn, score=1 + n // 2 % 5)
    return run


def test_each_command_reads_the_run_as_the_file_that_it_exports(reviewed, tmp_path):
    file = export_answers(reviewed, "records", tmp_path / "file.jsonl")
    found = []
    for place in (file, reviewed):
        (chosen,) = choose([str(place)], None)
        ((source,), _) = own_sources([str(place)], Mixture())
        tuned = own_labels(place)
        assert chosen.labelled == source.labelled == tuned
        found.append(chosen.labelled.load(place.parent).items)
    by_id = [{item.sample.id: item for item in items} for items in found]
    assert by_id[0] == by_id[1] and len(by_id[0]) == 60
    item = by_id[1]["s3"]
    assert (item.ratings, item.gold, item.reason) == ((4, 2), 3, "so")
    assert [(s.start, s.end) for s in item.spans] == [(0, 4)]
    assert own_labels(reviewed).labels_by == "glider review"


def test_pairs(tmp_path):
    run = pair_run(tmp_path / "run", 3)
    items = begun(run, "ana").plan.items
    for drawn, better in zip(items, ["output 1", "output 2", ""], strict=True):
        answered(run, "ana", drawn, preferred=better)
    labelled = own_labels(run)
    assert labelled.kind == "pairs"
    assert [item.gold for item in labelled.load(tmp_path).items] == [0, 1, 0.5]


def test_calibrate_takes_the_answers_of_the_run_and_of_another_judges_run(reviewed, tmp_path):
    ended = glider("calibrate", reviewed, "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["counts"]["labelled"] == 60
    other = graded_run(tmp_path / "other", 60, seed=1)
    by_run = LabelledRun.load(other, labels=str(reviewed))
    by_file = LabelledRun.load(other, labels=str(export_answers(reviewed, "records")))
    assert by_run.label.tolist() == by_file.label.tolist() and by_run.labelled.all()


def test_data_takes_the_answers(reviewed, tmp_path):
    ended = glider("data", "--set", "monday", "--out", "mixture", "--dev", 0.2, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    manifest = json.loads((tmp_path / "mixture/manifest.json").read_text())
    assert manifest["own"] == {"monday": "monday"}
    assert manifest["train"]["examples"] + manifest["dev"]["examples"] == 60


def test_a_run_with_labels_and_a_review_says_which_it_takes(tmp_path):
    run = graded_run(tmp_path / "run", 4)
    file = run / "samples.jsonl"
    lines = [
        json.loads(line) | {"metadata": {"label": 2}} for line in file.read_text().splitlines()
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (first, *_) = begun(run, "ana", mode="label").plan.items
    assert LabelledRun.load(run).label.tolist() == [2, 2, 2, 2]  # nobody has answered
    answered(run, "ana", first, score=5)
    with pytest.raises(SetupError, match="a review") as caught:
        LabelledRun.load(run)
    assert f"--labels {run}" in caught.value.hint
    assert LabelledRun.load(run, maps=["label=label"]).labelled.sum() == 4
    assert LabelledRun.load(run, labels=str(run)).labelled.sum() == 1


def test_a_run_without_answers_is_no_set_of_labels(tmp_path):
    run = graded_run(tmp_path / "run", 4)
    with pytest.raises(RunError, match="nobody has labelled it") as caught:
        own_labels(run)
    assert "glider review" in caught.value.hint
    review = begun(run, "ana", mode="synth")
    with pytest.raises(DataError, match="nobody has answered"):
        own_labels(run)
    said = {one.key: "yes" for one in questions_of(review.plan.questions, of_two=False)}
    answered(run, "ana", review.plan.items[0], questions=said)
    with pytest.raises(DataError, match="no answer of its review has a score"):
        own_labels(run)


def test_a_known_set_is_never_a_folder_of_that_name(tmp_path, monkeypatch):
    graded_run(tmp_path / "summeval", 2)
    monkeypatch.chdir(tmp_path)
    (chosen,) = choose(["summeval"], None)
    assert chosen.labelled.family != "own labels"


def test_labels_drawn_by_worth_are_weighted_back_to_the_run(tmp_path):
    run = graded_run(tmp_path / "run", 120, per_prompt=1)
    review = begun(run, "ana", mode="label", sample=40, by="score")
    for n, drawn in enumerate(review.plan.items):
        answered(run, "ana", drawn, score=1 + n % 5)
    found = LabelledRun.load(run)
    weights = {drawn.id: 1 / drawn.probability for drawn in review.plan.items}
    assert found.weight[found.labelled].sum() == pytest.approx(sum(weights.values()))
    assert "unequal probabilities" in found.notes[-1]
    classical = truth(found, None).powered.classical
    given = found.labelled
    assert classical.value == pytest.approx(
        np.average(found.label[given], weights=found.weight[given])
    )
    ended = glider("calibrate", run, "--pass-at", 4, "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["threshold"] is None
