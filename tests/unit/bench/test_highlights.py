import random

import numpy as np
import pytest
from cases import failure, item, judgment

from glider.backends.scripted import ScriptedBackend
from glider.bench.deletions import Deletions, deletions, score_moved, without
from glider.bench.highlights import (
    FIRST_SENTENCE,
    RANDOM,
    against_people,
    first_errors,
    first_sentence,
    marked,
)
from glider.core.criteria import Criterion, Rubric
from glider.formats.nano import NanoFormat
from glider.judging.judge import Judge

RNG = np.random.default_rng


@pytest.mark.parametrize(
    ("text", "spans", "expected"),
    [
        ("one two three", [(4, 7)], [0, 1, 0]),
        ("one two three", [(2, 5)], [1, 1, 0]),  # a part of a word is enough
        ("one two three", [(3, 4)], [0, 0, 0]),  # the space between
        ("one two three", [(0, 3), (0, 7)], [1, 1, 0]),  # twice is once
        ("我们吃饭", [(1, 3)], [0, 1, 1, 0]),
        ("", [(0, 0)], []),
        ("…", [(0, 1)], []),
    ],
)
def test_marked(text, spans, expected):
    assert marked(text, spans).tolist() == [bool(e) for e in expected]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("It rains. It pours.", "It rains."),
        ("It costs 3.50 now. Yes", "It costs 3.50 now."),
        ("下雨了。大雨。", "下雨了。"),
        ("A title\nAnd text.", "A title\n"),
        ("no end", "no end"),
        ("", ""),
    ],
)
def test_first_sentence(text, sentence):
    start, end = first_sentence(text)
    assert text[start:end] == sentence


@pytest.mark.parametrize(
    ("text", "mask", "expected"),
    [
        ("one two three", "010", "one three"),
        ("one two three", "110", " three"),
        ("one two three", "011", "one "),
        ("one, two: three.", "010", "one, : three."),  # marks outside the words stay
        ("one, two: three.", "011", "one, ."),
        ("one two three", "101", " two "),
        ("我们吃饭", "0110", "我饭"),
        ("one", "0", "one"),
    ],
)
def test_without(text, mask, expected):
    assert without(text, np.array([c == "1" for c in mask])) == expected


# ---- against people


def _figure(figures, system, metric):
    (found,) = [f for f in figures if (f.system, f.metric) == (system, metric)]
    return found


def test_against_people_by_hand():
    items = [
        item("a b c d e f g h", spans=["c d"]),
        item("a b c d", spans=["a b"], cluster="x"),
        item("a b c d", spans=["d"], cluster="x"),
        item("nobody marked anything here"),
        item(["a b", "c d"], 1),
    ]
    outcomes = {
        0: judgment(items[0], "b c d e"),  # 2 of 4, all of 2; by chance 4 * 2 / 8 = 1
        1: judgment(items[1], "A", "not there"),  # 1 of 1, 1 of 2; by chance 2/4; folded
        2: failure(items[2]),  # 0 of 0, 0 of 1
        3: judgment(items[3], "nobody", "marked"),
    }
    figures, differences = against_people("set", "judge", items, outcomes, rng=RNG(1))
    values = {(f.system, f.metric): f.value for f in figures}
    assert values["judge", "highlight precision"] == pytest.approx(3 / 5)
    assert values["judge", "highlight recall"] == pytest.approx(3 / 5)
    assert values["judge", "highlight F1"] == pytest.approx(6 / 10)
    assert values[RANDOM, "highlight precision"] == pytest.approx(1.5 / 5)
    assert values[RANDOM, "highlight F1"] == pytest.approx(3 / 10)
    assert values[FIRST_SENTENCE, "highlight precision"] == pytest.approx(5 / 16)
    whole = _figure(figures, FIRST_SENTENCE, "highlight recall")
    assert (
        "give" in whole.undefined and " 1, so there is no spread" in whole.undefined
    )  # every text is one sentence
    exact = _figure(figures, "judge", "exact quotes")
    assert exact.value == pytest.approx(
        3 / 5
    )  # "b c d e", "nobody", "marked"; not "A", "not there"
    assert (exact.asked, exact.judged) == (5, 3)
    f1 = _figure(figures, "judge", "highlight F1")
    assert (f1.n, f1.asked, f1.judged) == (3, 3, 2)
    assert [(d.a, d.b) for d in differences] == [("judge", RANDOM), ("judge", FIRST_SENTENCE)]
    assert differences[0].value == pytest.approx(3 / 10)
    assert 0 < differences[0].p <= 1


def test_random_is_the_mean_over_all_places():
    """The formula of the docstring, against pushing the spans to every place."""
    rng = RNG(4)
    for _ in range(20):
        own, human = rng.random((2, 30)) < rng.random()
        mean = np.mean([(np.roll(own, d) & human).sum() for d in range(30)])
        assert mean == pytest.approx(own.sum() * human.sum() / 30)


def _texts(n, seed):
    rng = random.Random(seed)
    return [" ".join(rng.choices([f"w{k}" for k in range(99)], k=40)) for _ in range(n)]


def test_a_judge_that_marks_at_random_is_no_better_than_random():
    rng = RNG(7)
    items, outcomes = [], {}
    for n, text in enumerate(_texts(150, 1)):
        words = text.split()
        a, b = rng.integers(0, 35, 2)
        items.append(item(text, spans=[" ".join(words[a : a + 5])]))
        outcomes[n] = judgment(items[n], " ".join(words[b : b + 5]))
    _, (difference, _) = against_people("set", "judge", items, outcomes, rng=rng)
    assert difference.low < 0 < difference.high
    assert difference.p > 0.05


def test_a_judge_that_marks_what_people_mark():
    items = [item(text, spans=[text.split()[n % 40]]) for n, text in enumerate(_texts(30, 2))]
    outcomes = {
        n: judgment(i, i.sample["output"][i.spans[0].start : i.spans[0].end])
        for n, i in enumerate(items)
    }
    figures, (difference, _) = against_people("set", "judge", items, outcomes, rng=RNG(3))
    assert _figure(figures, "judge", "highlight recall").undefined  # 1 in every resample
    assert difference.value > 0.5
    assert difference.p == pytest.approx(0.001)
    exact = _figure(figures, "judge", "exact quotes")
    assert (exact.value, exact.high) == (1, 1)
    assert exact.low == pytest.approx(30 / (30 + 1.96**2), abs=1e-3)  # Wilson: n / (n + z^2)


def test_sets_without_spans_and_judges_without_quotes():
    items = [item(), item()]
    figures, differences = against_people(
        "set", "judge", items, {0: judgment(items[0])}, rng=RNG(0)
    )
    assert differences == []
    assert {f.undefined for f in figures} == {
        "there are no phrases",
        "people marked no spans in this set",
    }
    figures, _ = against_people("set", "judge", items, {}, rng=RNG(0))
    assert _figure(figures, "judge", "exact quotes").undefined == "nothing was judged"


# ---- the deletion test

CRITERION = Criterion(
    name="clean", question="Is {output} clean?", rubric=Rubric(levels={0: "dirty", 1: "clean"})
)


def _counting_judge(asked):
    """Answers 0 if the text has the word BAD, else 1."""

    def answer(request):
        text = request.messages[-1].content
        asked.append(text)
        return "0" if "BAD" in text else "1"

    return Judge(ScriptedBackend(answer), format=NanoFormat(explain=False))


def test_the_score_moves_when_the_reason_is_taken_out():
    items, outcomes = [], {}
    for n, text in enumerate(_texts(40, 3)):
        words = text.split()
        words[n % 40] = "BAD"
        items.append(item(" ".join(words), criterion=CRITERION, scale=(0.0, 1.0)))
        outcomes[n] = judgment(items[n], "BAD", score=0)
    asked = []
    found = deletions(_counting_judge(asked), items, outcomes, rng=RNG(1))
    assert len(asked) == 80
    # Every highlight was the reason and no other word was: all moved by 1, and none.
    assert (set(found.before), set(found.after)) == ({0.0}, {(1.0, 0.0)})
    figures, (difference,) = score_moved("b", "judge", items, found, rng=RNG(1))
    own, other = (f.undefined for f in figures)
    assert " 1, so there is no spread" in own and " 0, so there is no spread" in other
    assert " 1, so there is no spread" in difference.undefined


def test_deletion_by_hand():
    texts = [
        "BAD one two three",
        "one BAD BAD two three four",
        "fine one two",
        "BAD",
        "one BAD two",
    ]
    items = [item(text, criterion=CRITERION, scale=(0.0, 1.0)) for text in texts]
    items.append(item(["BAD", "one"]))
    outcomes = {
        0: judgment(items[0], "BAD", score=0),  # up by 1, and by 0 with another word out
        1: judgment(items[1], "BAD BAD", expected=0.25, score=0),  # up by 0.75; else down by 0.25
        2: judgment(items[2], "one", score=1),  # stays
        3: judgment(items[3], "BAD", score=0),  # no other word to take out
        4: judgment(items[4], "not there", score=0),  # nothing placed
    }
    asked = []
    found = deletions(_counting_judge(asked), items, outcomes, rng=RNG(2))
    assert len(asked) == 6
    assert (found.rows, found.skipped) == ((0, 1, 2), 2)
    assert found.before == (0.0, 0.25, 1.0)
    assert found.after == ((1.0, 0.0), (1.0, 0.0), (1.0, 1.0))
    assert Deletions.model_validate_json(found.model_dump_json()) == found
    (own, other), (difference,) = score_moved("b", "judge", items, found, rng=RNG(2))
    assert own.value == pytest.approx((1 + 0.75 + 0) / 3)
    assert other.value == pytest.approx((0 + 0.25 + 0) / 3)
    assert (own.system, other.system, own.asked, own.judged) == ("judge", RANDOM, 5, 3)
    assert difference.value == pytest.approx((1 + 0.5 + 0) / 3)
    assert difference.low < difference.value < difference.high


def test_a_text_that_cannot_be_judged_again_is_counted():
    items = [item(f"BAD one two {n}", criterion=CRITERION, scale=(0, 1)) for n in range(3)]
    outcomes = {n: judgment(i, "BAD", score=0) for n, i in enumerate(items)}
    judge = Judge(ScriptedBackend(lambda request: "what?"), format=NanoFormat(explain=False))
    found = deletions(judge, items, outcomes, rng=RNG(2))
    assert found.after == ((None, None),) * 3
    (own, other), (difference,) = score_moved("b", "judge", items, found, rng=RNG(2))
    reason = "no text could be shortened and judged again"
    assert own.undefined == other.undefined == difference.undefined == reason
    assert (own.asked, own.judged) == (3, 0)


# ---- MR-Ben

STEPS = "Step 1: add one\nStep 2: add two\nStep 3: so four"


def _solution(right, step=None, **more):
    spans = [STEPS.splitlines()[step - 1]] if step else []
    return item(STEPS, float(right), spans=spans, criterion=CRITERION, scale=(0.0, 1.0), **more)


def test_first_errors_by_hand():
    items = [
        _solution(0, 2),
        _solution(0, 2),
        _solution(0, 3),
        _solution(0, 1),
        _solution(0, None),  # wrong, but nobody marked where
        _solution(1),
        _solution(1),
    ]
    outcomes = {
        0: judgment(items[0], "add two", score=0),  # the step
        1: judgment(items[1], "Step 3: so four", "add two", score=0),  # the first highlight is off
        2: judgment(items[2], "so four", score=1),  # the step, but called right
        3: failure(items[3]),  # counts as called right
        4: judgment(items[4], score=0),
        5: judgment(items[5], score=1),
        6: judgment(items[6], "nowhere", score=0, expected=0.4),
    }
    figures = {f.metric: f for f in first_errors("set", "judge", items, outcomes, rng=RNG(1))}
    assert figures["first error step"].value == pytest.approx(1 / 4)
    assert (figures["first error step"].asked, figures["first error step"].judged) == (4, 3)
    # Said right / wrong of right: 1, 1; of wrong: 2, 3.
    assert figures["MCC"].value == pytest.approx((1 * 3 - 2 * 1) / (2 * 5 * 3 * 4) ** 0.5)
    assert figures["MR-Score"].value is None
    assert figures["MR-Score"].undefined == "the reason for the error needs a grader"


def test_no_marked_steps():
    figures = first_errors("set", "judge", [_solution(1)], {}, rng=RNG(1))
    assert [f.value for f in figures] == [None] * 3
    assert figures[1].undefined == "no wrong solution has a marked step"
