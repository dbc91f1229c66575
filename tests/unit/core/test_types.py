"""Samples, rubrics, criteria, tasks, outcomes: what they take, refuse and promise."""

import pytest
from pydantic import ValidationError

from glider import Criterion, Failure, JudgeTask, Judgment, Rubric, Sample
from glider.core.criteria import LiteralCriterion, as_text, merged, pairwise
from glider.core.errors import (
    MissingField,
    PromptTooLong,
    RubricError,
    Truncated,
    Unavailable,
    UnknownName,
)
from glider.core.judgments import JudgmentFailed, outcome_from

YES_NO = {0: "no", 1: "yes"}


@pytest.mark.parametrize(
    ("levels", "problem"),
    [
        ({1: "only"}, "2 to 11 levels, this one has 1"),
        ({n: "x" for n in range(12)}, "2 to 11 levels, this one has 12"),
        ({2: "b", 1: "a"}, r"levels must rise; got \[2, 1\]"),
        ({"1": "a", 1: "b"}, "level 1 is there twice"),
        ({"one": "a", 2: "b"}, "level 'one' is not a whole number"),
        ({1.5: "a", 2: "b"}, "level 1.5 is not a whole number"),
        ({1: "", 2: "b"}, "level 1 has no description"),
        ("1 to 5", "a rubric maps scores to descriptions"),
    ],
)
def test_a_rubric_that_cannot_be_used_says_why(levels, problem):
    with pytest.raises(RubricError, match=problem):
        Rubric.model_validate(levels)


@pytest.mark.parametrize(
    ("levels", "score", "normalized"),
    [(YES_NO, 1, 1.0), ({1: "a", 2: "b", 5: "c"}, 2, 0.25), ({-2: "a", 2: "b"}, 0, 0.5)],
)
def test_any_scale_maps_onto_0_to_1(levels, score, normalized):
    assert Rubric.model_validate(levels).normalize(score) == normalized


def test_a_rubric_survives_json():
    rubric = Rubric.model_validate({1: "a", 10: "b"})
    assert Rubric.model_validate_json(rubric.model_dump_json()) == rubric
    assert rubric.scores == (1, 10)


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (lambda: Sample.of(input="only a question"), "at least one field with the role 'judged'"),
        (lambda: Sample.of("a", OUTPUT="b"), "must differ"),
        (lambda: Sample.of("a", **{"<x>": "b"}), "must start with a letter"),
        (lambda: Sample.of("a", **{"x" * 65: "b"}), "at most 64"),
    ],
)
def test_a_sample_that_cannot_be_judged_says_why(build, problem):
    with pytest.raises(ValidationError, match=problem):
        build()


def test_ids_follow_content_not_names_or_order_of_making():
    one, other = Sample.of("text", id="a"), Sample.of("text", id="b")
    criterion = Criterion(name="c", question="q?", rubric=YES_NO)
    assert JudgeTask(one, criterion).id == JudgeTask(other, criterion).id
    changed = Criterion(name="c", question="q!", rubric=YES_NO)
    assert JudgeTask(one, criterion).id != JudgeTask(one, changed).id
    # Stored journals rely on this never changing.
    assert JudgeTask(one, criterion).id == "e43410113fa354c8"


def test_a_question_names_fields_and_a_missing_one_is_an_error():
    criterion = Criterion(
        name="faithful", question="Is the {output} in the {context}? {}", rubric=YES_NO
    )
    sample = Sample.of("text", context="source")
    labels = {"output": "OUT", "context": "CTX"}
    assert criterion.question_for(sample, labels) == "Is the OUT in the CTX? {}"
    with pytest.raises(MissingField, match="needs the field 'context'; the sample has output"):
        criterion.question_for(Sample.of("text"), {"output": "OUT"})


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("Does {output} fit {persona}?", "Does OUT fit PER?"),
        ("Does {{output}} fit {{ persona }}?", "Does OUT fit PER?"),
        ("Is {output} as in {style guide}?", "Is OUT as in STY?"),
        ('Is it like {"a": 1} or { a }, {}?', 'Is it like {"a": 1} or { a }, {}?'),
        (r"Is $6^{n-1}$ a $\frac{a}{b}$?", r"Is $6^{n-1}$ a $\frac{a}{b}$?"),
        ("Does it answer {question}?", "'question'; the sample has persona, style guide, output"),
        ("Is {ouput} good?", "braces in a question name a field"),
        ("Is {Output} good?", "needs the field 'Output'"),
    ],
)
def test_braces_name_a_field_or_the_question_is_refused(question, asked):
    criterion = Criterion(name="c", question=question, rubric=YES_NO)
    sample = Sample.of("text", persona="p", **{"style guide": "s"})
    labels = {"output": "OUT", "persona": "PER", "style guide": "STY"}
    if asked.endswith("?"):
        assert criterion.question_for(sample, labels) == asked
    else:
        with pytest.raises(MissingField) as caught:
            criterion.question_for(sample, labels)
        assert asked in str(caught.value)
    written = Criterion(name="c", question=as_text(question), rubric=YES_NO)
    assert "OUT" in written.question_for(sample, labels) or "output" not in question
    literal = LiteralCriterion(name="c", question=question, rubric=YES_NO)
    assert literal.question_for(sample, labels) == question


def test_pairwise_and_merged_criteria_keep_the_question():
    criterion = Criterion(name="c", question="Is the {output} short?", rubric=YES_NO)
    assert pairwise(criterion).rubric.scores == (0, 1)
    assert "Is the {output} short?" in pairwise(criterion).question
    both = merged("both", (criterion, criterion), Rubric.model_validate({1: "a", 2: "b"}))
    assert both.question.count("Is the {output} short?") == 2


@pytest.mark.parametrize(
    ("error", "stage", "code", "retryable"),
    [
        (MissingField("c", "context", ["output"]), "prepare", "missing_field", False),
        (PromptTooLong(9001, 4096), "prepare", "prompt_too_long", False),
        (Unavailable("gone"), "generate", "unavailable", True),
        (Truncated("cut", raw_text="Score: "), "read", "truncated", False),
    ],
)
def test_a_failure_keeps_stage_code_and_text(error, stage, code, retryable):
    task = JudgeTask(Sample.of("text", id="s1"), Criterion(name="c", question="q", rubric=YES_NO))
    failure = Failure.of(error, task, judge="j")
    assert (failure.stage, failure.code, failure.retryable) == (stage, code, retryable)
    assert failure.sample_id == "s1"
    assert outcome_from(failure.model_dump(mode="json")) == failure
    with pytest.raises(JudgmentFailed, match=f"{stage}/{code}"):
        failure.or_raise()


@pytest.mark.parametrize(
    ("probs", "doubt"),
    [({1: 1.0, 2: 0.0}, 0.0), ({1: 0.5, 2: 0.5}, 1.0), ({1: 0.25, 2: 0.25, 3: 0.25, 4: 0.25}, 1.0)],
)
def test_doubt_is_entropy_from_0_to_1(probs, doubt):
    judgment = Judgment(
        task_id="t", sample_id="s", criterion="c", judge="j", score=1, normalized=0.0,
        score_probs=probs,
    )  # fmt: skip
    assert judgment.doubt == pytest.approx(doubt)
    assert outcome_from(judgment.model_dump(mode="json")) == judgment


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "helpful",
            "no criterion called 'helpful'; did you mean 'helpfulness'? Known: helpfulness",
        ),
        ("zzzz", "no criterion called 'zzzz'; known: helpfulness"),
    ],
)
def test_an_unknown_name_is_told_what_is_known(name, message):
    assert UnknownName("criterion", name, ["helpfulness"]).message == message


@pytest.mark.parametrize(
    ("levels", "told"),
    [
        ({1: "It is bad.", 2: "It is good."}, True),
        ({1: "bad", 3: "good", 5: "the first to be chosen"}, True),
        ({0: "Output 1 is correct.", 1: "Both outputs are correct."}, True),
        # These say which output is better, not how good one can be.
        ({0: "output 1 is better", 1: "output 2 is better"}, False),
        ({0: "The first output is better", 1: "The second output is better."}, False),
        ({0: "The first is better than the second.", 1: "The second is better than the first."}, False),
        ({1: "Response A", 2: "Response B"}, False),
    ],
)  # fmt: skip
def test_two_outputs_are_told_the_best_level_unless_levels_compare_outputs(levels, told):
    asked = pairwise(Criterion(name="c", question="Which is it?", rubric=levels))
    assert ("The best an output can be" in asked.question) is told
    assert asked.question.partition(" The best")[0].endswith("Which is it?")
    assert dict(asked.rubric.levels) == {
        0: "the first output is better", 1: "the second output is better",
    }  # fmt: skip
