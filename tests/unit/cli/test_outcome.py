"""A score and its doubt, side by side."""

import pytest
from rich.console import Console

from glider import Criterion, Sample
from glider.cli import outcome as module
from glider.cli.outcome import line_for, show
from glider.core.judgments import Comparison, Judgment


def judgment(score, expected, levels=range(1, 6)):
    # Two levels that have this mean; only which levels there are is looked at.
    probs = None if expected is None else dict.fromkeys(levels, 0.2)
    return Judgment(
        task_id="t", sample_id="s", criterion="c", judge="j", score=score,
        normalized=0.5, expected=expected, score_probs=probs,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("score", "expected", "levels", "unsure"),
    [
        (5, 2.98, range(1, 6), True),
        (5, 4.6, range(1, 6), False),
        (4, 4.5, range(1, 6), False),  # as near to 4 as to 5
        (4, 3.49, range(1, 6), True),
        (100, 80.0, (0, 25, 50, 75, 100), True),
        (100, 90.0, (0, 25, 50, 75, 100), False),
        (5, None, range(1, 6), False),
    ],
)
def test_a_mean_nearer_to_another_level_is_doubt(score, expected, levels, unsure):
    assert judgment(score, expected, levels).unsure is unsure


def test_the_doubt_is_said_beside_the_score(monkeypatch, capsys):
    monkeypatch.setattr(module, "terminal", lambda: Console(width=120))
    rubric = {n: f"level {n}" for n in range(1, 6)}
    criterion = Criterion(name="c", question="q?", rubric=rubric)
    show(judgment(5, 2.98), Sample.of("text"), criterion.rubric)
    show(judgment(5, 4.9), Sample.of("text"), criterion.rubric)
    told = capsys.readouterr().out
    assert "5 of 1..5, but expected 2.98: unsure" in told
    assert "5 of 1..5   expected 4.90" in told
    assert "5, but expected 2.98: unsure" in line_for(judgment(5, 2.98)).plain
    assert "5 (expected 4.90)" in line_for(judgment(5, 4.9)).plain


def test_a_warning_is_printed_with_the_judgment(monkeypatch, capsys):
    monkeypatch.setattr(module, "terminal", lambda: Console(width=120))
    warned = judgment(4, 4.0).model_copy(update={"warnings": ("text in de; not known",)})
    compared = Comparison(
        task_id="t", sample_id="s", criterion="c", judge="j", first="a", second="b",
        preferred="a", p_first=0.7, flipped=False, orders=(warned, warned),
    )  # fmt: skip
    rubric = Criterion(name="c", question="q?", rubric={1: "bad", 4: "good"}).rubric
    for outcome in (warned, compared):
        show(outcome, Sample.of("text"), rubric)
        assert capsys.readouterr().out.count("text in de; not known") == 1
