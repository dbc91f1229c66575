"""Prompts byte for byte, and real-looking answers, good and broken, with the outcome of each.

After a change that is meant, write the prompts anew and read the difference in review:

    python tests/unit/formats/test_golden.py

(with `src` and `tests` on PYTHONPATH). The answers are files, tests/golden/answers/<case>/<name>.txt.
"""

from pathlib import Path

import pytest
from format_cases import BOTH, CASES, FAITHFUL, FLUENT, HELPFUL

from glider.core.criteria import pairwise
from glider.core.errors import MissingPart, ReadError
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask

GOLDEN = Path(__file__).resolve().parents[2] / "golden"

OUTPUT = "Boil it for {time} minutes.\n\nThen rinse it — cold water, “at once”."
QUESTION = "How long does rice take?"
CONTEXT = "White rice: 12 minutes.\nBrown rice: 30 minutes."
REFERENCE = "12 minutes."
POINT = JudgeTask(Sample.of(OUTPUT, input=QUESTION), HELPFUL)
FULL = Sample.of(OUTPUT, input=QUESTION, context=CONTEXT, reference=REFERENCE)
PAIR = Sample.of(outputs=[OUTPUT, "It depends."], input=QUESTION)
PAIR_WITH_REFERENCE = Sample.of(
    outputs=[OUTPUT, "It depends."], input=QUESTION, reference=REFERENCE
)
TASKS = {
    "nano-score-first": POINT,
    "nano-score-first-sample-first": POINT,
    "nano-bare": POINT,
    "nano-bare-sample-first": POINT,
    "nano-reason-first": POINT,
    "nano-reason-first-sample-first": POINT,
    "nano-pairwise": JudgeTask(PAIR, pairwise(HELPFUL)),
    "nano-long-scores": JudgeTask(Sample.of(OUTPUT, context=CONTEXT), FAITHFUL),
    "glider": POINT,
    "glider-pairwise": JudgeTask(PAIR, pairwise(HELPFUL)),
    "glider-merged": JudgeTask(FULL, BOTH),
    "prometheus-absolute": POINT,
    "prometheus-absolute-reference": JudgeTask(FULL, HELPFUL),
    "prometheus-relative": JudgeTask(PAIR, pairwise(HELPFUL)),
    "prometheus-relative-reference": JudgeTask(PAIR_WITH_REFERENCE, pairwise(HELPFUL)),
    "flow-judge": JudgeTask(FULL, HELPFUL),
    "flow-judge-without-inputs": JudgeTask(Sample.of(OUTPUT), FLUENT),
    "chat-json": POINT,
    "chat-json-pairwise": JudgeTask(PAIR, pairwise(HELPFUL)),
}


def written(name):
    """A prompt as bytes, each turn under a line with its role."""
    prompt = CASES[name].format.render(TASKS[name])
    turns = [(message.role, message.content) for message in prompt.messages]
    if prompt.opening:
        turns.append(("opening", prompt.opening))
    return "".join(f"=== {role}\n{text}\n" for role, text in turns).encode()


def test_there_is_a_prompt_for_every_case():
    assert set(TASKS) == set(CASES)
    assert {path.stem for path in (GOLDEN / "prompts").glob("*.txt")} == set(CASES)


@pytest.mark.parametrize("name", TASKS)
def test_prompt(name):
    assert written(name) == (GOLDEN / "prompts" / f"{name}.txt").read_bytes()


def test_the_glider_prompt_keeps_the_slips_it_was_trained_on():
    (message,) = CASES["glider"].format.render(POINT).messages
    assert message.role == "user"
    lines = message.content.split("\n")
    assert lines[0].startswith("Analyze the following pass criteria carefully and score the text ")
    assert "Your output must in the following format:" in lines
    assert lines[8] == (
        "5. Write a detailed reasoning justifying your evaluation in a bullet point format. "
    )
    assert [line for line in lines if line != line.rstrip()] == [lines[8]]
    assert lines[-1] == "</score>"
    parts = ["Data to evaluate:", "Pass Criteria:", "Rubric:", lines[-10]]
    assert lines[-10].startswith("Your output")
    places = [lines.index(part) for part in parts]
    assert places == sorted(places)
    assert all(lines[place - 1] == "" for place in places)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("prometheus")])
def test_the_prometheus_prompt_ends_in_a_space_and_opens_with_the_system_sentence(name):
    (message,) = CASES[name].format.render(TASKS[name]).messages
    assert message.role == "user"
    assert message.content.startswith("You are a fair judge assistant ")
    assert message.content.endswith("\n\n###Feedback: ")
    assert "assess the quality of " in message.content
    assert "a score rubric representing a evaluation criteria are given." in message.content


def test_the_flow_judge_prompt_keeps_the_slip_it_was_trained_on():
    (message,) = CASES["flow-judge"].format.render(TASKS["flow-judge"]).messages
    assert message.role == "user"
    assert "For each criterion,decide which description best matches the output." in message.content
    assert "<output>\n<response>\n" in message.content


# ---- answers

ANSWERS = [
    ("nano-score-first", "good", "4"),
    ("nano-score-first", "good-no-quotes", "2"),
    ("nano-score-first", "good-reason-before-quotes", "4"),
    ("nano-score-first", "reason-names-another-score", "4"),
    ("nano-score-first", "reason-on-two-lines", "4"),
    ("nano-score-first", "two-scores", "unreadable"),
    ("nano-score-first", "score-line-in-the-reason", "unreadable"),
    ("nano-score-first", "decimal", "score_outside_rubric"),
    ("nano-score-first", "out-of-five", "score_outside_rubric"),
    ("nano-score-first", "outside", "score_outside_rubric"),
    ("nano-score-first", "arabic-indic-digit", "score_outside_rubric"),
    ("nano-score-first", "in-words", "missing_part:score"),
    ("nano-score-first", "chatty", "missing_part:score"),
    ("nano-score-first", "truncated", "missing_part:reasoning"),
    ("nano-score-first", "empty", "missing_part:score"),
    ("nano-bare", "good", "4"),
    ("nano-bare", "more-than-a-score", "missing_part:score"),
    ("nano-bare", "no-score", "missing_part:score"),
    ("nano-bare", "outside", "score_outside_rubric"),
    ("nano-reason-first", "good", "2"),
    ("nano-reason-first", "good-no-quotes", "2"),
    ("nano-reason-first", "good-no-quotes-part", "2"),
    ("nano-reason-first", "reason-names-another-score", "2"),
    ("nano-reason-first", "quote-names-another-score", "2"),
    ("nano-reason-first", "two-scores", "unreadable"),
    ("nano-reason-first", "score-line-in-the-reason", "unreadable"),
    ("nano-reason-first", "text-after-the-score", "missing_part:score"),
    ("nano-reason-first", "truncated", "missing_part:score"),
    ("nano-reason-first", "no-reason", "missing_part:reasoning"),
    ("glider", "good", "4"),
    ("glider", "good-python-list", "4"),
    ("glider", "good-json-list", "4"),
    ("glider", "good-no-highlights", "1"),
    ("glider", "two-scores", "2"),  # the last one is the answer
    ("glider", "text-around", "3"),
    ("glider", "missing-opening-tag", "missing_part:score"),
    ("glider", "missing-closing-tag", "missing_part:score"),
    ("glider", "decimal", "score_outside_rubric"),
    ("glider", "arabic-indic-digit", "score_outside_rubric"),
    ("glider", "unfilled-template", "missing_part:score"),
    ("glider", "truncated", "missing_part:score"),
    ("glider", "empty", "missing_part:score"),
    ("glider", "empty-score", "missing_part:score"),
    ("prometheus-absolute", "good", "3"),
    ("prometheus-absolute", "two-results", "2"),  # the last one is the answer
    ("prometheus-absolute", "score-only", "5"),
    ("prometheus-absolute", "out-of-five", "score_outside_rubric"),
    ("prometheus-absolute", "decimal", "score_outside_rubric"),
    ("prometheus-absolute", "outside", "score_outside_rubric"),
    ("prometheus-absolute", "arabic-indic-digit", "score_outside_rubric"),
    ("prometheus-absolute", "letter", "missing_part:score"),
    ("prometheus-absolute", "other-marker", "missing_part:score"),
    ("prometheus-absolute", "truncated", "missing_part:score"),
    ("prometheus-absolute", "empty", "missing_part:score"),
    ("prometheus-relative", "first", "0"),
    ("prometheus-relative", "second", "1"),
    ("prometheus-relative", "neither", "score_outside_rubric"),
    ("prometheus-relative", "in-words", "score_outside_rubric"),
    ("prometheus-relative", "number", "score_outside_rubric"),
    ("prometheus-relative", "truncated", "missing_part:score"),
    ("flow-judge", "good", "5"),
    ("flow-judge", "good-on-one-line", "5"),
    ("flow-judge", "two-scores", "2"),  # the last one is the answer
    ("flow-judge", "missing-opening-tag", "missing_part:score"),
    ("flow-judge", "decimal", "score_outside_rubric"),
    ("flow-judge", "truncated", "missing_part:score"),
    ("chat-json", "good", "4"),
    ("chat-json", "good-on-many-lines", "4"),
    ("chat-json", "good-in-a-fence", "4"),
    ("chat-json", "good-other-order", "4"),
    ("chat-json", "half-a-surrogate-pair", "4"),
    ("chat-json", "float", "4"),
    ("chat-json", "string", "4"),
    ("chat-json", "line-break-in-a-string", "4"),
    ("chat-json", "text-with-braces-before", "4"),
    ("chat-json", "fence-in-capitals", "4"),
    ("chat-json", "text-and-fence", "4"),
    ("chat-json", "out-of-five", "score_outside_rubric"),
    ("chat-json", "half-a-point", "score_outside_rubric"),
    ("chat-json", "in-an-envelope", "missing_part:reasoning"),
    ("chat-json", "boolean", "score_outside_rubric"),
    ("chat-json", "outside", "score_outside_rubric"),
    ("chat-json", "null", "missing_part:score"),
    ("chat-json", "no-score", "missing_part:score"),
    ("chat-json", "no-reasoning", "missing_part:reasoning"),
    ("chat-json", "reasoning-is-a-list", "missing_part:reasoning"),
    ("chat-json", "highlights-are-a-string", "4"),
    ("chat-json", "highlights-of-numbers", "missing_part:highlights"),
    ("chat-json", "nan", "missing_part:json"),
    ("chat-json", "two-scores", "missing_part:json"),
    ("chat-json", "one-key-more", "4"),
    ("chat-json", "two-objects", "missing_part:json"),
    ("chat-json", "text-before", "4"),
    ("chat-json", "single-quotes", "missing_part:json"),
    ("chat-json", "arabic-indic-digit", "missing_part:json"),
    ("chat-json", "list", "4"),
    ("chat-json", "truncated", "missing_part:json"),
    ("chat-json", "empty", "missing_part:json"),
]


def read(name, text):
    return CASES[name].format.read(text, TASKS[name])


def answer(name, file):
    return (GOLDEN / "answers" / name / f"{file}.txt").read_bytes().decode()


def outcome(name, text):
    """The score as text, or the error's code, with the part that is missing."""
    try:
        return str(read(name, text).score)
    except ReadError as error:
        part = f":{error.part}" if isinstance(error, MissingPart) else ""
        return error.code + part if error.raw_text == text else "another text"


@pytest.mark.parametrize(("name", "file", "expected"), ANSWERS)
def test_answer(name, file, expected):
    assert outcome(name, answer(name, file)) == expected


def test_every_answer_is_in_the_table():
    files = {(path.parent.name, path.stem) for path in (GOLDEN / "answers").glob("*/*.txt")}
    assert files == {(name, file) for name, file, _ in ANSWERS}


@pytest.mark.parametrize(
    ("name", "file", "reasoning", "phrases"),
    [
        ("nano-score-first", "good", "It answers, but gives no time.", ["Boil it", "rinse it"]),
        ("nano-score-first", "good-no-quotes", "Nothing in it helps.", []),
        ("nano-score-first", "good-reason-before-quotes", "It answers.", ["Boil it"]),
        ("nano-score-first", "reason-on-two-lines", "It answers.\nBut it is short.", ["Boil it"]),
        (
            "nano-score-first",
            "reason-names-another-score",
            "At first sight Score: 3, then better.",
            ["Boil it", "Score: 5"],
        ),
        ("nano-reason-first", "good", "It gives no time.", ["Boil it"]),
        ("nano-reason-first", "good-no-quotes-part", "It gives no time.", []),
        ("nano-reason-first", "reason-names-another-score", "Hardly Score: 3.", ["Boil it"]),
        ("nano-reason-first", "quote-names-another-score", "It begs.", ["Score: 5", "Boil it"]),
        ("glider", "good", "- It answers.\n- It is short.", ["Boil it", "rinse it"]),
        ("glider", "good-python-list", "- It answers.", ["it's cold", 'a "b"', "c, d", "back\\n"]),
        ("glider", "good-json-list", "- It answers.", ["Boil it", "“at once”", "👍"]),
        ("glider", "good-no-highlights", "- No help.", []),
        ("glider", "text-around", "- Some help.", ["Boil it"]),
        ("prometheus-absolute", "good", "It answers, but gives no time.", []),
        ("prometheus-absolute", "two-results", "It says [RESULT] 5, which it is not.", []),
        ("prometheus-absolute", "score-only", None, []),
        ("prometheus-relative", "second", "B gives a reason.", []),
        ("flow-judge", "good", "It answers, in order.", []),
        ("flow-judge", "good-on-one-line", "It answers.", []),
        ("chat-json", "good", "It answers, but gives no time.", ["Boil it", "rinse it"]),
        ("chat-json", "good-in-a-fence", "It answers.", []),
        ("chat-json", "half-a-surrogate-pair", "It \ufffd answers 👍.", ["a\ufffd"]),
    ],
)
def test_reading(name, file, reasoning, phrases):
    found = read(name, answer(name, file))
    assert (found.reasoning, list(found.phrases)) == (reasoning, phrases)


REPAIRED = {
    ("chat-json", "float"): ["score written as a decimal"],
    ("chat-json", "string"): ["score written as text"],
    ("chat-json", "one-key-more"): ["extra key: confidence"],
    ("chat-json", "text-before"): ["text around the JSON"],
    ("chat-json", "text-and-fence"): ["text around the JSON"],
    ("chat-json", "text-with-braces-before"): ["text around the JSON"],
    ("chat-json", "list"): ["text around the JSON"],
    ("chat-json", "line-break-in-a-string"): ["line break inside a string"],
    ("chat-json", "highlights-are-a-string"): ["highlights without their list"],
}


@pytest.mark.parametrize(("name", "file", "expected"), ANSWERS)
def test_what_was_repaired_is_said_and_nothing_else_is(name, file, expected):
    if expected.isdigit():
        found = read(name, answer(name, file))
        assert list(found.repaired) == REPAIRED.get((name, file), [])


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("chat-json", "Good, a 4.", "there is no object in it"),
        ("chat-json", '{"score": 4, "score": 2}', "a key is there twice"),
        ("chat-json", '{"score": NaN}', "NaN is not JSON"),
        ("chat-json", '{"reasoning": "It', "Unterminated string"),
        ("chat-json", '{"score": 4} {"score": 2}', "2 objects are in it"),
        ("chat-json", '{"highlights": [], "score": 4}', "reasoning: the object has no such key"),
        ("chat-json", '{"reasoning": "x", "highlights": [1], "score": 4}', "no list of texts"),
        ("nano-score-first", "Sure!\nScore: 4", "first line is not `Score: N`"),
        ("nano-reason-first", "Score: 4\nReason: x", "last line is not `Score: N`"),
        ("nano-bare", "Score: 4\nbecause", "not one line"),
        ("glider", "<score>4", "no <score>...</score>"),
        ("flow-judge", "It is a 4.", "no <score>...</score>"),
        ("prometheus-absolute", "Score 4", "no [RESULT]"),
        ("glider", "<score>four</score>", "no number"),
        ("glider", "<score>4/5</score>", "'4/5'; the rubric allows 1, 2, 3, 4, 5"),
    ],
)
def test_a_refusal_gives_the_true_reason(name, text, why):
    with pytest.raises(ReadError) as caught:
        read(name, text)
    assert why in caught.value.message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("glider", "<score>4.0</score>"),
        ("flow-judge", "<feedback>x</feedback><score>4.00</score>"),
        ("prometheus-absolute", "x [RESULT] 4.0"),
        ("nano-bare", "Score: 4.0"),
        ("nano-score-first", "Score: 4.0\nQuotes: none\nReason: x"),
    ],
)
def test_a_whole_score_written_as_a_decimal_is_read_in_every_format(name, text):
    found = read(name, text)
    assert (found.score, found.repaired) == (4, ("score written as a decimal",))


NINES = "9" * 100_000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nano-score-first", f"Score: {NINES}\nQuotes: none\nReason: x"),
        ("nano-bare", f"Score: {NINES}"),
        ("nano-reason-first", f"Reason: x\nQuotes: none\nScore: {NINES}"),
        ("glider", f"<score>{NINES}</score>"),
        ("prometheus-absolute", f"x [RESULT] {NINES}"),
        ("prometheus-relative", f"x [RESULT] {NINES}"),
        ("flow-judge", f"<feedback>x</feedback><score>{NINES}</score>"),
        ("chat-json", f'{{"reasoning": "x", "highlights": [], "score": {NINES}}}'),
    ],
)
def test_a_hundred_thousand_digits_are_no_score(name, text):
    assert outcome(name, text) == "score_outside_rubric"


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{" * 100_000,
        "\n" * 100_000 + "x",
        " " * 100_000 + "x",
        "\nScore: 1" * 20_000,
    ],
    ids=["brackets", "braces", "lines", "spaces", "scores"],
)
def test_a_runaway_answer_is_refused(name, text):
    with pytest.raises(ReadError):
        read(name, CASES[name].format.render(TASKS[name]).opening + text)


@pytest.mark.parametrize(
    "listed",
    ["[" * 30_000 + "]" * 30_000, "['" + "\\" * 9_999 + "]", "[" + "-" * 15_000 + "1]", "['\\d']",
     "[{[]: 1}]", "[" + "9" * 9_000 + "]"],
)  # fmt: skip
def test_no_list_of_highlights_breaks_the_reading(listed):
    text = f"<highlight>{listed}</highlight><score>4</score>"
    assert read("glider", text).score == 4


if __name__ == "__main__":
    for name in TASKS:
        (GOLDEN / "prompts" / f"{name}.txt").write_bytes(written(name))
