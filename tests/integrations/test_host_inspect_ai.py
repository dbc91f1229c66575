import math
import subprocess
import sys
from pathlib import Path

import inspect_ai
from conftest import BROKEN, JUDGE, quoted, text
from inspect_ai import Task, score
from inspect_ai.dataset import Sample
from inspect_ai.log import read_eval_log
from inspect_ai.model import ModelOutput
from inspect_ai.scorer import match
from inspect_ai.solver import solver

from glider.integrations.inspect_ai import glider_scorer


@solver
def says(answers):
    """Answers by sample, then by epoch; the mock model would look up a tokenizer elsewhere."""

    async def solve(state, generate):
        answer = answers[(state.sample_id - 1) + (state.epoch - 1)]
        state.output = ModelOutput.from_content("mockllm/model", answer)
        state.messages.append(state.output.message)
        return state

    return solve


def evaluated(answers, tmp_path, scorer, *, samples=None, **more):
    samples = len(answers) if samples is None else samples
    task = Task(
        dataset=[Sample(input="Which level?", target="level 4") for _ in range(samples)],
        solver=says(answers), scorer=scorer,
    )  # fmt: skip
    (log,) = inspect_ai.eval(
        task, model="mockllm/model", log_dir=str(tmp_path), display="none", **more
    )
    assert log.status == "success", log.error
    return log


def by_name(log):
    return {each.name: each for each in log.results.scores}


def test_a_failure_is_no_number_and_coverage_is_counted(asked, tmp_path, shown):
    answers = [text(5), BROKEN, text(2), BROKEN]
    log = evaluated(answers, tmp_path, glider_scorer(["conciseness", "clarity"], JUDGE))
    for name in ("conciseness", "clarity"):
        found = by_name(log)[name]
        assert found.metrics["mean"].value == 3.5
        assert (found.scored_samples, found.unscored_samples) == (2, 2)
    judged, lost = log.samples[0].scores["judge"], log.samples[1].scores["judge"]
    assert math.isnan(lost.value["clarity"]) and lost.reason == "grader_failed"
    assert lost.metadata["clarity"]["code"] == "missing_part"
    assert "not judged: read/missing_part" in lost.explanation
    assert judged.value == {"conciseness": 5.0, "clarity": 5.0}
    shown("failure", "NaN, left out of every metric")
    shown("coverage", "`unscored_samples` of each criterion; `reason` of the sample")


def test_a_sample_of_two_epochs_of_which_one_failed_has_the_others_score(asked, tmp_path):
    log = evaluated(
        [text(4), BROKEN], tmp_path, glider_scorer("clarity", JUDGE), samples=1, epochs=2
    )
    assert by_name(log)["clarity"].metrics["mean"].value == 4.0


def test_spans_have_the_offsets_of_the_answer(asked, tmp_path, shown):
    log = evaluated([text(3)], tmp_path, glider_scorer("clarity", JUDGE))
    record = log.samples[0].scores["judge"].metadata["clarity"]
    assert quoted(record, text(3)) == "level 3"
    assert log.samples[0].scores["judge"].explanation == "It says level 3. [level 3]"
    shown("spans", '`metadata[criterion]["highlights"]`')


def test_32_samples_are_scored_together(gathering, tmp_path, shown):
    answers = [text(1 + n % 5) for n in range(32)]
    log = evaluated(answers, tmp_path, glider_scorer("clarity", gathering), max_samples=32)
    assert by_name(log)["clarity"].scored_samples == 32
    shown("queue", "yes")


def test_a_log_is_scored_again_by_name(asked, tmp_path):
    """As `inspect score log.eval --scorer glider/judge -S criteria=clarity` does."""
    log = evaluated([text(2), text(4)], tmp_path, match())
    again = score(read_eval_log(log.location), glider_scorer("clarity", JUDGE), action="append")
    assert {"match", "clarity"} <= set(by_name(again))
    assert by_name(again)["clarity"].metrics["mean"].value == 3.0

    done = subprocess.run(
        [sys.executable, "-m", "inspect_ai", "score", log.location, "--scorer", "glider/judge",
         "-S", "criteria=clarity,conciseness", "-S", f"judge={JUDGE}", "--action", "append", "--overwrite"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert by_name(read_eval_log(log.location))["conciseness"].metrics["mean"].value == 3.0


def test_it_works_under_trio_too(asked, tmp_path, monkeypatch):
    monkeypatch.setenv("INSPECT_ASYNC_BACKEND", "trio")
    log = evaluated([text(4), BROKEN], tmp_path, glider_scorer("clarity", JUDGE))
    assert by_name(log)["clarity"].metrics["mean"].value == 4.0


def test_the_recipe_runs(recipe, tmp_path, shown):
    log = evaluated(["We open at nine, every day."], tmp_path, match())
    told, lines, seconds = recipe("Inspect", files={"log.eval": Path(log.location).read_bytes()})
    assert "clarity" in told
    shown("recipe", f"{lines} lines, {seconds:.0f} s")
