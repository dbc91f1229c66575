"""Label probabilities by hand: every number below can be added up by eye."""

import math

import pytest

from glider.backends.labels import from_answer, label_logprobs
from glider.core.generation import Labels


def logs(table):
    return {token: math.log(p) for token, p in table.items()}


def chances(found):
    return None if found is None else {label: math.exp(v) for label, v in found.items()}


def unknown(_):
    return None


@pytest.mark.parametrize(
    ("labels", "first", "expected"),
    [
        ("12", {"1": 0.7, "2": 0.2}, {"1": 0.7, "2": 0.2}),
        ("12", {"1": 0.7, "x": 0.3}, {"1": 0.7, "2": 0.0}),  # not listed: no mass, not no label
        ("45", {"4": 0.5, " 4": 0.2, "5": 0.1}, {"4": 0.7, "5": 0.1}),  # one label, two tokens
        ("45", {"\n4": 0.5, "4 ": 0.2}, {"4": 0.5, "5": 0.0}),  # space before, not behind
        ("45", {"": 0.5, " ": 0.2, "4": 0.1}, {"4": 0.1, "5": 0.0}),  # nothing begins no label
        ("45", {"44": 0.9, "4": 0.1}, {"4": 0.1, "5": 0.0}),  # more than the label is not it
        ("45", {}, {"4": 0.0, "5": 0.0}),
        (["yes", "no"], {"y": 0.6, "no": 0.1}, {"yes": 0.6, "no": 0.1}),  # only one begins so
        (["-1", "1"], {"-": 0.6, "1": 0.4}, {"-1": 0.6, "1": 0.4}),
        (["10", "11"], {"1": 0.9}, None),  # cannot be told apart by the first token
        (["1", "10"], {"1": 0.5, "10": 0.1}, None),  # nor here: "1" may go on to "10"
        (["1", "10"], {"10": 0.1}, {"1": 0.0, "10": 0.1}),
    ],
)
def test_one_token(labels, first, expected):
    found = chances(label_logprobs(list(labels), logs(first), unknown))
    assert found == (expected if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("labels", "first", "after", "expected"),
    [
        # "1" in 0.8 of cases, and then "0" in a quarter of those: 0.8 * 0.25 = 0.2 is a ten.
        (["1", "2", "10"], {"1": 0.8, "2": 0.1}, {"1": {"0": 0.25, "\n": 0.7}},
         {"1": 0.6, "2": 0.1, "10": 0.2}),
        # A token of its own for "10" adds to the ten that is spelt out.
        (["1", "10"], {"1": 0.8, "10": 0.1}, {"1": {"0": 0.25}}, {"1": 0.6, "10": 0.3}),
        # Both ways to begin lead to one place: (0.5 + 0.3) * 0.25.
        (["1", "10"], {"1": 0.5, " 1": 0.3}, {"1": {"0": 0.25}}, {"1": 0.6, "10": 0.2}),
        # After a beginning a space is a space: "1 0" is no ten.
        (["1", "10"], {"1": 0.8}, {"1": {" 0": 0.5}}, {"1": 0.8, "10": 0.0}),
        (["1", "10"], {"1": 0.8}, {"1": {"0": 1.0}}, {"1": 0.0, "10": 0.8}),
        (["10", "11"], {"1": 0.9}, {"1": {"0": 0.5, "1": 0.5}}, {"10": 0.45, "11": 0.45}),
        # Three deep: "a" then "b" then the end or "c".
        (["a", "ab", "abc"], {"a": 1.0}, {"a": {"b": 0.5}, "ab": {"c": 0.5}},
         {"a": 0.5, "ab": 0.25, "abc": 0.25}),
    ],
)  # fmt: skip
def test_deeper(labels, first, after, expected):
    found = label_logprobs(labels, logs(first), lambda begun: logs(after[begun]))
    assert chances(found) == pytest.approx(expected)


FIRST = {"1": 0.5, "4": 0.3}
NONE = {"?": 1.0}


@pytest.mark.parametrize(
    ("opening", "tokens", "expected"),
    [
        ("Score: ", [("4", FIRST)], {"1": 0.5, "4": 0.3}),
        ("Score: ", [("4", FIRST), ("\n", NONE)], {"1": 0.5, "4": 0.3}),
        ("", [("Score", NONE), (": ", NONE), ("4", FIRST)], {"1": 0.5, "4": 0.3}),
        ("", [("Score: 9", NONE), ("\nScore: ", NONE), ("4", FIRST)], {"1": 0.5, "4": 0.3}),
        # A score that comes first cannot be taken over by what the judged text makes it quote.
        ("Score: ", [("4", FIRST), ("\n- Score: ", NONE), ("1", {"1": 1.0})], {"1": 0.5, "4": 0.3}),
        ("", [("Score:", NONE), (" 4", FIRST)], None),  # the token has a part of `after` in it
        ("", [("I like turtles", FIRST)], None),
        ("Score: ", [], None),
        ("", [("Score: ", FIRST)], None),  # cut before the label
    ],
)
def test_place_in_the_answer(opening, tokens, expected):
    asked = Labels(texts=("1", "4"), after="Score: ")
    found = from_answer(asked, opening, [(t, logs(d)) for t, d in tokens], unknown)
    assert chances(found) == (expected if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.7, None, "-0.1"])
def test_one_number_that_is_no_log_probability_leaves_no_distribution(value):
    """Not even one of a token that is no label: what the others have is then not known."""
    for token in ("4", "unlike"):
        first = {"1": -0.5, "5": -2.0, token: value}
        assert label_logprobs(["1", "4", "5"], first, unknown) is None
    below = {"1": -0.1}
    assert label_logprobs(["1", "10"], below, lambda _: {"0": value}) is None


def test_deeper_is_asked_with_the_answer_before_the_label():
    asked = []

    def deeper(begun):
        asked.append(begun)
        return logs({"0": 0.5})

    labels = Labels(texts=("1", "10"), after="Score: ")
    from_answer(labels, "Score: ", [("1", logs({"1": 0.8}))], deeper)
    assert asked == ["Score: 1"]
