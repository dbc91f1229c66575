"""The supervised loss against arithmetic and against TRL, and what is measured beside it."""

import math

import pytest
from tiny_models import example, make_tokenizer, toy

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("trl", reason="training needs trl")

from transformers import AutoModelForCausalLM  # noqa: E402

from glider.core.errors import SetupError  # noqa: E402
from glider.corpus.examples import Example  # noqa: E402
from glider.training import agreement, logits  # noqa: E402
from glider.training.batches import BatchRow  # noqa: E402
from glider.training.stages.sft import SftStage, Totals  # noqa: E402
from glider.training.tokens import Coder  # noqa: E402


def stage(**changes):
    return SftStage(kind="sft", learning_rate=1e-3, **changes)


@pytest.fixture(scope="module")
def coder():
    return Coder(make_tokenizer(), model="tiny")


@pytest.fixture
def examples(coder):
    plain = [
        example(0, 4, text="good"),
        example(1, 3, text="longer and plainer", soft=[0, 0.25, 0.75, 0, 0]),
        example(2, 2, completion="2\nQuotes: none\nReason: poor", whole=True, weight=2.0),
        example(3, 10, completion="10", labels=[str(n) for n in range(11)]),
        example(4, 1, completion="clear", labels=None, whole=True),
    ]
    return [coder.example(Example.model_validate(one)) for one in plain]


def load(folder):
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.train()
    return model


def by_hand(model, examples, stage):
    """The formula, written down naively: whole logits, one example at a time, python sums."""
    score, text = [], []  # (weight, cross-entropy)
    for one in examples:
        logprobs = model(torch.tensor([one.ids])).logits[0].log_softmax(-1)
        for index, is_score in one.learnt():
            at = logprobs[index - 1]
            if is_score and one.score.label_ids:
                pairs = zip(one.score.label_ids, one.score.probs, strict=True)
                value = -sum(p * at[token] for token, p in pairs)
            else:
                value = -at[one.ids[index]]
            goes_to = score if is_score and stage.score_weight is not None else text
            goes_to.append((one.weight, value))

    def mean(found):
        return sum(w * v for w, v in found) / sum(w for w, _ in found) if found else 0.0

    return (stage.score_weight or 0.0) * mean(score) + stage.text_weight * mean(text)


def by_passes(model, examples, stage, passes):
    totals = stage.totals(examples)
    loss = 0
    for indices in passes:
        rows = [BatchRow(index, True) for index in indices]
        one = stage.collate(rows, examples, totals, pad_id=0)
        loss = loss + (logits.cross_entropies(model(**one["model"]), one) * one["share"]).sum()
    return loss


WEIGHTS = [(1.0, 1.0), (2.0, 0.5), (1.0, 0.0), (None, 1.0)]


@pytest.mark.parametrize(("score_weight", "text_weight"), WEIGHTS)
@pytest.mark.parametrize("passes", [[[0, 1, 2, 3, 4]], [[2], [1, 4], [0, 3]]], ids=["one", "three"])
def test_the_loss_is_the_formula_however_an_update_is_cut(
    tiny, examples, score_weight, text_weight, passes
):
    asked = stage(score_weight=score_weight, text_weight=text_weight)
    expected = by_hand(plain := load(tiny), examples, asked)
    model = load(tiny)
    logits.read_only_learnt(model)
    loss = by_passes(model, examples, asked, passes)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    expected.backward()
    for (name, mine), theirs in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert torch.allclose(mine.grad, theirs.grad, atol=1e-6), name


def test_without_a_score_weight_it_is_the_loss_of_trl(tiny, coder):
    """TRL's own: the mean over all answer tokens of a batch, from whole logits."""
    made = [example(n, 3, completion=f"3\nReason: {'so ' * n}poor", whole=True) for n in range(4)]
    coded = [coder.example(Example.model_validate(one)) for one in made]
    model = load(tiny)
    width = max(map(len, coded))
    ids = torch.zeros(4, width, dtype=torch.long)
    labels = torch.full((4, width), -100)
    for n, one in enumerate(coded):
        ids[n, : len(one)] = torch.tensor(one.ids)
        labels[n, one.n_prompt : len(one)] = ids[n, one.n_prompt : len(one)]
    mask = (torch.arange(width) < torch.tensor([[len(one)] for one in coded])).long()
    theirs = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    logits.read_only_learnt(model)
    ours = by_passes(model, coded, stage(score_weight=None), [[0, 1, 2, 3]])
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)


def test_a_row_that_does_not_count_teaches_nothing(tiny, examples):
    asked = stage()
    model = load(tiny)
    logits.read_only_learnt(model)
    one = asked.collate([BatchRow(2, False)], examples, asked.totals(examples), pad_id=0)
    assert one["share"].tolist() == [0.0] * len(one["share"])


def test_many_positions_are_read_in_parts(tiny, examples, monkeypatch):
    asked = stage(score_weight=None)
    whole, parted = load(tiny), load(tiny)
    for model, most in ((whole, 512), (parted, 3)):
        monkeypatch.setitem(logits._AT_ONCE, "cpu", most)
        logits.read_only_learnt(model)
        by_passes(model, examples, asked, [[0, 1, 2, 3, 4]]).backward()
    for mine, theirs in zip(parted.parameters(), whole.parameters(), strict=True):
        assert torch.allclose(mine.grad, theirs.grad, atol=1e-6)


def test_a_model_that_bends_its_logits_is_refused(tiny):
    model = load(tiny)
    model.config.final_logit_softcapping = 30.0
    with pytest.raises(SetupError, match="final_logit_softcapping"):
        logits.read_only_learnt(model)


def test_without_positions_it_is_the_model_it_was(tiny):
    ids = torch.tensor([[5, 6, 7]])
    model = load(tiny).eval()
    before = model(ids).logits
    logits.read_only_learnt(model)
    assert torch.equal(model(ids).logits, before)


# Figures


def measured(set, expected, gold, *, right=False):
    return agreement.ExampleResult(set=set, score_loss=1.0, text_loss=0.0, n_text=0, expected=expected,
                        gold=gold, right=right)  # fmt: skip


def test_agreement_is_the_mean_over_sets_that_can_tell():
    rising = [measured("a", n / 20, n / 20, right=True) for n in range(20)]
    flat = [measured("b", 0.5, n / 20) for n in range(20)]  # the judge always says the same: 0
    few = [measured("c", n, -n) for n in range(19)]  # too few to count
    one_label = [measured("d", n / 20, 1.0) for n in range(20)]  # nothing to agree with
    found = agreement.figures([*rising, *flat, *few, *one_label], score_weight=1, text_weight=1)
    assert found["pearson"] == pytest.approx((1.0 + 0.0) / 2)
    assert found["accuracy"] == pytest.approx(1 / 4)
    assert found["score_loss"] == found["loss"] == 1.0
    assert "pearson" not in agreement.figures(few, score_weight=1, text_weight=1)


def test_what_is_measured_is_what_the_model_says(tiny, coder):
    coded = [coder.example(Example.model_validate(one)) for one in toy(6)]
    model = load(tiny).eval()
    plain = load(tiny).eval()
    logits.read_only_learnt(model)
    rows = [BatchRow(n, True) for n in range(6)]
    with torch.no_grad():
        one = stage().collate(rows, coded, Totals(1, 1), pad_id=0)
        found = agreement.measure(one, model(**one["model"]), rows, coded)
        for said, example_ in zip(found, coded, strict=True):
            whole = plain(torch.tensor([example_.ids])).logits[0, example_.score.start - 1]
            probs = whole[list(example_.score.label_ids)].softmax(-1)
            expected = sum(n * p for n, p in enumerate(probs.tolist())) / 4
            assert said.expected == pytest.approx(expected, abs=1e-5)
            own = -whole.log_softmax(-1)[example_.ids[example_.score.start]]
            assert said.score_loss == pytest.approx(own.item(), abs=1e-4)
            assert math.isfinite(said.score_loss)
