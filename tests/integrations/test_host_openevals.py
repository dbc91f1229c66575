from datetime import UTC, datetime
from uuid import uuid4

import langsmith
import openevals  # noqa: F401  # the host whose callable this is
from conftest import BROKEN, JUDGE, quoted, text
from langsmith.schemas import Example

from glider.integrations.openevals import glider_evaluator


def example(says):
    return Example(
        id=uuid4(), dataset_id=uuid4(), created_at=datetime.now(UTC),
        inputs={"question": "Which level?", "says": says}, outputs={"answer": "level 4"},
    )  # fmt: skip


def experiment(answers, evaluator, at_once=0):
    """An experiment of LangSmith whose results stay here."""
    return langsmith.evaluate(
        lambda inputs: {"answer": inputs["says"]},
        data=[example(answer) for answer in answers],
        evaluators=[evaluator],
        upload_results=False,
        max_concurrency=at_once,
        client=langsmith.Client(
            api_url="http://127.0.0.1:1", api_key="none", auto_batch_tracing=False
        ),
    )


def test_a_failure_is_no_number_in_an_experiments_mean(asked, shown):
    table = experiment([text(5), BROKEN, text(3)], glider_evaluator("clarity", JUDGE)).to_pandas()
    assert table["feedback.clarity"].mean() == 0.75 and table["feedback.clarity"].count() == 2
    shown("failure", "score None: no value in the feedback")
    shown("coverage", "`comment` with stage and code; count of the feedback")


def test_spans_are_in_the_metadata(asked, shown):
    (row,) = experiment([text(2)], glider_evaluator("clarity", JUDGE))
    (result,) = row["evaluation_results"]["results"]
    assert quoted(result.metadata, text(2)) == "level 2"
    assert (result.score, result.comment) == (0.25, "It says level 2. [level 2]")
    shown("spans", '`metadata["highlights"]`')


def test_several_criteria_are_several_results(asked):
    results = glider_evaluator(["clarity", "answer-correctness"], JUDGE)(
        inputs={"question": "?"}, outputs={"answer": text(4)}, reference_outputs={"answer": "4"}
    )
    found = [(each["key"], each["score"]) for each in results]
    assert found == [("clarity", 0.75), ("answer-correctness", 0.75)]
    for each in results:
        langsmith.evaluation.EvaluationResult(**each)


def test_texts_are_named_by_maps_where_there_are_several(asked):
    judged = glider_evaluator("relevance", JUDGE, maps={"output": "outputs.a", "input": "inputs.q"})
    result = judged(inputs={"q": "?", "k": 3}, outputs={"a": text(5), "b": BROKEN})
    assert result["score"] == 1.0 and quoted(result["metadata"], text(5)) == "level 5"


def test_32_runs_wait_in_one_queue(gathering, shown):
    judged = glider_evaluator("clarity", gathering)
    table = experiment(["level"] * 32, judged, at_once=32).to_pandas()
    assert table["feedback.clarity"].count() == 32
    shown("queue", "yes")


def test_the_recipe_runs(recipe, shown):
    told, lines, seconds = recipe("openevals and LangSmith")
    assert "clarity" in told
    shown("recipe", f"{lines} lines, {seconds:.0f} s")
