"""Marks of the worse texts of minimal pairs."""

from pathlib import Path

import pytest
from unit.corpus.cases import item, pair

from glider.corpus.minimal_pairs import marked_by_pairs
from glider.corpus.mixing import mix
from glider.corpus.mixture import Mixture
from glider.corpus.sources import sources

DATA = Path(__file__).parents[4] / "shared" / "data"
RIGHT = "The shop opens at nine in the morning and closes at six."


def marks(*texts, **options):
    """Mark texts given as (gold, text); return the marked words of each."""
    made = [item(gold, output=text, id=str(n), **options) for n, (gold, text) in enumerate(texts)]
    found = marked_by_pairs(made)
    return [[one.sample.judged[0].text[s.start : s.end] for s in one.spans] for one in found]


@pytest.mark.parametrize(
    ("worse", "marked"),
    [
        (RIGHT.replace("nine", "ten"), ["ten"]),
        (RIGHT.replace("nine", "half past nine"), ["half past"]),  # words put in
        (RIGHT.replace("opens at nine", "is shut at noon"), ["is shut at noon"]),
        (RIGHT.replace("closes", "close"), ["close"]),  # whole words
        (RIGHT.replace("six", "sixteen"), ["sixteen"]),
        (RIGHT.replace("The", "No"), ["No"]),
        (RIGHT.replace(" in the morning", ""), []),  # left out: there is no place
        (RIGHT.replace("nine", "ten").replace("six", "two"), []),  # two places, most of the text
        (RIGHT.replace("at nine", "at nine, or later on some days of the year,"), []),
        ("We are shut today.", []),  # another text
        ("", []),
        (RIGHT, []),  # the same text, labelled twice
    ],
)  # fmt: skip
def test_what_differs_from_a_better_twin_is_marked(worse, marked):
    assert marks((5, RIGHT), (1, worse)) == [[], marked]


def test_the_nearest_better_twin_decides():
    worse = RIGHT.replace("nine", "ten")
    other = RIGHT.replace("nine in the morning", "eight in the evening")
    assert marks((5, other), (1, worse), (4, RIGHT)) == [[], ["ten"], ["nine in the morning"]]


def test_equal_labels_other_prompts_and_people_s_marks_are_left_alone():
    worse = RIGHT.replace("nine", "ten")
    assert marks((3, RIGHT), (3, worse)) == [[], []]
    elsewhere = [item(5, output=RIGHT), item(1, output=worse, input="Another question")]
    assert [one.spans for one in marked_by_pairs(elsewhere)] == [(), ()]
    by_people = [item(5, output=RIGHT), item(1, output=worse, spans=[(0, 3)])]
    assert marked_by_pairs(by_people) == by_people
    assert marked_by_pairs([pair(1), pair(0)]) == [pair(1), pair(0)]


def test_chinese_texts_are_marked_by_their_characters():
    right = "这家商店早上九点开门，晚上六点关门。"
    assert marks((5, right), (1, right.replace("九", "十"))) == [[], ["十"]]


@pytest.mark.skipif(not DATA.exists(), reason="the records are not here")
def test_edited_summaries_teach_where_their_fault_is():
    mixture = Mixture(
        sets={"summedits": {}}, marks=True, minimal_pairs=True, both_orders=False, dev=0.1
    )
    made = mix(sources(mixture, DATA, {}), [], mixture)
    plain = mix(sources(mixture, DATA, {}), [], mixture.model_copy(update={"minimal_pairs": False}))
    n = made.counts.changed["marked by a minimal pair"]
    quoted = [e for e in made.train + made.dev if "Quotes:\n- " in e.completion]
    assert n > 200 and 100 < len(quoted) <= n
    assert all(example.score == 0 for example in quoted)
    assert not any("Quotes:\n- " in e.completion for e in plain.train)
    assert {e.id for e in plain.train} == {e.id for e in made.train}
