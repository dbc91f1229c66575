"""The same text, nearly the same, and what only looks so."""

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.corpus.cases import item

from glider.core.samples import Sample
from glider.corpus.overlap import Index, instructions_of, normalized, overlaps
from glider.text.words import words

LONG = (
    "The river rises in the northern hills and runs for forty miles through three counties before "
    "it meets the sea near an old harbour town"
)
HALF = LONG[:85] + " quite another ending that nobody wrote before in any book or paper at all"


def index(**texts):
    found = Index()
    found.add("bench", [Sample.of(**texts)])
    return found


@pytest.mark.parametrize(
    ("sample", "found"),
    [
        ({"output": LONG}, {("answer", "exact")}),
        ({"output": LONG.upper().replace(" ", "  ") + "!"}, {("answer", "exact")}),
        ({"output": LONG + ", as everybody knows."}, {("answer", "near")}),
        ({"output": LONG[:110]}, {("answer", "near")}),  # a part of it
        ({"output": "so " * 300 + LONG}, {("answer", "near")}),  # all of it, in much else
        ({"output": HALF}, set()),
        ({"output": "x", "input": LONG}, {("prompt", "exact")}),
        ({"output": "Yes.", "input": "Is it?"}, set()),
        ({"output": " ".join(sorted(LONG.split()))}, set()),  # the same words in another order
    ],
)
def test_one_text(sample, found):
    matches = index(output=LONG, input="Tell me.").find(Sample.of(**sample))
    assert {(m.place, m.kind) for m in matches} == found


def test_short_texts_are_the_same_only_as_a_whole():
    bench = index(output="Yes.", input="Is it rain?")
    assert [m.place for m in bench.find(Sample.of("yes", input="is it rain"))] == ["item"]
    assert not bench.find(Sample.of("Yes.", input="Is it snow?"))


def test_an_instruction_is_no_prompt():
    asked = "Please translate the following text from English into the German language now."
    samples = [Sample.of(f"Text {n}", input=asked, context=f"Quelle {n}") for n in range(7)]
    bench = Index()
    bench.add("bench", samples)
    assert instructions_of(samples) == {normalized(asked)}
    fresh = Sample.of("other", input=asked, context="neu")
    assert not bench.find(fresh, instructions_of(samples))


def test_counts_by_pair_of_sets():
    items = [item(1, id="a", output=LONG), item(2, id="a", output=LONG), item(3, output="new")]
    found, hit = overlaps({"toy": items}, index(output=LONG))
    assert [(o.train, o.benchmark, o.place, o.kind, o.items) for o in found] == [
        ("toy", "bench", "answer", "exact", 2)
    ]
    assert hit == {"toy": {0, 1}}
    assert overlaps({"toy": items}, index(output=LONG), places=frozenset({"prompt"}))[1] == {}


@given(st.text(alphabet=string.printable + "é本๑"))
def test_the_fast_way_finds_the_same_words(text):
    assert normalized(text).split() == words(text)


def test_it_agrees_with_counting_runs_one_by_one():
    rng = random.Random(0)
    vocabulary = [f"w{n}" for n in range(40)]
    texts = [" ".join(rng.choices(vocabulary, k=rng.randrange(8, 30))) for _ in range(60)]
    texts += [" ".join(t.split()[3:] + ["tail"] * 3) for t in texts[:30] if len(t.split()) > 12]
    bench = Index()
    bench.add("bench", [Sample.of(t) for t in texts[:60]])

    def runs(text):
        split = text.split()
        return {tuple(split[n : n + 8]) for n in range(len(split) - 7)}

    for text in texts[60:]:
        near = any(
            len(runs(text) & runs(t)) >= 0.5 * min(len(runs(text)), len(runs(t)))
            for t in texts[:60]
        )
        assert bool(bench.find(Sample.of(text))) == near
