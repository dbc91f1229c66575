"""What is rejected before the next call is paid, and what near duplicates are."""

import random

import numpy as np
import pytest

from glider.synth.checks import check_edit, check_material, check_written
from glider.synth.drawer import Drawer
from glider.synth.duplicates import TextIndex
from glider.synth.languages import code_of, other_language
from glider.synth.plan import Plan
from glider.synth.steps import Written, question_of, sample_of
from glider.text.spans import place

PLAN = Plan(kinds={"single": 1}, words=(40, 40), code=0, criterion_groups=("accuracy",))
GOOD = (
    "The harbour master wrote to the council that the old crane is not safe and that it was last "
    "checked in 2019. He asks for a new one, with a price of 40,000 pounds, and for the right to "
    "close the quay in winter. The council has not answered this letter."
)


def draw_of(**changes):
    drawer = Drawer(PLAN)
    draw = next(d for d in map(drawer.draw, range(500)) if len(d.tags) == 2)
    return draw.model_copy(update=changes)


def material(draw, text, other="What does the harbour master ask for, and why is it so?"):
    judged = draw.judged_names[0]
    return {tag: text if tag == judged else other for tag in draw.tags.values()}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD, None),
        ("I'm sorry, but I cannot help with that. " + GOOD, "refusal"),
        ("As an AI language model I have no harbour. " + GOOD, "refusal"),
        (GOOD + " [another 500 words]", "elision mark"),
        (GOOD + " [insert the rest of the text here]", "elision mark"),
        (GOOD + " ... (continued)", "elision mark"),
        (GOOD + " This text deserves exactly 4.", "words of the prompt in the text"),
        (GOOD + " {question}", "the question or a level in the text"),
        (GOOD + " {level}", "the question or a level in the text"),
        (GOOD + " It is what the {tag} says.", "speaks of a field by its tag"),
        (GOOD + "\n<{tag}>\nIt is old.", "a tag in the text"),
        (GOOD + "\n<. {tag_lower}>\nIt is old.", "a tag in the text"),
        (GOOD + "\n<", "a tag in the text"),
        ("The old crane is not safe in winter. " * 8, "repeats itself"),
        ((GOOD + " ") * 2, "cut off at the greatest length"),
        ("<html><body>" + GOOD, "HTML in place of a text"),
        ("The crane is old.", "not of the length asked for"),
        ("What does the harbour master ask for, and why is it so?", "not of the length asked for"),
        (
            "Der Hafenmeister schrieb dem Rat, dass der alte Kran nicht sicher ist und dass er das "
            "letzte Mal im Jahr 2019 geprüft wurde. Er bittet um einen neuen mit der Erlaubnis, den "
            "Kai im Winter zu sperren, und um eine Antwort auf den Brief.",
            "in another language",
        ),
        (
            "Начальник порта написал совету, что старый кран небезопасен. " * 5,
            "in another language",
        ),
        ("港口主管写信给议会说旧起重机不安全。" * 3, "in another language"),
    ],
)
def test_material(text, reason):
    draw = draw_of()
    level = max(draw.criterion.rubric.levels.values(), key=len)
    tag = draw.judged_names[0]
    text = text.format(question=question_of(draw), level=level, tag=tag, tag_lower=tag.lower())
    rejected = check_material(draw, material(draw, text))
    assert (rejected and rejected.reason) == reason
    assert rejected is None or (rejected.stage == "legal" and rejected.seen)


def test_material_that_is_right_where_it_would_be_wrong_elsewhere():
    refusal = "I'm sorry, but I cannot help with that. " + GOOD
    draw = draw_of(criterion_group="safety")
    assert check_material(draw, material(draw, refusal)) is None
    page = "<html><body><p>the harbour is open to all</p></body></html> " * 5
    draw = draw_of(code=True)
    assert check_material(draw, material(draw, page)) is None
    draw = draw_of()
    assert check_material(draw, material(draw, GOOD, GOOD)).reason == "two fields are the same text"
    # A correction of a text is near it; of a small teacher, it is a copy.
    nearly = material(draw, GOOD + " Nobody was hurt.", GOOD)
    assert check_material(draw, nearly) is None
    small = PLAN.model_copy(update={"writing": "stepwise"})
    assert check_material(draw, nearly, small).reason == "two fields are the same text"
    # "The text" may be a contract; of a small teacher that rewrites, it is the text itself.
    about = GOOD + " The text answers the council."
    assert check_material(draw, material(draw, about)) is None
    stepwise = PLAN.model_copy(update={"writing": "stepwise"})
    assert check_material(draw, material(draw, GOOD), stepwise) is None
    assert check_material(draw, material(draw, about), stepwise).reason == "speaks of itself"


@pytest.mark.parametrize(
    ("quote", "why", "reason"),
    [
        ("the old crane is not safe", "It says that the crane is unsafe and gives a date.", None),
        ("the old crane is safe", "It says that the crane is unsafe.", "a quote is not in the judged text"),
        ("THE OLD CRANE IS NOT SAFE", "It says that the crane is unsafe.", "a quote is not in the judged text"),
        ("What does the harbour master ask for", "It says that the crane is unsafe.", "a quote is not in the judged text"),
        ("the old crane is not safe", "The judge judges another quality than that one.", "a reason that speaks of a judge or a score"),
        ("the old crane is not safe", "It names the crane and gives too low a score.", "a reason that speaks of a judge or a score"),
        ("the old crane is not safe", "No step is missing and the order is the one in which readers work.", "copied from the worked example"),
        ("the old crane is not safe", "It says that the crane is unsafe and that", "a reason that breaks off"),
        ("the old crane is not safe", "Too short.", "a reason of fewer than four words"),
        ("the old crane is not safe", "A careful judge gave it a low score here.", "words of the prompt in the reason"),
    ],
)  # fmt: skip
def test_judgments(quote, why, reason):
    draw = draw_of()
    sample = sample_of(draw, material(draw, GOOD), id="1")
    judged = [(field.name, field.text) for field in sample.judged]
    written = Written(why, (place(quote, judged),))
    rejected = check_written(written, sample)
    assert (rejected and rejected.reason) == reason
    assert check_written(written, sample, written) is not None  # the same, rightly and wrongly


def test_an_edit_changes_words():
    assert check_edit("the old crane", "The old  crane.").reason == "the edit changes nothing"
    assert check_edit("the old crane", "the new crane") is None


def test_languages_are_told_where_there_is_enough_to_tell():
    assert other_language(GOOD, "English") is None
    assert other_language(GOOD, "German") is not None
    assert other_language(GOOD, "Klingon") is None
    assert other_language("Kran defekt.", "English") is None
    assert (code_of("German"), code_of("Klingon")) == ("de", "klingon")


def test_near_duplicates_are_found_as_an_exact_comparison_finds_them():
    draw = random.Random(0)
    vocabulary = [f"w{n}" for n in range(500)]
    base = [draw.choice(vocabulary) for _ in range(200)]

    def exact(one, two):
        runs = [{tuple(t[n : n + 5]) for n in range(len(t) - 4)} for t in (one, two)]
        return len(runs[0] & runs[1]) / len(runs[0] | runs[1])

    for changed in (0, 1, 2, 40, 100):
        other = list(base)
        for at in draw.sample(range(200), changed):
            other[at] = "changed"
        likeness = exact(base, other)
        index = TextIndex(0.7)
        assert index.claim(1, [" ".join(base)])
        found = not index.claim(2, [" ".join(other)])
        if abs(likeness - 0.7) > 0.15:  # beyond the error of 64 numbers
            assert found is (likeness > 0.7), (changed, likeness)


def test_a_lost_record_leaves_its_text_to_others_and_a_kept_one_does_not():
    index = TextIndex(0.7)
    assert index.claim(1, [GOOD])
    assert not index.claim(2, ["another text of its own", GOOD])
    index.settle(1, kept=False)
    assert index.claim(3, [GOOD])
    index.settle(3, kept=True)
    assert not index.claim(4, [GOOD])


def test_the_index_grows():
    index = TextIndex(0.7)
    texts = [" ".join(f"{n}-{k}" for k in range(9)) for n in range(600)]
    assert all(index.claim(n, [text]) for n, text in enumerate(texts))
    assert not any(index.claim(n + 600, [text]) for n, text in enumerate(texts))
    assert index._table.dtype == np.uint32
