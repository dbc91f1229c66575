"""Grammars, byte by byte through llguidance: what a held model can write, and what it cannot."""

import gzip
import json
import re
from pathlib import Path

import pytest
from format_cases import CASES, HOSTILE

from glider.core.judgments import Span
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.formats import make_format
from glider.formats.base import Reading
from glider.formats.grammar import QUOTE_CHARS, bounded_reason, quotable, quote_rules
from glider.text.spans import place

llguidance = pytest.importorskip("llguidance")
TOKENIZER = llguidance.LLTokenizer("byte")

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
RECORDS = 300

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
quoting_cases = pytest.mark.parametrize(
    "case", [case for case in CASES.values() if case.quotes], ids=lambda case: case.name
)
every_text = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)


def compiled(lark):
    matcher = llguidance.LLMatcher(TOKENIZER, llguidance.LLMatcher.grammar_from_lark(lark))
    assert not matcher.is_error(), matcher.get_error()
    return matcher


def accepts(lark, text):
    """Whether the whole of `text` is an answer of the grammar."""
    matcher = compiled(lark)
    tokens = list(text.encode())
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


def a_quote(text):
    """A stretch of the longest line that the length rule allows, or None."""
    line = max(quotable(text).split("\n"), key=len)
    if len(line) <= QUOTE_CHARS[1]:
        return line or None
    # Up to the last whole word in reach; a script without spaces is cut anywhere.
    head = line[: QUOTE_CHARS[1]]
    cut = head[: len(head) - len(re.search(r"\w*$", head)[0])].rstrip()
    return cut if len(cut) >= QUOTE_CHARS[0] else head.rstrip()


def ends_in_its_reason(case):
    """Score first, then a reason: it may end anywhere."""
    return case.reasons and not case.format.reasons_before_score


def answered(case, task, *, score=None, phrases=None, reasoning="- Good, in (most) parts."):
    """The part of the target that the grammar describes."""
    if phrases is None:
        shown = case.format.shown(task)
        quotes = [a_quote(shown[field.name]) for field in task.sample.judged]
        phrases = tuple(dict.fromkeys(quote for quote in quotes if quote))
    said = Reading(
        score=task.criterion.rubric.low if score is None else score,
        reasoning=reasoning if case.reasons else None,
        phrases=phrases if case.phrases else (),
    )
    opening = case.format.render(task).opening
    return case.format.target(said, task).removeprefix(opening)


@every_case
@every_text
def test_an_answer_that_quotes_is_accepted(case, text):
    task = case.task(text)
    assert accepts(case.format.grammar(task).lark, answered(case, task))


@every_case
def test_every_legal_score_is_accepted_and_no_other(case):
    task = case.task("The cat sat on the mat.")
    lark = case.format.grammar(task).lark
    legal = task.criterion.rubric.scores
    for score in legal:
        assert accepts(lark, answered(case, task, score=score))
    last = str(legal[-1]) if "relative" not in case.name else "B"
    answer = answered(case, task, score=legal[-1])
    at = answer.rindex(last) if case.format.reasons_before_score else answer.index(last)
    for wrong in ("7", "-2", "100", "C", "2.5", " ", ""):
        assert not accepts(lark, answer[:at] + wrong + answer[at + len(last) :])
    if not ends_in_its_reason(case):
        assert not accepts(lark, answer + "0")


@every_case
def test_an_answer_is_whole_or_goes_on(case):
    task = case.task("The cat sat on the mat.")
    answer, lark = answered(case, task), case.format.grammar(task).lark
    ends = [end for end in range(len(answer) + 1) if accepts(lark, answer[:end])]
    if ends_in_its_reason(case):
        begin = answer.index("Reason: ") + len("Reason: ")
        # A reason is words with one space between: it never ends in a space.
        assert ends == [e for e in range(begin + 1, len(answer) + 1) if answer[e - 1] != " "]
    else:
        assert ends == [len(answer)]


@quoting_cases
@pytest.mark.parametrize(
    ("phrase", "legal"),
    [
        ("Boil the rice for twelve minutes", True),
        ("rice for twelve minutes", True),
        ("Rinse it in cold water at once.", True),
        ("boil the rice for twelve minutes", False),  # another case
        ("Boil the rice for ten whole minutes", False),  # other words
        ("Boil the rice for twelve minutes Rinse", False),  # across lines
        ("twelve minutes Boil the rice", False),  # another order
        ("Boil", False),  # too short to say anything
        ("Boil the rice for", False),
        (" rice for twelve minutes", False),  # a space at the edge
        ("oil the rice for twelve minutes", False),  # part of a word
        ("", False),
    ],
)
def test_a_quote_is_verbatim(case, phrase, legal):
    task = case.task("Boil the rice for twelve minutes\nRinse it in cold water at once.")
    lark = case.format.grammar(task).lark
    assert accepts(lark, answered(case, task, phrases=(phrase,))) == legal


@quoting_cases
def test_a_quote_comes_from_the_judged_text_alone(case):
    judged, asked = "The cat sat on the mat, content.", "What did the cat do on the mat today?"
    template = case.task("x")
    fields = [
        field.model_copy(update={"text": judged if field.role == "judged" else asked})
        for field in template.sample.fields
    ]
    task = JudgeTask(Sample(id="x", fields=fields), template.criterion)
    lark = case.format.grammar(task).lark
    assert accepts(lark, answered(case, task, phrases=(judged,)))
    assert not accepts(lark, answered(case, task, phrases=(asked,)))


@pytest.mark.parametrize(
    ("text", "quote", "legal"),
    [
        ("cat", "cat", True),  # shorter texts, shorter quotes
        ("cat", "ca", False),
        ("a", "a", True),
        ("ab", "ab", True),
        ("the cat sat", "the cat sat", True),
        ("the cat sat", "the cat", False),
        ("cat\nthe cat sat", "cat", False),  # as long as the longest line, up to 20
        ("x" * 19 + " " + "y" * 100, "x" * 19 + " " + "y" * 100, True),  # 120
        ("x" * 20 + " " + "y" * 100, "x" * 20 + " " + "y" * 100, False),  # 121
        ("x" * 20 + " " + "y" * 100, "x" * 20, True),
        ("猫坐在垫子上看着月亮", "猫坐在垫子上看着月亮", True),
        (
            "猫坐在垫子上看着月亮。" * 9,
            "垫子上看着月亮。猫坐在垫子上看着月亮。猫坐",
            True,
        ),  # cut anywhere
        ("猫坐在垫子上看着月亮。" * 9, "猫坐在垫子上", False),
        ("z" * 500, "z" * 120, True),
        ("z" * 500, "z" * 121, False),
        ('say "no" \\ and\tgo {x} \\n', 'say "no" \\ and\tgo {x} \\n', True),
        ("left half of it, here\r\nright half of it, there", "right half of it, there", True),
        ("left half of it, here\u2028right half", "left half of it, here", True),
        ("left" + " " * 300 + "right", "right", True),  # a wide gap ends a line
        ("left" + " " * 7 + "and right" + " " * 300, "left" + " " * 7 + "and right", True),
        ("👩‍👩‍👧‍👦 and 👍🏽 and e\u0301", "👩‍👩‍👧‍👦 and 👍🏽 and e\u0301", True),
        ("# %regex /x/ | start: QUOTE0", "# %regex /x/ | start: QUOTE0", True),
    ],
)
def test_length_and_cutting_of_quotes(text, quote, legal):
    rules, any_text = quote_rules([text])
    assert any_text
    assert accepts(f"start: quote\n{rules}\n", quote) == legal


@pytest.mark.parametrize("texts", [[], [""], [" \n\t"], ["", "\u3000"]])
def test_nothing_to_quote(texts):
    assert quote_rules(texts) == ("", False)


def test_of_a_very_long_text_the_beginning_is_quoted():
    text = "x" * 59_990 + " in reach, " + "y" * 60_000
    rules, _ = quote_rules([text])
    assert accepts(f"start: quote\n{rules}\n", text[59_900:60_000])
    assert not accepts(f"start: quote\n{rules}\n", text[59_900:60_001])


def test_quotes_of_two_texts():
    rules, _ = quote_rules(["The first text is here.", "", "And the second is there."])
    for quote in ("The first text is here.", "And the second is there."):
        assert accepts(f"start: quote\n{rules}\n", quote)
    assert not accepts(f"start: quote\n{rules}\n", "The first text is there.")


@every_case
def test_the_opening_is_not_part_of_the_grammar(case):
    task = case.task("The cat sat on the mat.")
    prompt = case.format.render(task)
    assert prompt.grammar == case.format.grammar(task)
    opened = prompt.opening + answered(case, task)
    assert case.format.read(opened, task).score == task.criterion.rubric.low
    if prompt.opening:
        assert not accepts(prompt.grammar.lark, opened) or case.name.startswith("nano-reason-first")


@every_case
def test_what_the_grammar_lets_through_reads(case):
    """The greediest reasoning the grammar allows still ends in its score."""
    task = case.task("The cat sat on the mat.")
    matcher = compiled(case.format.grammar(task).lark)
    written = b""
    # Any legal byte, the letter "x" where it may be one: a model that never wants to stop.
    while not matcher.is_stopped() and len(written) < 20_000:
        allowed = matcher.compute_logit_bias()
        legal = [token for token in range(256) if allowed[token]]
        if not legal:
            break
        token = ord("x") if ord("x") in legal else legal[-1]
        assert matcher.consume_token(token)
        written += bytes([token])
    if case.name.startswith("chat-json"):
        return  # strings of JSON have no length; max_tokens ends such an answer as truncated
    assert matcher.is_accepting()
    text = case.format.render(task).opening + written.decode()
    assert case.format.read(text, task).score in task.criterion.rubric.scores


def test_the_json_schema_says_the_same_as_the_lark():
    case = CASES["chat-json"]
    grammar = case.format.grammar(case.task("x"))
    assert grammar.json_schema == {
        "type": "object",
        "properties": {
            "reasoning": {"type": "string"},
            "highlights": {"type": "array", "items": {"type": "string"}},
            "score": {"type": "integer", "enum": [1, 2, 3, 4, 5]},
        },
        "required": ["reasoning", "highlights", "score"],
        "additionalProperties": False,
    }
    inside = json.loads(grammar.lark.removeprefix("start: %json "))
    assert {key: inside[key] for key in grammar.json_schema} == grammar.json_schema


def real_texts():
    """Judged texts from every file alike, up to RECORDS of them."""
    files = sorted(DATA.glob("*.jsonl.gz"))
    each = -(-RECORDS // max(len(files), 1))
    texts = []
    for path in files:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for _, line in zip(range(each), lines, strict=False):
                record = json.loads(line)
                texts.append(record.get("output") or (record.get("outputs") or [""])[0])
    return texts[:RECORDS]


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data is not beside this checkout")
def test_real_texts_compile_and_can_be_quoted():
    texts = real_texts()
    assert len(texts) == RECORDS
    quoted = 0
    for text in texts:
        for name in ("nano-score-first", "nano-reason-first", "glider"):
            task = CASES[name].task(text)
            answer = answered(CASES[name], task)
            assert accepts(CASES[name].format.grammar(task).lark, answer), (name, text[:200])
            opening = CASES[name].format.render(task).opening
            for phrase in CASES[name].format.read(opening + answer, task).phrases:
                spans = place(phrase, [("output", text)]).spans
                assert Span(field="output", start=spans[0].start, end=spans[0].end) in spans
                quoted += 1
    assert quoted > 2 * RECORDS


BOUNDED = "start: REASON\nREASON: " + bounded_reason(4)


@pytest.mark.parametrize(
    ("text", "legal"),
    [
        ("One.", True),
        ("One two three four", True),
        ("One two three four and so on to its end.", True),  # the sentence is ended
        ("One two three. Four and five more.", True),
        ("One two three four. Five", False),  # no sentence is begun behind the bound
        ("One two three four five. Six", False),
        ("One two three four" + " word" * 15, True),
        ("One two three four" + " word" * 16, False),
        ("x" * 40, True),
        ("doesnotleaveout," * 3, False),  # glued, where no space may come
        ("这是一句没有空格的话，它比四十个字母要长得多，" * 4, True),
        ("GPT-4的回答是对的，但它没有说明为什么会这样，也没有给出任何例子。" * 3, True),
        ("", False),
        ("a\nb", False),
        ("a  b", False),
    ],
)
def test_a_reason_is_bounded_in_words_and_may_end_its_sentence(text, legal):
    assert accepts(BOUNDED, text) == legal


def test_how_long_a_reason_may_be_is_said_with_the_format():
    task = next(iter(CASES.values())).task("The cat sat on the mat.")
    short, long = make_format("nano"), make_format("nano", reason_words=60)
    assert long.id == "nano/score-first/criterion-first/60-words"
    assert short.id == "nano/score-first/criterion-first"
    assert long.render(task).max_tokens > short.render(task).max_tokens
    reason = "It names the fields and says what each of them is for. " * 4
    said = answered(CASES["nano-score-first"], task, reasoning=reason.strip())
    assert accepts(long.grammar(task).lark, said) and not accepts(short.grammar(task).lark, said)
    assert long.bare().id == short.bare().id  # what is read of a bare score has no reason
