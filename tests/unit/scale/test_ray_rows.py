"""Rows for `ray.data.llm`, and its answers as outcomes: no failure becomes a score."""

import json
import math

import pytest

from glider import Criterion, Judge, Sample
from glider.backends.scripted import ScriptedBackend
from glider.core.judgments import outcome_from
from glider.formats import make_format
from glider.scale.ray import from_row, to_row

CRITERION = Criterion(
    name="faithful", question="Is it?", rubric={1: "no", 2: "hardly", 3: "partly", 4: "yes"}
)
ROW = {"id": 7, "context": "The bridge is closed.", "output": "The bridge is open.", "city": "Ulm"}
BARE = make_format("nano", explain=False)


def answered(row, text, tokens=(), **changes):
    """A row as it leaves the processor: token ids, and per token a record of all likely ones."""
    names = {name: number for number, name in enumerate(sorted({t for _, d in tokens for t in d}))}
    return row | {
        "generated_text": text,
        "generated_tokens": [names[chosen] for chosen, _ in tokens],
        "num_generated_tokens": len(tokens) or 5,
        "num_input_tokens": 90,
        "logprobs": [
            {str(names[name]): {"logprob": p, "rank": 1, "decoded_token": name} for name, p in d.items()}
            | {"99": None}
            for _, d in tokens
        ],
        "__inference_error__": "",
    } | changes  # fmt: skip


def test_a_row_is_asked_as_glider_asks():
    row = to_row(ROW, criterion=CRITERION)
    backend = ScriptedBackend(["Score: 4"])
    judge = Judge(backend)
    list(judge.judge_many([(Sample.of(ROW["output"], context=ROW["context"]), CRITERION)]))
    (request,) = backend.requests
    asked = [{"role": m.role, "content": m.content} for m in request.messages]
    assert row["messages"] == [*asked, {"role": "assistant", "content": request.opening}]
    assert row["sampling_params"]["structured_outputs"] == {
        "grammar": "%llguidance {}\n" + request.grammar.lark
    }
    assert row["sampling_params"]["max_tokens"] == request.decoding.max_tokens
    assert set(row) == {"messages", "sampling_params", "glider"}


def test_an_answer_becomes_the_record_of_a_journal():
    spread = {"1": math.log(0.5), "2": math.log(0.2), "4": math.log(0.2), " the": math.log(0.1)}
    row = answered(to_row(ROW, criterion=CRITERION, format=BARE), "1", [("1", spread)])
    found = from_row(row, criterion=CRITERION, judge="vllm/x", format=BARE)
    outcome = outcome_from(json.loads(found["outcome"]))
    assert (found["id"], found["kind"], found["score"], found["code"]) == ("7", "judgment", 1, None)
    assert outcome.mass == pytest.approx(0.9)
    assert outcome.score_probs == pytest.approx({1: 5 / 9, 2: 2 / 9, 3: 0.0, 4: 2 / 9})
    assert outcome.judge == "vllm/x nano/score-first/criterion-first/bare"
    assert outcome.usage.prompt_tokens == 90


def test_a_bare_score_is_asked_without_a_grammar_and_read_from_probabilities():
    spread = {"The": math.log(0.6), "2": math.log(0.3), "4": math.log(0.1)}
    row = to_row(ROW, criterion=CRITERION, format=BARE)
    assert "structured_outputs" not in row["sampling_params"]
    found = from_row(
        answered(row, "The", [("The", spread)]), criterion=CRITERION, judge="vllm/x", format=BARE
    )
    assert found["score"] == 2
    assert json.loads(found["outcome"])["mass"] == pytest.approx(0.4)


def test_probabilities_under_a_grammar_have_no_mass():
    spread = {"3": math.log(0.7), "4": math.log(0.3)}
    text = "3\nQuotes:\n- The bridge is open.\nReason: It is closed."
    row = answered(to_row(ROW, criterion=CRITERION), text, [("3", spread)])
    outcome = json.loads(from_row(row, criterion=CRITERION, judge="vllm/x")["outcome"])
    assert outcome["score"] == 3
    assert outcome["score_probs"]["3"] == pytest.approx(0.7)
    assert outcome["mass"] is None
    assert outcome["highlights"][0]["match"] == "exact"


def test_without_logprobs_there_is_no_distribution():
    row = answered(to_row(ROW, criterion=CRITERION, format=BARE), "3", logprobs=None)
    found = from_row(row, criterion=CRITERION, judge="vllm/x", format=BARE)
    assert (found["score"], found["expected"]) == (3, None)
    assert json.loads(found["outcome"])["score_probs"] is None


@pytest.mark.parametrize(
    ("source", "changes", "failure"),
    [
        (ROW, {"__inference_error__": "EngineDeadError: gone"}, ("generate", "backend", True)),
        (ROW, {"generated_text": "9"}, ("read", "score_outside_rubric", False)),
        (ROW, {"generated_text": ""}, ("read", "missing_part", False)),
        (ROW, {"num_generated_tokens": 10_000}, ("read", "truncated", False)),
        ({"id": 7, "context": "no output"}, {}, ("load", "bad_record", False)),
        ({"output": 3}, {}, ("load", "bad_record", False)),
    ],
)  # fmt: skip
def test_what_went_wrong_is_a_failure_of_its_kind(source, changes, failure):
    row = answered(to_row(source, criterion=CRITERION), "", **changes)
    found = from_row(row, criterion=CRITERION, judge="vllm/x")
    outcome = outcome_from(json.loads(found["outcome"]))
    assert (outcome.stage, outcome.code, outcome.retryable) == failure
    assert (found["kind"], found["score"], found["code"]) == ("failure", None, failure[1])


def test_a_row_without_what_the_criterion_needs_is_asked_nothing_and_fails():
    needs = Criterion(name="c", question="Does {context} hold?", rubric={0: "no", 1: "yes"})
    row = to_row({"output": "x"}, criterion=needs)
    assert row["sampling_params"] == {"max_tokens": 1}
    found = from_row(answered(row, "a"), criterion=needs, judge="vllm/x")
    assert (found["kind"], found["code"]) == ("failure", "missing_field")


def test_an_answer_as_long_as_was_asked_for_is_cut_off():
    row = to_row(ROW, criterion=CRITERION, max_tokens=5)
    found = from_row(
        answered(row, "4\nReason: be", num_generated_tokens=5), criterion=CRITERION, judge="vllm/x"
    )
    assert found["code"] == "truncated"
