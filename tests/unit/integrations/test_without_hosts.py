"""The adapters that are plain functions, without their hosts; inside them: make integrations."""

import json

import pytest

from glider import DataError, Judge, JudgmentFailed
from glider.backends.scripted import ScriptedBackend
from glider.core.errors import TimedOut
from glider.integrations.lm_eval import judge_samples
from glider.integrations.openevals import glider_evaluator
from glider.integrations.promptfoo import assertion, grader
from glider.integrations.trl import GliderReward

TEXT = "🦩 We open at nine."


def answered(request):
    """Score 4 or the highest, with a quote; a text with BROKEN in it is never answered."""
    if "BROKEN" in request.messages[-1].content:
        return TimedOut("no answer in 2 s")
    score = min(4, int(request.labels.texts[-1]))
    return f'Score: {score}\nQuotes:\n- "nine"\nReason: It says nine.'


@pytest.fixture
def judge():
    return Judge(ScriptedBackend(answered))


def test_rewards_are_none_where_nothing_was_judged_and_the_share_is_logged(judge):
    reward = GliderReward("answer-correctness", judge, maps={"reference": "answer"})
    logged, extra = {}, {}
    rewards = reward(
        ["When?"] * 4,
        [TEXT, "BROKEN", [{"role": "assistant", "content": TEXT}], TEXT],
        answer=["nine", "nine", "nine", None],
        trainer_state=object(),
        log_metric=logged.__setitem__,
        log_extra=extra.__setitem__,
    )
    assert rewards == [0.75, None, 0.75, None]
    assert logged == {"glider/answer-correctness/failed": 0.5}
    said = extra["glider answer-correctness"]
    assert said[0] == "It says nine. [nine]" and "missing_field" in said[3]
    assert reward.__name__ == "glider_answer-correctness"
    assert reward([], [], log_metric=logged.__setitem__) == []


def test_an_evaluators_result_has_no_score_where_nothing_was_judged(judge):
    evaluator = glider_evaluator("relevance", judge)
    result = evaluator(inputs={"question": "When?"}, outputs={"answer": TEXT})
    assert (result["key"], result["score"]) == ("relevance", 0.75)
    (span,) = result["metadata"]["highlights"][0]["spans"]
    assert TEXT[span["start"] : span["end"]] == "nine"
    lost = evaluator(inputs="When?", outputs="BROKEN")
    assert lost["score"] is None and lost["comment"].startswith("not judged: generate/timeout")
    assert [each["key"] for each in glider_evaluator(["clarity", "relevance"], judge)(
        inputs="When?", outputs=TEXT)] == ["clarity", "relevance"]  # fmt: skip


def test_an_assertion_passes_from_its_threshold_and_raises_what_failed(judge):
    context = {"prompt": "When?", "vars": {"page": "Open 8:00 to 17:00."}}
    for threshold, passes in ((0.75, True), (0.76, False)):
        check = assertion("faithfulness", judge, threshold, maps={"context": "vars.page"})
        found = check(TEXT, context)
        assert (found["pass"], found["score"]) == (passes, 0.75)
        assert found["namedScores"] == {"faithfulness": 0.75}
        json.dumps(found)
    with pytest.raises(JudgmentFailed, match="timeout"):
        check("BROKEN", context)


def test_a_grader_answers_rubrics_and_nothing_else(judge):
    call_api = grader(judge)
    asked = "<Output>\n{}\n</Output>\n<Rubric>\nnames a time\n</Rubric>"
    messages = [{"role": "system", "content": "Grade."}, {"role": "user", "content": asked}]
    for prompt in (asked.format(TEXT), json.dumps(messages).replace("{}", "nine")):
        said = json.loads(call_api(prompt, {}, {})["output"])
        assert said == {"reason": "It says nine.", "score": 1.0, "pass": True}
    assert "no answer in 2 s" in call_api(asked.format("BROKEN"), {}, {})["error"]
    for other in ("Hello", "[]", "1"):
        assert set(call_api(other, {}, {})) == {"error"}


def sample(n, output, **more):
    arguments = {"gen_args_0": {"arg_0": f"Which? {n}", "arg_1": {}}}
    return {
        "doc_id": n, "doc": {"page": "Open."}, "target": "4", "arguments": arguments,
        "resps": [[output]], "filter": "none", "metrics": ["exact_match"], "exact_match": 0.0, **more,
    }  # fmt: skip


@pytest.fixture
def files(tmp_path):
    rows = [sample(0, TEXT), sample(1, "BROKEN"), sample(2, TEXT + "\u2028More.")]
    rows += [sample(n, TEXT, filter="strict") for n in (0, 1)]
    samples = tmp_path / "samples_my_task_2026-11-28T10-00-00.123456.jsonl"
    samples.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    results = tmp_path / "results_2026-11-28T10-00-00.123456.json"
    results.write_text(json.dumps({"results": {"my_task": {"exact_match,none": 0.0}}}))
    return samples, results


def test_samples_and_results_get_the_scores_by_filter_and_again_the_same(judge, files):
    samples, results = files
    replies = judge_samples(samples, "faithfulness", judge, maps={"context": "doc.page"})
    assert [reply.points for (reply,) in replies] == [4.0, None, 4.0, 4.0, 4.0]
    rows = [json.loads(line) for line in samples.read_text("utf-8").removesuffix("\n").split("\n")]
    assert [row["glider_faithfulness"] for row in rows] == [4.0, None, 4.0, 4.0, 4.0]
    assert rows[0]["metrics"] == ["exact_match", "glider_faithfulness"]
    assert rows[1]["glider"]["faithfulness"]["code"] == "timeout"
    told = json.loads(results.read_text("utf-8"))
    assert told["results"]["my_task"] == {
        "exact_match,none": 0.0,
        "glider_faithfulness_failed,none": 1,
        "glider_faithfulness,none": 4.0,
        "glider_faithfulness_stderr,none": 0.0,
        "glider_faithfulness_failed,strict": 0,
        "glider_faithfulness,strict": 4.0,
        "glider_faithfulness_stderr,strict": 0.0,
    }
    judge_samples(samples, "faithfulness", judge, maps={"context": "doc.page"})
    assert json.loads(results.read_text("utf-8")) == told


def test_where_nothing_could_be_judged_there_is_no_mean(judge, files):
    samples, results = files
    judge_samples(samples, "faithfulness", judge)  # no context
    of_task = json.loads(results.read_text("utf-8"))["results"]["my_task"]
    assert of_task["glider_faithfulness_failed,none"] == 3
    assert "glider_faithfulness,none" not in of_task


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("answers.jsonl", "", "samples_TASK_DATE.jsonl"),
        ("samples_a_2026-11-28T10-00-00.jsonl", None, "cannot be read"),
        ("samples_a_2026-11-28T10-00-00.jsonl", '{"resps": [["a"]]}\n{', ":2: not JSON"),
        ("samples_a_2026-11-28T10-00-00.jsonl", "[1]\n", ":1: no sample of lm-eval"),
    ],
)
def test_another_file_is_refused_and_left_alone(judge, tmp_path, name, content, said):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=said):
        judge_samples(path, "clarity", judge)
    assert not path.exists() or path.read_text() == content
