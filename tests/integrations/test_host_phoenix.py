import asyncio
import json

import pandas as pd
from conftest import BROKEN, JUDGE, quoted, text
from phoenix.evals import async_evaluate_dataframe, bind_evaluator, evaluate_dataframe

from glider.integrations.phoenix import GliderEvaluator


def scores(table, name):
    return [json.loads(each) if isinstance(each, str) else each for each in table[f"{name}_score"]]


def test_a_failure_has_no_number(asked, shown):
    frame = pd.DataFrame({"output": [text(5), BROKEN, text(2)], "input": "Which level?"})
    table = evaluate_dataframe(
        dataframe=frame,
        evaluators=[GliderEvaluator(["clarity", "relevance"], JUDGE)],
        hide_tqdm_bar=True,
    )
    for name in ("clarity", "relevance"):
        found = scores(table, name)
        assert [each.get("score") for each in found] == [5.0, None, 2.0]
        assert pd.Series([each.get("score") for each in found], dtype=float).mean() == 3.5
        assert found[1]["explanation"].startswith("not judged: read/missing_part")
    assert [each["exceptions"] for each in table["glider_execution_details"]] == [[], [], []]
    shown("failure", "a score without a number")
    shown("coverage", "`explanation` and `metadata` with stage and code")


def test_spans_are_in_the_metadata(asked, shown):
    frame = pd.DataFrame({"answer": [text(2)]})
    judged = bind_evaluator(
        evaluator=GliderEvaluator("clarity", JUDGE), input_mapping={"output": "answer"}
    )
    (found,) = scores(
        evaluate_dataframe(dataframe=frame, evaluators=[judged], hide_tqdm_bar=True), "clarity"
    )
    assert quoted(found["metadata"], text(2)) == "level 2"
    assert found["explanation"] == "It says level 2. [level 2]"
    shown("spans", '`metadata["highlights"]`')


def test_32_rows_wait_in_one_queue(gathering, shown):
    frame = pd.DataFrame({"output": ["level"] * 32})
    evaluator = GliderEvaluator("clarity", gathering)
    table = asyncio.run(
        async_evaluate_dataframe(
            dataframe=frame, evaluators=[evaluator], concurrency=32, hide_tqdm_bar=True
        )
    )
    assert [each["score"] for each in scores(table, "clarity")] == [3.0] * 32
    shown("queue", "yes, with `concurrency=32` of `async_evaluate_dataframe`; 3 by default")


def test_the_recipe_runs(recipe, shown):
    told, lines, seconds = recipe("Phoenix")
    assert "clarity" in told
    shown("recipe", f"{lines} lines, {seconds:.0f} s")
