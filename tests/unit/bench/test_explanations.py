"""Reasons held against notes, texts, scores and facts."""

import numpy as np
import pytest

from glider.bench.explanations import (
    ReasonReadings,
    agreement_figures,
    explanation_figures,
    is_well_formed,
    read_reasons,
    word_similarity,
)
from glider.core.criteria import Criterion
from glider.core.judgments import Failure, Judgment
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.gold.items import Item

CRITERION = Criterion(
    name="quality",
    question="Is the {output} good?",
    rubric={1: "bad", 2: "poor", 3: "fair", 4: "good", 5: "very good"},
)
SUBJECTS = ("harbour cranes", "violin strings", "rye bread", "glacier moraines", "tax returns",
            "bee hives", "chess openings", "steam engines", "coral reefs", "sonnet forms")  # fmt: skip


def item(n, *, note=None, text=None):
    subject = SUBJECTS[n % len(SUBJECTS)]
    return Item(
        sample=Sample.of(text or f"This text number {n} tells of {subject} at some length.", input=f"Tell {n}"),
        criterion=CRITERION, gold=3, scale=(1, 5), part="", cluster=str(n),
        reason=note or f"It explains {subject} number {n} well.",
    )  # fmt: skip


def judgment(of, score, reasoning):
    task = JudgeTask(of.sample, of.criterion)
    return Judgment(
        task_id=task.id, sample_id=of.sample.id, criterion="quality", judge="j", score=score,
        normalized=(score - 1) / 4, expected=float(score), score_probs=None, mass=None,
        reasoning=reasoning, highlights=(), raw_text="",
    )  # fmt: skip


def values(figures):
    return {figure.metric: figure for figure in figures}


@pytest.mark.parametrize(
    ("reasoning", "well"),
    [
        ("It answers the question.", True),
        ("It answers the question", False),  # no end
        ("It answersthequestionandleavesoutnothingthatwasaskedforatall.", False),  # glued words
        ("Good good good.", False),
        ("it is so good that it is so good that it is so good that.", False),
        ("答案是对的。", False),  # the text is English
        ("Das ist richtig.", True),
        ("…", False),
    ],
)
def test_well_formed(reasoning, well):
    assert is_well_formed(reasoning, Sample.of("We open at nine.")) is well


def test_a_reason_in_the_texts_own_script_is_well_formed():
    assert is_well_formed("答案是对的。", Sample.of("答案是对的，开门是九点。"))


def test_likeness_is_one_of_the_same_words_and_zero_of_others():
    assert word_similarity(["a red cat"], ["red a cat", "blue dogs"])[0] == pytest.approx(
        [1.0, 0.0]
    )


def test_reasons_about_their_text_are_told_from_reasons_about_anything():
    items = [item(n) for n in range(40)]
    about = {
        n: judgment(
            i, 3, f"Number {n} on {SUBJECTS[n % 10]} is clear." if n % 8 else "It is clear."
        )
        for n, i in enumerate(items)
    }
    same = {n: judgment(i, 3, "The answer is clear and good.") for n, i in enumerate(items)}
    found = values(explanation_figures("b", "s", items, about, rng=np.random.default_rng(0)))
    none = values(explanation_figures("b", "s", items, same, rng=np.random.default_rng(0)))
    for metric in ("reason specific to the note", "reason specific to the text"):
        assert found[metric].value > 0.9
        assert found[metric].low > 0.8
        assert none[metric].value == pytest.approx(0.5, abs=0.05) or none[metric].undefined


def test_failures_stay_in_the_denominator():
    items = [item(n) for n in range(20)]
    half = {n: judgment(i, 3, "It is clear.") for n, i in enumerate(items) if n % 2}
    figure = values(explanation_figures("b", "s", items, half, rng=np.random.default_rng(0)))[
        "reason well formed"
    ]
    assert (figure.value, figure.n, figure.judged) == (0.5, 20, 10)


def test_claims_are_counted_over_the_reasons_that_make_one():
    items = [item(n) for n in range(20)]
    said = {
        n: judgment(i, 3, "The response is an empty submission." if n < 5 else f'It says "text number {n}".')
        for n, i in enumerate(items)
    }  # fmt: skip
    figure = values(explanation_figures("b", "s", items, said, rng=np.random.default_rng(0)))[
        "reason true"
    ]
    assert figure.value == pytest.approx(15 / 20)
    assert figure.low < 0.75 < figure.high


class Reader:
    """Reads the level's own word; cannot read what has none."""

    id = "reader"
    told = {1: "bad", 2: "poor", 3: "fair", 4: "good", 5: "very good"}

    def __init__(self):
        self.seen = []

    def stream(self, tasks):
        for key, task in tasks:
            (field,) = task.sample.fields
            self.seen.append(field.text)
            level = next((s for s, t in self.told.items() if field.text == f"It is {t}."), None)
            if level is None:
                yield (
                    key,
                    Failure(
                        task_id=task.id, sample_id="x", criterion="quality", judge="reader",
                        stage="read", code="unreadable", message="", retryable=False,
                    ),
                )  # fmt: skip
            else:
                yield key, judgment(item(0), level, "")


def test_a_second_reading_is_blind_and_dealt_out_reasons_agree_less():
    items = [item(n) for n in range(30)]
    outcomes = {
        n: judgment(i, n % 5 + 1, f"It is {Reader.told[n % 5 + 1]}.") for n, i in enumerate(items)
    }
    reader = Reader()
    read = read_reasons(reader, items, outcomes, rng=np.random.default_rng(0))
    assert all("number" not in text for text in reader.seen)  # nothing of the judged text
    assert sum(read.dealt_out) == 30
    figures = values(agreement_figures("b", "s", items, outcomes, read))
    own = figures["reason agrees with its score"]
    dealt = figures["dealt-out reason agrees with the score"]
    assert own.value == 1.0
    assert own.low < 1.0
    assert dealt.value < 0.8


def test_an_unread_reason_agrees_with_nothing():
    items = [item(n) for n in range(12)]
    outcomes = {n: judgment(i, 3, "It is fair." if n < 6 else "Hm.") for n, i in enumerate(items)}
    read = read_reasons(Reader(), items, outcomes, rng=np.random.default_rng(0))
    (own, _) = agreement_figures("b", "s", items, outcomes, read)
    assert own.value == 0.5
    assert ReasonReadings.model_validate_json(read.model_dump_json()) == read
