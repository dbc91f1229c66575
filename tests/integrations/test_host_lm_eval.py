import json

import pytest
from conftest import BROKEN, JUDGE, quoted, text
from lm_eval.api.model import LM
from lm_eval.evaluator import simple_evaluate
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager
from lm_eval.utils import make_table

from glider import DataError
from glider.integrations.lm_eval import judge_samples

TASK = """
task: levels
dataset_path: json
dataset_kwargs: {data_files: {test: docs.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
metric_list: [{metric: exact_match}]
"""


class Says(LM):
    """Answers with the document's own text."""

    def generate_until(self, requests, disable_tqdm=False):
        return [request.doc["says"] for request in requests]

    def loglikelihood(self, requests, disable_tqdm=False):
        raise NotImplementedError

    loglikelihood_rolling = loglikelihood


@pytest.fixture
def evaluated(tmp_path, monkeypatch):
    """Files as `lm_eval --log_samples --output_path out` leaves them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))

    def run(answers):
        docs = [
            {"question": f"Which? {n}", "answer": "4", "says": says}
            for n, says in enumerate(answers)
        ]
        (tmp_path / "docs.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
        (tmp_path / "levels.yaml").write_text(TASK)
        tracker = EvaluationTracker(output_path=str(tmp_path / "out"))
        results = simple_evaluate(
            model=Says(),
            tasks=["levels"],
            log_samples=True,
            bootstrap_iters=0,
            task_manager=TaskManager(include_path=str(tmp_path), include_defaults=False),
            evaluation_tracker=tracker,
        )
        samples = results.pop("samples")
        tracker.save_results_aggregated(results=results, samples=samples)
        tracker.save_results_samples("levels", samples["levels"])
        (file,) = (tmp_path / "out").rglob("samples_levels_*.jsonl")
        (figures,) = (tmp_path / "out").rglob("results_*.json")
        return file, figures

    return run


def rows_of(file):
    return [json.loads(line) for line in file.read_text("utf-8").split("\n") if line]


def test_a_failure_is_no_number_in_the_table_and_is_counted(asked, evaluated, shown):
    file, figures = evaluated([text(5), BROKEN, text(2), text(2)])
    judge_samples(file, ["clarity", "answer-correctness"], JUDGE)
    results = json.loads(figures.read_text())
    of_task = results["results"]["levels"]
    assert of_task["glider_clarity,none"] == 3.0
    assert of_task["glider_clarity_failed,none"] == 1
    assert of_task["glider_clarity_stderr,none"] == pytest.approx(1.0)
    assert "exact_match,none" in of_task
    table = make_table(results)
    assert "|glider_clarity " in table
    assert "glider_answer-correctness_failed" in table
    rows = rows_of(file)
    assert [row["glider_clarity"] for row in rows] == [5.0, None, 2.0, 2.0]
    assert rows[1]["glider"]["clarity"]["code"] == "missing_part"
    judge_samples(file, ["clarity", "answer-correctness"], JUDGE)
    assert json.loads(figures.read_text()) == results
    shown("failure", "null in the sample, left out of the mean")
    shown("coverage", "`glider_NAME_failed` in results and table")


def test_spans_are_in_the_samples(asked, evaluated, shown):
    file, _ = evaluated([text(3)])
    judge_samples(file, "clarity", JUDGE)
    (row,) = rows_of(file)
    assert quoted(row["glider"]["clarity"], row["resps"][0][0]) == "level 3"
    shown("spans", '`glider[criterion]["highlights"]` of each sample')


def test_32_samples_wait_in_one_queue(gathering, evaluated, shown):
    file, _ = evaluated(["level"] * 32)
    replies = judge_samples(file, "clarity", gathering)
    assert [reply.points for (reply,) in replies] == [3.0] * 32
    shown("queue", "one call a file")


def test_other_files_are_named_and_left_alone(asked, tmp_path):
    other = tmp_path / "samples_levels_2026-11-28T00-00-00.jsonl"
    other.write_text('{"a": 1}\n')
    for path, said in (
        (other, "1: no sample of lm-eval"),
        (tmp_path / "x.jsonl", "samples_TASK_DATE"),
    ):
        with pytest.raises(DataError, match=said):
            judge_samples(path, "clarity", JUDGE)
    assert other.read_text() == '{"a": 1}\n'


def test_the_recipe_runs(recipe, evaluated, tmp_path, shown):
    evaluated(["We open at nine.", "At nine."])
    _, lines, seconds = recipe("lm-evaluation-harness")
    (figures,) = tmp_path.rglob("results_*.json")
    assert json.loads(figures.read_text())["results"]["levels"]["glider_clarity_failed,none"] == 0
    shown("recipe", f"{lines} lines, {seconds:.0f} s")
