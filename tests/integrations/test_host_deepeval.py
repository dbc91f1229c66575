import json

import deepeval
import pytest
from conftest import BROKEN, JUDGE, quoted, text
from deepeval.evaluate.configs import AsyncConfig, CacheConfig, DisplayConfig, ErrorConfig
from deepeval.metrics import AnswerRelevancyMetric
from deepeval.test_case import LLMTestCase
from deepeval.test_run import global_test_run_manager

from glider import JudgmentFailed
from glider.integrations.deepeval import GliderMetric


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # deepeval writes its test runs where it stands


def evaluated(answers, *metrics, at_once=20):
    cases = [LLMTestCase(input="Which level?", actual_output=answer) for answer in answers]
    result = deepeval.evaluate(
        cases,
        list(metrics),
        async_config=AsyncConfig(max_concurrent=at_once),
        display_config=DisplayConfig(
            show_indicator=False, print_results=False, inspect_after_run=False
        ),
        cache_config=CacheConfig(write_cache=False),
        error_config=ErrorConfig(ignore_errors=True),
    )
    ordered = sorted(result.test_results, key=lambda each: each.index)
    return [each.metrics_data[0] for each in ordered]


def test_a_failure_is_no_number_and_an_error_of_its_case(asked, shown):
    found = evaluated([text(5), BROKEN, text(3)], GliderMetric("clarity", JUDGE))
    assert [each.score for each in found] == [1.0, None, 0.5]
    assert found[1].error.startswith("read/missing_part") and found[1].success is False
    (mean,) = global_test_run_manager.get_test_run().metrics_scores
    assert mean.scores == [1.0, 0.5]
    shown("failure", "no score, an error; the printed pass rate counts it as not passed")
    shown("coverage", "`error` of each case")


def test_a_metric_is_set_anew_by_each_case(asked):
    metric = GliderMetric("clarity", JUDGE, threshold=0.9)
    for level, passes in ((5, True), (2, False)):
        metric.measure(LLMTestCase(input="?", actual_output=text(level)))
        said = f"It says level {level}. [level {level}]"
        assert (metric.is_successful(), metric.reason) == (passes, said)
    with pytest.raises(JudgmentFailed):
        metric.measure(LLMTestCase(input="?", actual_output=BROKEN))
    assert metric.score is None


def test_spans_are_in_the_verbose_logs(asked, shown):
    (found,) = evaluated([text(2)], GliderMetric("clarity", JUDGE))
    assert quoted(json.loads(found.verbose_logs), text(2)) == "level 2"
    shown("spans", "`verbose_logs`, as JSON")


def test_32_cases_wait_in_one_queue(gathering, shown):
    found = evaluated(["level"] * 32, GliderMetric("clarity", gathering), at_once=32)
    assert [each.score for each in found] == [0.5] * 32
    shown("queue", "yes")


def test_its_own_metrics_ask_glider_serve_by_system_one(served, monkeypatch):
    monkeypatch.setenv("TYPESAFE_BASE_URL", served)
    monkeypatch.setenv("TYPESAFE_API_KEY", "none")
    monkeypatch.setenv("TYPESAFE_MODEL_NAME", "glider")
    monkeypatch.setenv("DEEPEVAL_EVAL_MODE", "system_one")
    metric = AnswerRelevancyMetric()
    metric.measure(LLMTestCase(input="When?", actual_output="At nine."), _show_indicator=False)
    assert 0 <= metric.score <= 1 and metric.confidence is not None


def test_the_recipe_runs(recipe, shown):
    told, lines, seconds = recipe("deepeval")
    assert 0 <= float(told.split()[0]) <= 1
    shown("recipe", f"{lines} lines, {seconds:.0f} s")
