"""Levels, positions, agreement and confidence on the scale of the labels."""

import numpy as np
import pytest
from labelled_runs import GRADES, judgment

from glider.core.criteria import Criterion, Rubric
from glider.core.errors import SetupError
from glider.judging.readings import Readings

EVEN = [0.1, 0.1, 0.2, 0.5, 0.1]  # expected 3.4, level 4


def read(*probs, scale=(1, 5), bare=False, criterion=GRADES):
    outcomes = [judgment(n, p, criterion, bare=bare) for n, p in enumerate(probs)]
    return Readings.of(outcomes, criterion.rubric.scores, scale)


def test_a_judgment_on_its_own_scale():
    found = read(EVEN)
    assert found.expected == pytest.approx([3.4])
    assert found.position.tolist() == [3]
    assert found.p_pass(4) == pytest.approx([0.6])
    assert found.confidence("pass", 4) == pytest.approx([0.6])
    assert found.confidence("level", None) == pytest.approx([0.5])
    assert found.confidence("near", None) == pytest.approx([0.8])


def test_a_judgment_without_probabilities():
    found = read(EVEN, [1, 0, 0, 0, 0], bare=True)
    assert found.probs is None
    assert found.expected.tolist() == [4, 1]
    assert found.p_pass(4).tolist() == [1, 0]
    # The mark lies at 3.5; level 1 is the farthest from it.
    assert found.confidence("pass", 4) == pytest.approx([0.5 + 0.5 / 5, 1.0])
    assert found.confidence("level", None) is None
    assert (
        Readings.of(
            [judgment(0, EVEN), judgment(1, EVEN, bare=True)], (1, 2, 3, 4, 5), (1, 5)
        ).probs
        is None
    )


def test_levels_carried_to_the_labels_scale():
    found = read(EVEN, scale=(0, 100))
    assert found.ladder.tolist() == [0, 25, 50, 75, 100]
    assert found.expected == pytest.approx([60])
    assert found.positions(np.array([0, 12.5, 80])) == pytest.approx([0, 0.5, 3.2])
    assert found.cut(70) == 62.5


@pytest.mark.parametrize(
    ("label", "level", "near", "passing"),
    [
        (4, False, False, False),
        (3.5, False, False, True),  # half way: either level agrees; it does not reach the mark
        (3, True, False, True),
        (5, True, False, False),
        (2.9, True, True, True),
        (1, True, True, True),
    ],
)
def test_what_counts_as_disagreement(label, level, near, passing):
    found, labels = read(EVEN), np.array([float(label)])
    assert found.disagree(labels, "level", None).tolist() == [level]
    assert found.disagree(labels, "near", None).tolist() == [near]
    assert found.disagree(labels, "pass", 4).tolist() == [passing]


def test_levels_with_gaps_count_in_steps():
    gaps = Criterion(name="quality", question="?", rubric=Rubric(levels={0: "a", 1: "b", 10: "c"}))
    found = read([0, 0, 1.0], scale=(0, 10), criterion=gaps)
    assert found.disagree(np.array([6.0, 5.0]), "level", None).tolist() == [False, True]
    assert found.targets(np.array([5.5])) == pytest.approx(np.array([[0, 0.5, 0.5]]))


@pytest.mark.parametrize("mark", [1, 0.5, 5.5])
def test_a_pass_mark_outside_the_levels(mark):
    with pytest.raises(SetupError, match="has no level on one side"):
        read(EVEN).cut(mark)


def test_a_score_that_is_no_level():
    with pytest.raises(SetupError, match="has the score 4"):
        Readings.of([judgment(0, EVEN)], (1, 2, 3), (1, 3))
