"""Selections on tables that can be checked by hand."""

import math

import numpy as np
import pytest
from unit.corpus.cases import item, labelled

from glider.core.errors import SetupError
from glider.corpus.from_items import example_of
from glider.formats import make_format
from glider.studies.selecting.draws import (
    TokenLosses,
    by_ifd,
    d3,
    dependability,
    ifd,
    random_selection,
    upd,
)
from glider.studies.selecting.losses import TorchLosses


def examples(n, name="toy"):
    form, one = make_format("nano"), labelled(name)
    return [example_of(item(2, id=str(k)), form, one) for k in range(n)]


class Table:
    """A model whose losses are written down."""

    def __init__(self, given, alone):
        self.given, self.alone = given, alone

    def __call__(self, examples, *, prompt=True):
        return [TokenLosses(np.array(row, float)) for row in (self.given if prompt else self.alone)]


def test_ifd_is_the_ratio_of_mean_losses():
    table = Table([[1, 3], [2], [0.5], []], [[4, 4], [1], [0], []])
    found = ifd(table, examples(4))
    assert found[:2] == [0.5, 2.0] and math.isnan(found[2]) and math.isnan(found[3])


def test_above_one_and_outliers_are_left_out_and_the_hardest_taken():
    values = [0.5] * 8 + [0.6] * 8 + [0.01, 1.2, math.nan]
    found = by_ifd(examples(19), values, 3)
    assert found.chosen == [8, 9, 10]
    assert found.dropped == {
        "an outlier of its set": 1,
        "the prompt does not help (IFD above 1)": 1,
        "no loss to compare": 1,
    }


def test_outliers_are_those_of_their_own_set():
    both = examples(12) + examples(12, "other")
    values = [0.9] * 11 + [0.1] + [0.1] * 12
    found = by_ifd(both, values, 24)
    assert found.dropped == {"an outlier of its set": 1} and 11 not in found.chosen


@pytest.mark.parametrize(
    ("nll", "entropy", "expected"),
    [
        ([0], [0], 0.5),  # sigmoid(0), and no doubt at all
        ([0], [math.log(16)], 0.0),  # every token alike: hard, but nothing to learn
        ([math.log(3)], [math.log(4)], 0.75 * 0.5),  # sigmoid(log 3) = 3/4
        ([0, math.log(3)], [0, 0], (0.5 + 0.75) / 2),
        ([], [], 0.0),
    ],
)
def test_upd(nll, entropy, expected):
    losses = TokenLosses(np.array(nll, float), np.array(entropy, float))
    assert upd(losses, 16) == pytest.approx(expected)


def test_upd_needs_entropies():
    with pytest.raises(SetupError, match="entropy"):
        upd(TokenLosses(np.ones(2)), 16)


def test_d3_takes_the_far_before_the_near_and_the_dependable_before_the_doubtful():
    east, near_east, north = [1, 0], [0.999, 0.04], [0, 1]
    embeddings = np.array([east, near_east, north, north], float)
    found = d3([0.9, 0.8, 0.5, 0.5], embeddings, [1, 1, 0.9, 1], 3)
    assert found.chosen == [0, 3, 1]  # 2 equals 3, which people agree on more
    assert d3([0.9, 0.8], np.array([east, east], float), [1, 1], 2).chosen == [0]
    with pytest.raises(SetupError, match="2 examples and 3 embeddings"):
        d3([1, 1], np.ones((3, 2)), [1, 1], 1)


def test_dependability_is_the_share_of_the_settled_level():
    form, one = make_format("nano"), labelled()
    assert dependability(example_of(item(4), form, one)) == 1
    assert dependability(example_of(item(4, ratings=(4, 4, 4, 5)), form, one)) == 0.75


def test_random_is_seeded_and_of_the_same_size():
    many = examples(20)
    first, again = (random_selection(many, 5, seed=1).chosen for _ in range(2))
    assert first == again != random_selection(many, 5, seed=2).chosen
    assert len(random_selection(many, 50).chosen) == 20
    with pytest.raises(SetupError):
        random_selection(many, 0)


def test_torch_losses_are_those_of_one_example_at_a_time():
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = transformers.LlamaConfig(
        vocab_size=31, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=64,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    rows = {"0": ([1, 2, 3, 4], [5, 6]), "1": ([1, 9], [7, 8, 9, 10]), "2": ([1, 3, 3], [11])}
    many = examples(3)
    ids = {example.id: rows[str(n)] for n, example in enumerate(many)}

    def encode(example, prompt):
        given, answer = ids[example.id]
        return (given if prompt else given[:1]), answer

    losses = TorchLosses(model, encode)
    for prompt in (True, False):
        for example, found in zip(many, losses(many, prompt=prompt), strict=True):
            given, answer = encode(example, prompt)
            tokens = torch.tensor([[*given, *answer]])
            told = model(tokens, output_hidden_states=True)
            guesses = told.logits[0].log_softmax(-1)
            expected = [-guesses[len(given) - 1 + k, a].item() for k, a in enumerate(answer)]
            assert found.nll == pytest.approx(expected, abs=1e-5)
            assert (found.entropy > 0).all() and (found.entropy <= math.log(31) + 1e-6).all()
            mean = told.hidden_states[-1][0, : len(given)].mean(0).detach().numpy()
            assert found.embedding == pytest.approx(mean, abs=1e-5)
