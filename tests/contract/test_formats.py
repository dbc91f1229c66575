"""One suite, every format and option: what is asked stays whole, what is answered is read or refused."""

import re
import time

import pytest
from format_cases import CASES, FLUENT, HELPFUL, HOSTILE

from glider.core.criteria import Criterion, Rubric, pairwise
from glider.core.errors import MissingField, RubricError, SetupError, TaskError, UnknownName
from glider.core.samples import Field, Sample
from glider.core.tasks import JudgeTask
from glider.formats import FORMATS, make_format
from glider.formats.base import Reading

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_text = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)

# Tags that a prompt spells or an answer is read from, beside those of the fields.
OWN_TAGS = {
    "flow-judge": (
        "inputs",
        "output",
        "evaluation_criteria",
        "scoring_rubric",
        "feedback",
        "score",
    ),
    "glider": ("reasoning", "highlight", "score"),
}
OWN_HEADINGS = {"prometheus": r"|###\s*[a-z]+|\[RESULT\]"}
CONTROL_TOKENS = (
    r"<[|｜][^<>\n]*[|｜]>|</?s>|<(?:start|end)_of_turn>|<</?SYS>>|\[/?INST\]"
    "|[\x00-\x08\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)


def structure(case, prompt):
    """Whatever could pass for a tag or heading of this case's prompt, in order."""
    tags = (*case.tags, *OWN_TAGS.get(case.format.name, ()))
    names = "|".join(re.sub("[ _]", r"[\\s_]+", tag) for tag in tags) or "-"
    headings = OWN_HEADINGS.get(case.format.name, "")
    look_alike = rf"<\s*(?:/\s*)?(?:{names})\s*(?:/\s*)?>{headings}"
    return re.findall(look_alike, prompt, re.IGNORECASE)


def content(case, text):
    return "\n".join(m.content for m in case.format.render(case.task(text)).messages)


def test_every_built_in_format_is_in_the_table():
    assert {case.format.name for case in CASES.values()} == set(FORMATS.names())


@every_case
@every_text
def test_hostile_text_stays_inside_its_tag(case, text):
    hostile, harmless = content(case, text), content(case, "harmless")
    assert structure(case, hostile) == structure(case, harmless)
    for tag in case.tags:
        assert hostile.count(f"<{tag}>") == hostile.count(f"</{tag}>") == 1
    assert not re.search(CONTROL_TOKENS, hostile)


@every_case
@every_text
def test_shown_text_is_the_prompt_s_own_and_keeps_every_place(case, text):
    task = case.task(text)
    shown = case.format.shown(task)
    assert list(shown) == [field.name for field in task.sample.fields]
    prompt = content(case, text)
    for field in task.sample.fields:
        assert shown[field.name] in prompt
        assert len(shown[field.name]) == len(field.text)
        changed = {b for a, b in zip(field.text, shown[field.name], strict=True) if a != b}
        assert changed <= set("‹⁅＃\ufffd")


@every_case
def test_harmless_text_is_shown_as_it_is(case):
    text = "Plain words, a < b, [1], # heading, {braces} and\ttabs\r\n“quotes” 👍🏽 猫"
    assert set(case.format.shown(case.task(text)).values()) == {text}


@every_case
def test_the_same_task_gives_the_same_prompt(case):
    assert case.format.render(case.task("a text")) == case.format.render(case.task("a text"))


@every_case
@pytest.mark.parametrize("name", [name for name in HOSTILE if name.startswith("100 kB")])
def test_rendering_is_fast(case, name):
    task = case.task(HOSTILE[name])
    case.format.render(task)
    seconds = []
    for _ in range(5):
        start = time.thread_time()
        case.format.render(task)
        seconds.append(time.thread_time() - start)
    # Processor time and the best of five, since the machine may have other work; a pattern that
    # costs the square of the text takes minutes.
    assert min(seconds) < 0.05 * len(task.sample.fields)


READINGS = {
    "plain": Reading(score=1, reasoning="Good, but short.", phrases=("the cat", "sat")),
    "one phrase": Reading(score=1, reasoning="- a\n- b\n\nc", phrases=("- a listed thing",)),
    "nothing quoted": Reading(score=1, reasoning="Nothing to say."),
    "marks": Reading(
        score=1,
        reasoning='It\'s "so" \\ {x} [1] <b> “y” \\n 50% `z`.',
        phrases=('it\'s "so"', "a, b", "[x]", "1. first", "* star", "{}", "\\n", "1) x", "a 'b"),
    ),
    "scripts": Reading(score=1, reasoning="猫 👩‍👩‍👧‍👦 שלום", phrases=("İstanbul ß ﬁ", "猫坐在")),
    "a score inside": Reading(
        score=1,
        reasoning="At first I thought Score: 3, then <score>2</score> or [RESULT] 4.",
        phrases=("Score: 3", "Reason: none", "Quotes:"),
    ),
}


@every_case
@pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS)
def test_read_gives_back_what_target_wrote(case, reading):
    task = case.task("a text")
    for score in task.criterion.rubric.scores:
        said = Reading(
            score=score,
            reasoning=reading.reasoning if case.reasons else None,
            phrases=reading.phrases if case.phrases else (),
        )
        assert case.format.read(case.format.target(said, task), task) == said


@every_case
def test_the_target_begins_with_the_opening(case):
    task = case.task("a text")
    prompt = case.format.render(task)
    assert case.format.target(READINGS["plain"], task).startswith(prompt.opening)


@every_case
def test_labels_stand_where_the_target_has_its_score(case):
    task = case.task("a text")
    prompt = case.format.render(task)
    labels = prompt.labels
    if labels is None:
        assert case.format.name == "chat-json"
        return
    for label, score in zip(labels.texts, task.criterion.rubric.scores, strict=True):
        said = Reading(
            score=score, reasoning="Score: 1 <score>\n1 [RESULT] 1", phrases=("Score: 1",)
        )
        answer = case.format.target(said, task)
        # Right behind the opening that leads up to it, else behind the last `after`: an answer
        # that quotes "Score: 1" must not have its probabilities read there.
        at_once = prompt.opening.endswith(labels.after)
        rest = answer[len(prompt.opening) :] if at_once else answer.rpartition(labels.after)[2]
        assert re.match(rf" ?{label}\b", rest)


@every_case
def test_the_answer_s_end_is_told(case):
    prompt = case.format.render(case.task("a text"))
    assert prompt.whole_at_limit == (not case.reasons)
    if prompt.whole_at_limit:
        assert prompt.max_tokens == 1


@every_case
def test_a_missing_field_is_refused(case):
    criterion = Criterion(
        name="grounded",
        question="Does the {output} rest on the {reference}?",
        rubric=HELPFUL.rubric,
    )
    outputs = [field.text for field in case.task("a text").sample.judged]
    sample = Sample.of(outputs=outputs, input="a question")
    asked = pairwise(criterion) if len(outputs) == 2 else criterion
    with pytest.raises(MissingField) as caught:
        case.format.render(JudgeTask(sample, asked))
    assert caught.value.field == "reference"


# ---- what single formats refuse or promise


def rubric(*scores):
    return Rubric(levels={score: f"level {score}" for score in scores})


@pytest.mark.parametrize(
    ("scores", "outputs", "error"),
    [
        ((1, 2, 3, 4, 5), 1, None),
        ((1, 2, 3), 1, RubricError),
        ((0, 1, 2, 3, 4), 1, RubricError),
        ((1, 2, 3, 4, 5, 6), 1, RubricError),
        ((0, 1), 1, RubricError),
        ((0, 1), 2, RubricError),  # 0 and 1 with other words than the pairwise ones
        ((1, 2, 3, 4, 5), 2, TaskError),
        ((1, 2, 3, 4, 5), 3, TaskError),
    ],
)
def test_prometheus_scores_1_to_5_only(scores, outputs, error):
    criterion = Criterion(name="c", question="Good?", rubric=rubric(*scores))
    task = JudgeTask(Sample.of(outputs=["a text"] * outputs, input="x"), criterion)
    if error is None:
        assert "Score 5: level 5" in make_format("prometheus").render(task).messages[0].content
    else:
        with pytest.raises(error):
            make_format("prometheus").render(task)


@pytest.mark.parametrize("outputs", [1, 3])
def test_prometheus_compares_two(outputs):
    task = JudgeTask(Sample.of(outputs=["a text"] * outputs, input="x"), pairwise(FLUENT))
    with pytest.raises(TaskError):
        make_format("prometheus").render(task)


def test_prometheus_needs_an_instruction():
    with pytest.raises(MissingField):
        make_format("prometheus").render(
            JudgeTask(Sample.of("a text", reference="another"), HELPFUL)
        )


@pytest.mark.parametrize(
    ("fields", "tags"),
    [
        # Two fields of one role, and a name that the format itself uses.
        (
            [("question", "input"), ("system", "input"), ("output", "judged")],
            "query query_2 response",
        ),
        ([("response", "other"), ("output", "judged")], "response response_2"),
        ([("a b", "other"), ("a_b", "other"), ("Score", "judged")], "a_b a_b_2 score_2"),
    ],
)
def test_no_two_fields_share_a_tag(fields, tags):
    sample = Sample(id="x", fields=[Field(name=n, text="t", role=role) for n, role in fields])
    prompt = make_format("flow-judge").render(JudgeTask(sample, FLUENT)).messages[0].content
    for tag in tags.split():
        assert prompt.count(f"<{tag}>\nt\n</{tag}>") == 1


def test_glider_numbers_a_label_used_before():
    fields = [("doc 1", "context"), ("doc 2", "context"), ("output", "judged")]
    sample = Sample(id="x", fields=[Field(name=n, text="t", role=role) for n, role in fields])
    prompt = make_format("glider").render(JudgeTask(sample, FLUENT)).messages[0].content
    assert "<CONTEXT>\nt\n</CONTEXT>\n\n<CONTEXT 2>\nt\n</CONTEXT 2>" in prompt


def test_ids_tell_the_options_apart():
    ids = [case.format.id for case in CASES.values() if case.format.name == "nano"]
    assert set(ids) == {
        "nano/score-first/criterion-first",
        "nano/score-first/sample-first",
        "nano/score-first/criterion-first/bare",
        "nano/score-first/sample-first/bare",
        "nano/reason-first/criterion-first",
        "nano/reason-first/sample-first",
    }


@pytest.mark.parametrize(
    "options",
    [{"order": "random"}, {"layout": "sideways"}, {"order": "reason-first", "explain": False}],
)
def test_nano_refuses_options_that_mean_nothing(options):
    with pytest.raises(SetupError):
        make_format("nano", **options)


def test_an_unknown_format_is_named_with_its_neighbours():
    with pytest.raises(UnknownName) as caught:
        make_format("promethus")
    assert caught.value.near == ("prometheus",)
