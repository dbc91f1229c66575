"""For any text at all: it stays inside its tag, and any answer is read rightly or refused."""

import re

from format_cases import CASES, HOSTILE
from hypothesis import example, given, settings
from hypothesis import strategies as st

from glider.core.errors import ReadError
from glider.formats.base import Reading

cases = st.sampled_from(list(CASES.values()))

# One line of what a screen can show: no controls, no line or paragraph separators, no surrogates.
LINES = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=60
).filter(lambda line: line == line.strip())


def is_legal_reasoning(text):
    # A tag of the answer's own inside the reasoning ends it, for models and for us.
    return not re.search(r"</?(?:reasoning|highlight|score|feedback)>", text)


@st.composite
def readings(draw, case):
    scores = case.task("a text").criterion.rubric.scores
    return Reading(
        score=draw(st.sampled_from(scores)),
        reasoning=draw(LINES.filter(is_legal_reasoning)) if case.reasons else None,
        phrases=tuple(draw(st.lists(LINES, max_size=4, unique=True))) if case.phrases else (),
    )


@given(st.data(), cases)
@settings(max_examples=400)
def test_read_gives_back_what_target_wrote(data, case):
    task = case.task("a text")
    said = data.draw(readings(case))
    assert case.format.read(case.format.target(said, task), task) == said


def read_or_refused(case, text):
    task = case.task("a text")
    try:
        found = case.format.read(text, task)
    except ReadError:
        return None
    assert type(found.score) is int
    assert found.score in task.criterion.rubric.scores
    assert all(phrase.strip() for phrase in found.phrases)
    assert len(set(found.phrases)) == len(found.phrases)
    assert found.reasoning is None or found.reasoning.strip()
    return found


PIECES = st.sampled_from(
    [
        *"0123456789-+.٤²{}[]<>\"'`,:\\ \n",
        *(
            "Score: ",
            "Reason: ",
            "Quotes:",
            "Quotes: none",
            "- ",
            "\n",
            "\r\n",
            "[RESULT]",
            " [RESULT] ",
        ),
        *("<score>", "</score>", "<reasoning>", "</reasoning>", "<highlight>", "</highlight>"),
        *(
            "<feedback>",
            "</feedback>",
            '{"reasoning": "',
            '", "highlights": [',
            '], "score": ',
            "}",
        ),
        *(
            "```json\n",
            "\n```",
            "null",
            "true",
            "NaN",
            "1e5",
            "\\ud800",
            "\\u0000",
            "A",
            "B",
            "4",
            "1",
        ),
        *("['", "', '", "']", '["', '", "', '"]', "[{[]: 1}]"),
    ]
)


@given(cases, st.one_of(st.text(), st.lists(PIECES, max_size=30).map("".join)))
@settings(max_examples=1_000)
@example(CASES["nano-score-first"], "Score: 1\nQuotes:\n- \nReason: x")
@example(CASES["glider"], "<highlight>[{[]: 1}]</highlight><score>4</score>")
def test_any_text_is_read_or_refused(case, text):
    read_or_refused(case, text)


@given(st.data(), cases)
@settings(max_examples=600)
def test_a_damaged_answer_is_read_or_refused(data, case):
    answer = case.format.target(data.draw(readings(case)), case.task("a text"))
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(answer))] * 2)))
    read_or_refused(case, answer[:start] + data.draw(st.one_of(PIECES, st.text())) + answer[end:])


@given(cases, st.data())
def test_a_cut_answer_never_gains_another_score(case, data):
    task = case.task("a text")
    score = data.draw(st.sampled_from(task.criterion.rubric.scores))
    reason = "Good, not Score: 3 or [RESULT] or <score>." if case.reasons else None
    answer = case.format.target(Reading(score=score, reasoning=reason), task)
    found = read_or_refused(case, answer[: data.draw(st.integers(0, len(answer)))])
    assert found is None or found.score == score


@given(
    cases, st.lists(st.one_of(st.text(), st.sampled_from(list(HOSTILE.values())[:14])), max_size=6)
)
@settings(max_examples=300)
def test_any_text_stays_inside_its_tag(case, pieces):
    text = "".join(pieces)
    task = case.task(text)
    prompt = "\n".join(message.content for message in case.format.render(task).messages)
    for tag in case.tags:
        assert prompt.count(f"<{tag}>") == prompt.count(f"</{tag}>") == 1
    for name, shown in case.format.shown(task).items():
        assert len(shown) == len(task.sample[name])
        assert shown in prompt
        assert "\x00" not in shown
