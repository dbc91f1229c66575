"""Which examples make an update, and which passes it is cut into."""

import pytest

from glider.training.batches import Updates, padded

LENGTHS = [10, 70, 130, 30, 64, 65, 200, 5, 90, 128]


def updates(**changes):
    return Updates(LENGTHS, **{"batch": 4, "batch_tokens": 256, "seed": 3, **changes})


@pytest.mark.parametrize(("length", "width"), [(1, 32), (32, 32), (33, 64), (128, 128)])
def test_width(length, width):
    assert padded(length) == width


def test_an_epoch_has_each_example_once():
    plan = updates()
    assert len(plan) == 3
    seen = [index for n in range(len(plan)) for index in plan.examples(n)]
    assert sorted(seen) == list(range(len(LENGTHS)))
    assert [len(plan.examples(n)) for n in range(3)] == [4, 4, 2]


def test_epochs_differ_and_updates_reach_across_them():
    plan = updates(epochs=2)
    order = [index for n in range(len(plan)) for index in plan.examples(n)]
    assert len(plan) == 5
    assert sorted(order[:10]) == sorted(order[10:]) == list(range(10))
    assert order[:10] != order[10:]


def test_half_an_epoch():
    assert sum(len(updates(epochs=0.5).examples(n)) for n in range(2)) == 5


def test_seed_decides_and_nothing_else():
    assert updates().examples(1) == updates(batch_tokens=64).examples(1)
    assert updates().examples(0) != updates(seed=4).examples(0)


def test_passes_are_of_like_length_and_within_the_limit():
    plan = updates(batch=10)
    passes = plan.passes(0)
    assert [[LENGTHS[row.index] for row in rows] for rows in passes] == [
        [200],  # 224 wide
        [130],  # 160 wide: a second one would be too much
        [128, 90],
        [70, 65],
        [64, 30, 10, 5],
    ]
    assert plan.padded_tokens(0) == 224 + 160 + 256 + 192 + 256


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_an_update_and_keep_step(processes):
    plans = [updates(batch=10, rank=rank, processes=processes) for rank in range(processes)]
    for n in range(len(plans[0])):
        passes = [plan.passes(n) for plan in plans]
        assert len({len(own) for own in passes}) == 1
        counted = [row.index for own in passes for rows in own for row in rows if row.counts]
        assert sorted(counted) == sorted(plans[0].examples(n))
        assert all(rows for own in passes for rows in own)
