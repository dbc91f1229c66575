"""Comparisons: both orders, the flip, ranking; and places mapped back to the sample's own names."""

import math

import pytest

from glider import Criterion, Judge, PairTask, Sample
from glider.backends.scripted import ScriptedBackend
from glider.core.errors import Unavailable
from glider.core.generation import Generation
from glider.core.judgments import Comparison, JudgmentFailed
from glider.formats.nano import NanoFormat
from glider.judging.pairs import opposed, ranking, round_robin

CRITERION = Criterion(
    name="short", question="Is the {output} short?", rubric={0: "long", 1: "short"}
)
SAMPLE = Sample.of(outputs=["alpha text", "beta text"], id="s")


def answer(score, quote=None):
    quotes = f"Quotes:\n- {quote}" if quote else "Quotes: none"
    return f"{score}\n{quotes}\nReason: x"


def compared(answers, **options) -> Comparison:
    judge = Judge(ScriptedBackend(answers), format=NanoFormat())
    task = PairTask(SAMPLE, CRITERION, "output 1", "output 2", **options)
    return next(judge.judge_many([task]))


@pytest.mark.parametrize(
    ("as_shown", "swapped", "preferred", "p_first", "flipped"),
    [
        (0, 1, "output 1", 1.0, False),  # the first text wins in both places
        (1, 0, "output 2", 0.0, False),
        (0, 0, None, 0.5, True),  # whatever stands first wins: that is no preference
        (1, 1, None, 0.5, True),
    ],
)
def test_both_orders(as_shown, swapped, preferred, p_first, flipped):
    comparison = compared([answer(as_shown), answer(swapped)])
    assert (comparison.preferred, comparison.p_first) == (preferred, p_first)
    assert comparison.flipped is flipped


def test_probabilities_are_averaged_over_the_orders():
    logprobs = {"0": math.log(0.8), "1": math.log(0.2)}
    judge = Judge(
        ScriptedBackend(lambda _: answer(0), label_logprobs=logprobs), format=NanoFormat()
    )
    comparison = next(judge.judge_many([PairTask(SAMPLE, CRITERION, "output 1", "output 2")]))
    # 0.8 as shown, 1 - 0.8 swapped: the judge only likes the first place.
    assert comparison.p_first == pytest.approx(0.5)
    assert comparison.flipped


@pytest.mark.parametrize(
    ("p_first_shown", "p_first_swapped", "flipped"),
    [(0.5, 0.7, False), (0.5, 0.3, False), (0.6, 0.7, False), (0.6, 0.3, True), (0.5, 0.5, False)],
)
def test_an_order_that_sees_no_difference_names_no_winner(p_first_shown, p_first_swapped, flipped):
    """In the second order the first text stands second, so its share is that of the label 1."""
    shares = iter([p_first_shown, 1 - p_first_swapped])

    def script(request):
        p = next(shares)
        logprobs = {"0": math.log(p), "1": math.log(1 - p)}
        return Generation(text="Score: " + answer(0), label_logprobs=logprobs)

    comparison = compared(script)
    assert comparison.flipped is flipped


def test_opposed_names_no_order_first():
    table = [(0.6, 0.3), (0.5, 0.7), (0.5, 0.3), (0.5, 0.5), (0.7, 0.6)]
    assert [opposed(a, b) for a, b in table] == [True, False, False, False, False]
    assert all(opposed(a, b) == opposed(b, a) for a, b in table)


def test_an_order_that_fails_leaves_the_other_and_no_claim_about_flips():
    comparison = compared([answer(0), Unavailable("gone")])
    assert (comparison.preferred, comparison.flipped) == ("output 1", None)
    nothing = compared([Unavailable("gone"), Unavailable("gone")])
    assert (nothing.preferred, nothing.p_first, nothing.flipped) == (None, None, None)
    assert [order.code for order in nothing.orders] == ["unavailable", "unavailable"]


def test_one_order_only_when_asked():
    comparison = compared([answer(0)], both_orders=False)
    assert (len(comparison.orders), comparison.flipped) == (1, None)


def test_quotes_are_placed_under_the_samples_own_names():
    comparison = compared([answer(0, "alpha"), answer(1, "alpha")])
    for order in comparison.orders:
        (highlight,) = order.highlights
        assert {span.field for span in highlight.spans} == {"output 1"}


def test_the_judge_cannot_tell_the_orders_by_names():
    backend = ScriptedBackend([answer(0), answer(1)])
    sample = Sample.of(outputs=["alpha text", "beta text", "gamma text"])
    task = PairTask(sample, CRITERION, "output 2", "output 3")
    list(Judge(backend, format=NanoFormat()).judge_many([task]))
    first, second = (r.messages[-1].content for r in backend.requests)
    assert "alpha" not in first
    assert first.index("<output 1>") < first.index("beta") < first.index("gamma")
    assert second.index("<output 1>") < second.index("gamma") < second.index("beta")


def test_many_outputs_meet_pairwise_and_are_ranked():
    def longest_wins(request):
        text = request.messages[-1].content
        one = text.split("<output 1>\n")[1].split("\n</output 1>")[0]
        two = text.split("<output 2>\n")[1].split("\n</output 2>")[0]
        return answer(0 if len(one) > len(two) else 1)

    sample = Sample.of(outputs=["aa", "aaaa", "a", "aaa"])
    assert len(list(round_robin(sample, CRITERION))) == 6
    judge = Judge(ScriptedBackend(longest_wins), format=NanoFormat())
    ranked = judge.rank(sample, CRITERION)
    assert [name for name, _ in ranked] == ["output 2", "output 4", "output 1", "output 3"]
    assert ranked[0][1] == 1.0
    assert ranking([]) == []


def test_a_pair_that_cannot_be_judged_does_not_count_in_a_ranking():
    def script(request):
        text = request.messages[-1].content
        return Unavailable("gone") if "aaaa" in text else answer(int("<output 2>\nbb" in text))

    sample = Sample.of(outputs=["aaaa", "bb", "c"])
    ranked = Judge(ScriptedBackend(script), format=NanoFormat()).rank(sample, CRITERION)
    assert ranked == [("output 2", 1.0), ("output 3", 0.0)]
    nothing = Judge(ScriptedBackend([]), format=NanoFormat())
    with pytest.raises(JudgmentFailed, match="unavailable"):
        nothing.rank(sample, CRITERION)
