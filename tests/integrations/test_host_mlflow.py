import json

import mlflow
import pytest
from conftest import BROKEN, JUDGE, quoted, text
from mlflow.genai.judges import make_judge

from glider.integrations.mlflow import GliderScorer


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db")
    mlflow.set_experiment("levels")

    def run(answers, *scorers):
        data = [
            {
                "inputs": {"question": f"Which? {n}"},
                "outputs": answer,
                "expectations": {"expected_response": "4"},
            }
            for n, answer in enumerate(answers)
        ]
        return mlflow.genai.evaluate(data=data, scorers=list(scorers))

    return run


def feedbacks(result, name):
    """The assessments of one name, as the result's table holds them."""
    rows = result.result_df["assessments"]
    return [each for row in rows for each in row if each["assessment_name"] == name]


def test_a_failure_is_no_number_in_the_means(asked, evaluated, shown):
    result = evaluated([text(5), BROKEN, text(2)], GliderScorer("answer-correctness", JUDGE))
    assert result.metrics["answer-correctness/mean"] == 3.5
    found = [each["feedback"] for each in feedbacks(result, "answer-correctness")]
    (error,) = [each["error"] for each in found if each.get("error")]
    assert error["error_code"] == "read/missing_part"
    shown("failure", "a feedback with an error and no value")
    shown("coverage", "`error` of each assessment; no count beside the mean")


def test_spans_are_in_the_metadata(asked, evaluated, shown):
    (found,) = feedbacks(evaluated([text(2)], GliderScorer("clarity", JUDGE)), "clarity")
    assert quoted(json.loads(found["metadata"]["glider"]), text(2)) == "level 2"
    assert found["rationale"] == "It says level 2. [level 2]"
    assert found["feedback"]["value"] == 2.0
    shown("spans", '`metadata["glider"]`, as JSON')


def test_32_rows_wait_in_one_queue(gathering, evaluated, shown):
    result = evaluated(["level"] * 32, GliderScorer("clarity", gathering))
    assert result.metrics["clarity/mean"] == 3.0
    shown("queue", "yes, with `MLFLOW_GENAI_EVAL_MAX_WORKERS=32`; 10 by default")


def test_texts_are_named_by_maps(asked):
    scorer = GliderScorer(
        "faithfulness", JUDGE, maps={"context": "inputs.page", "output": "outputs.answer"}
    )
    found = scorer(inputs={"page": "Open.", "q": "?"}, outputs={"answer": text(4), "k": 1})
    assert found.value == 4.0


def test_make_judge_asks_glider_serve_by_decisions(served, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    judge = make_judge(
        name="time",
        instructions="Does {{ outputs }} name a time of day?",
        model="openai:/glider",
        model_api="decisions",
        base_url=f"{served}/v1",
        feedback_value_type=bool,
    )
    assert judge(outputs="At nine.").value in (True, False)


def test_the_recipe_runs(recipe, shown, monkeypatch):
    for name in ("EXPERIMENT_ID", "TRACKING_URI"):  # MLflow puts them there for its children
        monkeypatch.delenv(f"MLFLOW_{name}", raising=False)
    told, lines, seconds = recipe("MLflow")
    assert "clarity/mean" in told
    shown("recipe", f"{lines} lines, {seconds:.0f} s")
