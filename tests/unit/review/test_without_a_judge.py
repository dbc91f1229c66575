"""Texts that people label, without any judge: made, labelled, reported, and read by commands."""

import json

import numpy as np
import pytest
import yaml
from in_process import glider
from review_runs import CRITERION, answered, begun
from review_server import ask, blind, serving
from sklearn.metrics import cohen_kappa_score

from glider.core.errors import BadRecord, RunError, SetupError
from glider.core.judgments import Span
from glider.review.answered import read_answered
from glider.review.begin import load_review
from glider.review.figures import review_report
from glider.review.page import page
from glider.review.records import labelled_rows
from glider.review.texts import texts_run


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture
def labelled(tmp_path):
    """30 texts, labelled by three people elsewhere and taken in."""
    texts = written(
        tmp_path / "texts.jsonl",
        [{"id": f"t{n}", "input": f"q{n // 2}", "output": f"one two {n}"} for n in range(30)],
    )
    criterion = tmp_path / "quality.yaml"
    criterion.write_text(yaml.safe_dump(CRITERION.model_dump(mode="json"), sort_keys=False))
    made = glider("review", "texts", texts, "-c", criterion, "--run", "run", cwd=tmp_path)
    assert (made.returncode, made.stdout) == (0, "") and "30 texts in run" in made.stderr
    scores = np.random.default_rng(2).integers(1, 6, (30, 3))
    lines = ["sample_id,person,score,spans"]
    for (n, p), score in np.ndenumerate(scores):
        spans = '"[[""output"", 0, 3]]"' if p < 2 or n % 3 else '"[[""output"", 4, 7]]"'
        lines.append(f"t{n},{['ana', 'ben', 'cem'][p]},{score},{spans}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    ended = glider("review", "import", tmp_path / "run", tmp_path / "labels.csv", cwd=tmp_path)
    assert ended.returncode == 0 and "90 answers taken" in ended.stderr
    return tmp_path / "run", scores


def test_people_are_compared_with_people_alone(labelled):
    run, scores = labelled
    report = review_report(read_answered(run))
    assert (report.judge, report.has_judge, report.mode) == ("no judge", False, "label")
    found = {one.metric: one for one in report.beside}
    kappas = [
        cohen_kappa_score(scores[:, p], scores[:, q], weights="quadratic", labels=[1, 2, 3, 4, 5])
        for p, q in ((0, 1), (0, 2), (1, 2))
    ]
    kappa = found["kappa, quadratic"]
    assert kappa.people.value == pytest.approx(np.mean(kappas))
    assert kappa.people.low < kappa.people.value < kappa.people.high
    assert kappa.judge.undefined == "there is no judge" and kappa.difference.value is None
    assert found["marks: word F1"].people.value == pytest.approx(7 / 9)
    assert found["marks: gamma"].people.value == pytest.approx(0.67, abs=0.1)
    assert report.alternative.undefined == "there is no judge"
    assert all(item.judge is None and item.off is None for item in report.items)


def test_the_report_has_no_word_of_a_judge(labelled, tmp_path):
    run, _ = labelled
    ended = glider("review", "report", run, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "People beside one another" in ended.stdout and "nan" not in ended.stdout.lower()
    shown = page(review_report(read_answered(run)), load_review(run))
    assert "Where people differ most" in shown and "<h4>Judge" not in shown
    json.loads((run / "review/report.json").read_text(), parse_constant=pytest.fail)


def test_labels_are_read_by_other_commands(labelled, tmp_path):
    run, scores = labelled
    records = [row.data for row in labelled_rows(run)]
    assert [record["label"] for record in records] == pytest.approx(scores.mean(axis=1))
    for to in ("label-studio", "inspect", "w3c", "csv"):
        assert glider("review", "export", run, "--to", to, cwd=tmp_path).returncode == 0
    tasks = json.loads((run / "review/label-studio.json").read_text())
    assert all(task["predictions"] == [] for task in tasks)


def test_on_the_page_nothing_is_revealed_and_adjudicators_settle(tmp_path):
    texts = written(tmp_path / "t.jsonl", [{"output": f"text {n}"} for n in range(3)])
    texts_run(texts, CRITERION, tmp_path / "run")
    review = begun(tmp_path / "run", adjudicators=("dora",))
    assert review.plan.mode == "label"
    first = review.plan.items[0]
    with serving(review) as links:
        status, said = blind(links["ana"], first.id, score=2)
        assert (status, said["state"], said["judgment"]) == (200, "done", None)
        blind(links["ben"], first.id, score=5)
        assert [v["id"] for v in ask(links["dora"], "api/state")[1]["visits"]] == [first.id]
    answered(tmp_path / "run", "dora", first, stage="adjudicated", score=5)
    report = review_report(read_answered(tmp_path / "run"))
    assert [one.who for one in report.settled] == ["ana", "ben"]


def test_pairs(tmp_path):
    rows = [{"id": f"p{n}", "outputs": [f"a {n}", f"b {n}"]} for n in range(4)]
    texts_run(written(tmp_path / "t.jsonl", rows), CRITERION, tmp_path / "run")
    review = begun(tmp_path / "run")
    for drawn in review.plan.items:
        answered(tmp_path / "run", "ana", drawn, preferred="output 2", spans=(
            Span(field="output 2", start=0, end=1),))  # fmt: skip
    records = [row.data for row in labelled_rows(tmp_path / "run")]
    assert [(r["label"], r["outputs"]) for r in records] == [(1, row["outputs"]) for row in rows]
    judged = review.items[review.plan.items[0].id]
    assert judged.pair == ("output 1", "output 2")


def test_each_row_may_bring_its_criterion(tmp_path):
    rows = [
        {
            "output": "a",
            "criterion": {"name": n, "description": "Is it?"},
            "rubric": {"0": "no", "1": "yes"},
        }
        for n in ("one", "two")
    ]
    texts_run(written(tmp_path / "t.jsonl", rows), "record", tmp_path / "run")
    assert {i.criterion.name for i in load_review(begun(tmp_path / "run").run).items.values()} == {
        "one", "two"
    }  # fmt: skip


def test_what_does_not_go_without_a_judge(tmp_path):
    texts = written(tmp_path / "t.jsonl", [{"output": "a"}, {"output": "b"}])
    texts_run(texts, CRITERION, tmp_path / "run")
    for settings, said in (
        ({"mode": "verify"}, "no judge"),
        ({"mode": "compare"}, "no judge"),
        ({"by": "score"}, "--by score needs a judge"),
        ({"holdout": "10%"}, "--holdout needs a judge"),
    ):
        with pytest.raises(SetupError, match=said):
            begun(tmp_path / "run", **settings)
    with pytest.raises(RunError, match="not empty"):
        texts_run(texts, CRITERION, tmp_path / "run")
    gate = glider("gate", "run", "--check", "mean_score >= 1", cwd=tmp_path)
    assert gate.returncode == 3
    assert "run has no judge" in gate.stderr and "glider review report run" in gate.stderr
    texts.write_text('{"output": "a"}\n{"outp')
    with pytest.raises(BadRecord, match="jsonl:2"):
        texts_run(texts, CRITERION, tmp_path / "other")
    assert not (tmp_path / "other").exists()
