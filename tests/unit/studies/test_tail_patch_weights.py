"""Ratings, bundles and weights of a tail-patch, on tables."""

import json

import pytest
import yaml

from glider.corpus.data_card import DATA_RECORD
from glider.corpus.examples import Example
from glider.corpus.mixture import Mixture
from glider.studies.tail_patching.effects import PatchEffect, categories, effect
from glider.studies.tail_patching.measuring import Development, Score
from glider.studies.tail_patching.weights import (
    PatchedSet,
    TailPatch,
    best_of,
    bundles_of,
    draws_of,
    mixture,
    table,
)


def changed(value, low, high):
    return PatchEffect(value=value, low=low, high=high, n=40)


@pytest.mark.parametrize(
    ("one", "rating"),
    [
        (changed(0.10, 0.02, 0.18), 2),
        (changed(0.06, -0.02, 0.14), 1),  # a standard error is 0.04
        (changed(0.03, -0.05, 0.11), 0),
        (changed(-0.05, -0.12, 0.02), 0),
        (changed(-0.10, -0.18, -0.02), -1),
        (PatchEffect(value=None, low=None, high=None, n=3, why="one cluster"), 0),
    ],
)
def test_a_rating_looks_at_the_interval(one, rating):
    assert one.rating == rating


@pytest.mark.parametrize(
    ("ratings", "bundles", "draws"),
    [
        ([2, 2, 1, 0, 0], ("general", "for a", "for b"), 160_000),
        ([1, 1, 1, 1, 1], ("general",), 100_000),
        ([1, 1, 1, 1, 0], ("others",), 3_000),
        ([2, -1, -1, -1, 0], ("for a",), 30_000),
        ([-1, 0, 0, 0, 0], ("others",), 3_000),
        ([], ("others",), 3_000),
    ],
)
def test_bundles_and_weights_are_flames(ratings, bundles, draws):
    found = bundles_of(dict(zip("abcde", ratings, strict=False)))
    assert found == bundles and draws_of(found) == draws
    assert draws_of(found, boosted=True) == 200_000


def test_the_best_two_of_a_category_are_boosted():
    effects = {
        "one": {"safety": changed(0.10, 0.02, 0.18)},
        "two": {"safety": changed(0.30, 0.20, 0.40)},
        "three": {"safety": changed(0.20, 0.10, 0.30)},
        "harm": {"safety": changed(-0.30, -0.40, -0.20)},
        "self": {},
    }
    assert best_of(effects, "safety") == ["two", "three"]
    assert best_of({"harm": effects["harm"], "self": {}}, "safety") == []


def example(n, name, cluster):
    return Example(
        id=f"{name}{n}", set=name, part="", cluster=str(cluster), lang="en", licence="CC0",
        criterion="c", messages=(), score=1, completion="1", whole=False,
    )  # fmt: skip


def development(sizes):
    examples = [example(n, name, n // 2) for name, size in sizes.items() for n in range(size)]
    gold = [n % 5 / 4 for size in sizes.values() for n in range(size)]
    return Development(examples, [], gold, {})


def scored(dev, expected, *, loss=1.0):
    return {
        e.id: Score(expected=expected(n, gold), loss=loss + n % 3 * loss / 10, right=True)
        for n, (e, gold) in enumerate(zip(dev.examples, dev.gold, strict=True))
    }


def test_an_effect_is_paired_and_averages_over_sets():
    dev = development({"a": 40, "b": 20})
    before = scored(dev, lambda n, gold: (n * 7 % 11) / 11, loss=1.5)
    after = scored(dev, lambda n, gold: gold, loss=1.0)
    found = effect(before, after, dev, ["a", "b"], "pearson", seed=0)
    assert found.rating == 2 and found.n == 60 and 0.5 < found.value < 1.5
    same = effect(before, before, dev, ["a"], "pearson", seed=0)
    assert same.value is None and "every resample gives 0" in same.why and same.rating == 0
    # One of two sets has changed; it counts half, though it has two thirds of the items.
    half = before | {key: one for key, one in after.items() if key.startswith("a")}
    alone = effect(before, half, dev, ["a"], "loss", seed=0)
    both = effect(before, half, dev, ["a", "b"], "loss", seed=0)
    assert alone.value == pytest.approx(0.5 * 1.0975, abs=1e-5)
    assert both.value == pytest.approx(alone.value / 2, abs=1e-5)
    worse = effect(after, before, dev, ["a", "b"], "pearson", seed=0)
    assert worse.rating == -1 and worse.value == pytest.approx(-found.value)


def test_categories_are_families_and_small_sets_are_named():
    dev = development({"summeval": 25, "summedits": 25, "mine": 25, "few": 5})
    families, left_out = categories(dev, "pearson")
    assert families == {"mine": ["mine"], "summaries": ["summedits", "summeval"]}
    assert left_out == {"few": "5 scores, too few or all alike"}
    assert categories(dev, "loss")[0]["few"] == ["few"]


def patched(**sets):
    """A table of sets, each with how much was drawn of it and FLAMe's weight."""
    made = {
        name: PatchedSet(examples=examples, updates=9, own=None, total=0, draws=draws,
                         bundles=("others",), effects={"safety": changed(0.1, 0.02, 0.18)})
        for name, (examples, draws) in sets.items()
    }  # fmt: skip
    return TailPatch(checkpoint="m", metric="loss", steps=9, boosted=(), sets=made,
                     categories={"safety": ("dices_safety",)}, left_out={"few": "5 scores"})  # fmt: skip


def mixed(found, folder, sets, **manifest):
    """The mixture that `glider data` would read."""
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return Mixture.model_validate(yaml.safe_load(mixture(found, folder, sets)))


def test_the_mixture_gives_the_sets_their_share_of_draws(tmp_path):
    found = patched(big=(1000, 100_000), small=(100, 30_000))
    before = {"format": "nano", "size": 50, "sets": {"big": {"cap": 7, "weight": 1}}}
    settings = mixed(found, tmp_path, ["big", "small"], settings=before)
    weight = {name: share.weight for name, share in settings.sets.items()}
    assert settings.size == 50 and settings.sets["big"].cap == 7
    assert weight["small"] * 100 / (weight["big"] * 1000) == pytest.approx(0.3)
    told = table(found)
    assert "| big | 1000 | 9 |  | +0.100 [+0.020, +0.180] (+2) | 0 | others | 100000 |" in told
    assert "| few | 5 scores |" in told


def test_what_was_drawn_by_other_weights_is_counted_back(tmp_path):
    before = {"sets": {"one": {"weight": 1}, "two": {"weight": 4}}}  # of a thousand items each
    found = patched(one=(250, 3_000), two=(1000, 3_000))
    sets = mixed(found, tmp_path, ["one", "two"], settings=before).sets
    assert sets["one"].weight == sets["two"].weight


def test_sets_that_were_not_patched_stay_as_they_were(tmp_path):
    before = {"sets": {"one": {"weight": 2}, "two": {"weight": 2}, "else": {"cap": 9, "weight": 3}}}
    found = patched(one=(100, 3_000), two=(100, 9_000))
    sets = mixed(found, tmp_path, ["one", "two", "else"], settings=before).sets
    assert {name: share.weight for name, share in sets.items()} == {"one": 1, "two": 3, "else": 3}
    assert sets["else"].cap == 9
    # Where the settings name no set, all that was drawn from is named.
    assert mixed(found, tmp_path, ["one", "two", "else"], settings={}).sets["else"].weight == 1


def test_a_mixture_of_own_files_or_of_a_selection_can_be_read(tmp_path):
    found = patched(mine=(100, 3_000))
    sets = mixed(found, tmp_path, ["mine"], settings={}, own={"mine": "mine.jsonl"}).sets
    assert sets.keys() == {"mine.jsonl"}
    assert mixed(
        found, tmp_path, ["mine"], settings={"format": "nano", "by": "d3"}
    ).sets.keys() == {"mine"}


def test_of_a_selection_the_weights_are_those_it_was_drawn_by(tmp_path):
    before = {"sets": {"one": {"weight": 1}, "two": {"weight": 4}}}
    (tmp_path / DATA_RECORD).write_text(json.dumps({"settings": before}))
    found = patched(one=(250, 3_000), two=(1000, 3_000))
    sets = mixed(found, tmp_path, ["one", "two"], settings={"format": "nano", "by": "d3"}).sets
    assert sets["one"].weight == sets["two"].weight == pytest.approx(1.6, rel=0.01)
