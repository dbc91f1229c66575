"""How far two engines differ, on answers written out by hand."""

import math

import numpy as np
import pytest

from glider.backends.scripted import ScriptedBackend
from glider.bench.shift import answers, shift
from glider.core.errors import Unavailable
from glider.core.generation import Generation, GenerationRequest, Message
from glider.stats.estimates import Estimate, Undefined


def said(**shares):
    """An answer with these probabilities; `_1` is the label "1"."""
    spread = {label[1:]: math.log(share) for label, share in shares.items()}
    return Generation(text="", label_logprobs=spread)


def of(before, after, clusters=None):
    names = clusters or [str(n) for n in range(len(before))]
    return shift(before, after, names, rng=np.random.default_rng(0))


def test_shifts_are_of_expected_scores_in_0_to_1():
    before = [
        said(_1=0.5, _5=0.5),
        said(_1=0.9, _5=0.1),
        said(_1=0.2, _5=0.8),
        said(_0=0.4, _1=0.6),
    ]
    after = [said(_1=0.4, _5=0.6), said(_1=0.9, _5=0.1), said(_1=0.6, _5=0.4), said(_0=0.1, _1=0.9)]
    found = of(before, after)
    assert found.average == pytest.approx((0.1 + 0.0 + 0.4 + 0.3) / 4)
    assert isinstance(found.mean, Estimate) and found.mean.value == pytest.approx(found.average)
    assert 0 <= found.mean.low < 0.2 < found.mean.high
    assert found.largest == pytest.approx(0.4)
    # The third went from 5 to 1; the first was a tie, of which the earlier label is taken.
    assert found.share_changed == 0.5 and isinstance(found.changed, Estimate)
    assert "0.200" in str(found) and "n=4" in str(found)


def test_mass_outside_the_labels_does_not_count():
    found = of([said(_1=0.5, _2=0.5)] * 2, [said(_1=0.05, _2=0.05), said(_1=0.3, _2=0.1)])
    assert found.average == pytest.approx((0 + 0.25) / 2)


def test_nothing_changed_is_no_interval():
    found = of([said(_1=0.5, _2=0.5)] * 9, [said(_1=0.5, _2=0.5)] * 9)
    assert isinstance(found.mean, Undefined) and found.average == found.share_changed == 0
    assert "0.000" in str(found)


def test_what_one_engine_did_not_answer_is_left_out_and_counted():
    a, b = said(_1=0.5, _2=0.5), said(_1=0.4, _2=0.6)
    found = of([a, None, a, a], [b, b, None, a])
    assert found.n == 2 and found.changed.skipped == 2
    nothing = of([None], [a])
    assert nothing.n == 0 and isinstance(nothing.mean, Undefined)


def test_answers_keep_their_order_and_failures_their_place():
    def script(request):
        if request.id == "1":
            return Unavailable("gone")
        return Generation(text=request.id)

    asked = [GenerationRequest(id=str(n), messages=(Message("user", "x"),)) for n in range(3)]
    found = answers(ScriptedBackend(script), asked)
    assert [one and one.text for one in found] == ["0", None, "2"]
