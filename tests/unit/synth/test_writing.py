"""Writing in small steps: what a teacher that copies or does not stop comes to."""

import pytest

from glider.synth.checks import RecordLost
from glider.synth.draw import Draw
from glider.synth.drawer import Drawer
from glider.synth.plan import Plan
from glider.synth.steps import most_characters
from glider.synth.writing import write_material

PLAN = Plan(
    kinds={"single": 1}, scales={"0-1": 1}, fields={"input+output": 1}, code=0, words=(40, 60),
    writing="stepwise",
)  # fmt: skip
FACTS = "Who: Ada\nWhere: a pier\nWhat: a crane is loose\nDetail: bay 4\nWanted: a repair"
ASKED = "Can you have the loose crane at bay 4 repaired before the ferry comes in on Friday?"
ANSWER = "We close bay 4 today and send a fitter tomorrow. The ferry will land at bay 2 on Friday."
WORSE = "Nobody here looks after cranes, and the ferry is none of our business either."


def drawn(target: int) -> Draw:
    """Return a record of input and output alone, with a low or a high target."""
    records = (Drawer(PLAN).draw(number) for number in range(500))
    return next(
        d
        for d in records
        if set(d.tags) == {"input", "output"} and d.judged == "output" and d.target == target
    )


def write(draw: Draw, answers: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the texts made of the answers, and the steps that were asked for."""
    steps: list[str] = []

    def ask(step, prompt):
        steps.append(step)
        yield step
        return answers[step]

    making = write_material(draw, PLAN, ask)
    while True:
        try:
            next(making)
        except StopIteration as end:
            return end.value, steps
        except RecordLost as lost:
            lost.steps = steps
            raise


def test_a_copy_of_another_text_ends_the_record_before_it_is_rewritten():
    with pytest.raises(RecordLost) as lost:
        write(drawn(0), {"facts": FACTS, "input": ASKED, "output": ASKED.upper(), "level": WORSE})
    assert lost.value.rejected.reason == "two fields are the same text"
    assert lost.value.steps == ["facts", "input", "output"]


def test_a_rewriting_to_a_low_level_must_change_something():
    answers = {"facts": FACTS, "input": ASKED, "output": ANSWER, "level": ANSWER.lower()}
    with pytest.raises(RecordLost) as lost:
        write(drawn(0), answers)
    assert lost.value.rejected.reason == "the rewriting changes nothing"
    # The text may deserve a high level as it is.
    material, _ = write(drawn(1), answers)
    assert ANSWER.lower() in material.values()


def test_prose_that_reaches_the_greatest_length_ends_with_its_last_whole_sentence():
    draw = drawn(0)
    long = (ANSWER + " ") * 30
    material, _ = write(
        draw,
        {"facts": FACTS, "input": ASKED, "output": ANSWER, "level": long[: most_characters(draw)]},
    )
    text = list(material.values())[-1]
    assert text.endswith(("tomorrow.", "Friday."))
    assert long.startswith(text)
    assert len(text) > most_characters(draw) - 120
