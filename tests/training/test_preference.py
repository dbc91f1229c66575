"""TRL's losses are the formulas of recipes.md 2, on a hand table and through the whole stage."""

import math

import pytest
from tiny_models import make_tokenizer, preference, recipe_of, write

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("trl", reason="training needs trl")

from types import SimpleNamespace  # noqa: E402

from glider.corpus.examples import Preference  # noqa: E402
from glider.training.batches import BatchRow  # noqa: E402
from glider.training.folder import curve, result  # noqa: E402
from glider.training.run import train  # noqa: E402
from glider.training.stages.preference import PreferenceStage, Totals  # noqa: E402
from glider.training.tokens import Coder  # noqa: E402

BETA = 0.1


def logistic(x):
    return 1 / (1 + math.exp(-x))


def formula(loss, r_chosen, r_rejected, *, nll=0.0):
    s = logistic
    return {
        "apo_zero": 1 - s(BETA * r_chosen) + s(BETA * r_rejected),
        "apo_down": s(BETA * r_chosen) + 1 - s(BETA * (r_chosen - r_rejected)),
        "sigmoid": -math.log(s(BETA * (r_chosen - r_rejected))),
        "sft": nll,
    }[loss]


class Says(torch.nn.Module):
    """A model whose answers have given log-probabilities, split over their tokens."""

    is_gradient_checkpointing = False

    def __init__(self, chosen, rejected):
        super().__init__()
        self.logps = torch.tensor([*chosen, *rejected])

    def forward(self, *, labels, **_others):
        mask = labels[:, 1:] != -100
        share = mask / mask.sum(1, keepdim=True)
        zeros = torch.zeros_like(share)
        return SimpleNamespace(
            log_probs=share * self.logps[:, None], entropy=zeros, mean_logits=zeros,
            is_top1=zeros.bool(), label_mask=mask,
        )  # fmt: skip


def trl_loss(losses, weights, policy, reference):
    """TRL's own method, on a batch of pairs whose answers have 2 and 3 tokens."""
    from collections import defaultdict

    from trl import DPOTrainer

    n = len(policy[0])
    pairs = {
        "input_ids": torch.ones(2 * n, 8, dtype=torch.long),
        "attention_mask": torch.ones(2 * n, 8, dtype=torch.long),
        "completion_mask": torch.tensor([[0] * 6 + [1] * 2] * n + [[0] * 5 + [1] * 3] * n),
    }
    alone = SimpleNamespace(
        device=torch.device("cpu"), gather_for_metrics=lambda x: x, gather=lambda x: x
    )
    trainer = SimpleNamespace(
        model=Says(*policy), ref_model=Says(*reference), accelerator=alone, beta=BETA,
        loss_types=losses, loss_weights=weights, ld_alpha=None, precompute_ref_logps=False,
        f_divergence_type="reverse_kl", label_smoothing=0.0, use_weighting=False,
        aux_loss_enabled=False, args=SimpleNamespace(gradient_checkpointing_kwargs=None),
        _metrics={"train": defaultdict(list), "eval": defaultdict(list)}, _tp_size=1,
        _total_train_tokens=0,
    )  # fmt: skip
    return float(DPOTrainer._compute_loss(trainer, trainer.model, pairs, False))


TABLE = [
    # log pi - log ref of chosen, of rejected
    (0.0, 0.0),
    (1 / BETA, -1 / BETA),
    (-1 / BETA, 1 / BETA),
    (3.0, 2.0),
    (-25.0, -40.0),
]


@pytest.mark.parametrize("loss", ["apo_zero", "apo_down", "sigmoid"])
@pytest.mark.parametrize(("r_chosen", "r_rejected"), TABLE)
def test_trls_loss_is_the_formula(loss, r_chosen, r_rejected):
    reference = ([-20.0], [-30.0])
    policy = ([-20.0 + r_chosen], [-30.0 + r_rejected])
    found = trl_loss([loss], [1.0], policy, reference)
    assert found == pytest.approx(formula(loss, r_chosen, r_rejected), abs=1e-6)


def test_landmarks():
    same = ([-20.0], [-30.0])
    assert trl_loss(["apo_zero"], [1.0], same, same) == 1.0
    far = ([-20.0 + 1 / BETA], [-30.0 - 1 / BETA])
    assert trl_loss(["apo_zero"], [1.0], far, same) == pytest.approx(0.538, abs=5e-4)


def test_gliders_loss_is_both_terms():
    """Chosen answers have 2 tokens and log-probabilities of -20 and -6: a mean of 26 / 4."""
    policy, reference = ([-20.0, -6.0], [-30.0, -9.0]), ([-22.0, -6.0], [-29.0, -9.0])
    apo = (formula("apo_zero", 2.0, -1.0) + formula("apo_zero", 0.0, 0.0)) / 2
    found = trl_loss(["apo_zero", "sft"], [1.0, 1.0], policy, reference)
    assert found == pytest.approx(apo + 26 / 4, abs=1e-6)
    found = trl_loss(["apo_zero", "sft"], [2.0, 0.5], policy, reference)
    assert found == pytest.approx(2 * apo + 0.5 * 26 / 4, abs=1e-6)


def test_a_pass_is_what_trls_collator_makes():
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    coder = Coder(make_tokenizer(), model="tiny")
    pairs = [
        coder.preference(Preference.model_validate(preference(n, f"{n}\nReason: good", "5")))
        for n in (1, 2)
    ]
    stage = PreferenceStage(kind="preference", learning_rate=1e-3)
    ours = stage.collate([BatchRow(0, True), BatchRow(1, True)], pairs, Totals(4, 40), pad_id=0)
    theirs = DataCollatorForPreference(pad_token_id=0, pad_to_multiple_of=32)(
        [{k: getattr(p, k) for k in ("prompt_ids", "chosen_ids", "rejected_ids")} for p in pairs]
    )
    assert ours["share"] == 0.5
    assert set(ours["model"]) == set(theirs)
    for key, value in theirs.items():
        assert torch.equal(ours["model"][key], value), key


def test_many_small_passes_are_one_big_batch(tiny, tmp_path):
    """The same curve and figures to rounding, though chosen answers differ in length."""
    pairs = [preference(n, f"{n % 5 + 1}\nReason: {'good ' * n}", "3") for n in range(12)]
    write(tmp_path / "preferences-train.jsonl.gz", pairs)
    write(tmp_path / "preferences-dev.jsonl.gz", pairs)

    def figures(batch_tokens):
        recipe = recipe_of(tiny, kind="preference", loss=["apo_zero", "sft"], batch=6, epochs=2,
                           loss_weights=[1.0, 0.5], batch_tokens=batch_tokens)  # fmt: skip
        out = tmp_path / str(batch_tokens)
        train(recipe, data=tmp_path, out=out)
        return [line.get("loss") or line["eval"]["loss"] for line in curve(out)]

    assert figures(64) == pytest.approx(figures(100_000), rel=1e-5)


@pytest.mark.parametrize("lora", [None, {"rank": 4, "alpha": 8}], ids=["whole", "lora"])
@pytest.mark.parametrize("loss", ["apo_zero", "apo_down", "sigmoid"])
def test_a_stage_starts_at_the_landmark(tiny, data, tmp_path, lora, loss):
    """Policy and reference are one model before the first step: 1, 1 and log 2."""
    recipe = recipe_of(
        tiny, kind="preference", lora=lora, loss=[loss], loss_weights=[1.0], batch_tokens=512
    )
    train(recipe, data=data, out=tmp_path / "run")
    lines = list(curve(tmp_path / "run"))
    begin = math.log(2) if loss == "sigmoid" else 1.0
    assert lines[0]["eval"]["loss"] == pytest.approx(begin, abs=1e-6)
    assert lines[1]["loss"] == pytest.approx(begin, abs=1e-6)


def test_it_learns_what_is_preferred(tiny, data, tmp_path):
    recipe = recipe_of(
        tiny, kind="preference", learning_rate=1e-2, epochs=40,
        evaluate={"every": 20, "metric": "accuracy"}, checkpoint={"every": 40},
    )  # fmt: skip
    found = train(recipe, data=data, out=tmp_path / "run")
    assert found.metrics["accuracy"] > 0.9
    first, *_, last = (line["loss"] for line in curve(tmp_path / "run") if "loss" in line)
    assert last < first


def test_after_sft_the_adapter_is_trained_on_against_a_copy_of_itself(tiny, data, tmp_path):
    lora = {"rank": 4, "alpha": 8}
    sft = recipe_of(tiny, lora=lora, learning_rate=1e-2).stages[0]
    both = recipe_of(tiny, kind="preference", lora=lora, learning_rate=1e-3, epochs=2)
    both = both.model_copy(update={"stages": (sft, *both.stages)})
    found = train(both, data=data, out=tmp_path / "run")
    assert found.kind == "adapter"
    (begin,) = [
        line["eval"]
        for line in curve(tmp_path / "run")
        if line["stage"] == "2-preference" and line["step"] == 0
    ]
    # APO-zero's 1 exactly, and the SFT term beside it: the reference is the adapter as it came.
    assert begin["margin"] == 0
    kept = sorted(path.name for path in found.folder.iterdir())
    assert "adapter_model.safetensors" in kept and "ref" not in kept

    from safetensors.torch import load_file

    before = load_file(tmp_path / "run/1-sft/model/adapter_model.safetensors")
    after = load_file(found.folder / "adapter_model.safetensors")
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_a_run_can_go_on_from_an_adapter(tiny, data, tmp_path):
    lora = {"rank": 4, "alpha": 8}
    train(recipe_of(tiny, lora=lora), data=data, out=tmp_path / "one")
    write(data / "preferences-dev.jsonl.gz", [preference(1)])
    second = recipe_of(tiny, kind="preference", lora=lora, start=str(tmp_path / "one"))
    train(second, data=data, out=tmp_path / "two")
    assert result(tmp_path / "two").kind == "adapter"
    settings = (tmp_path / "two/manifest.json").read_text()
    assert str(tmp_path) not in settings


# Weights


@pytest.mark.parametrize("batch_tokens", [64, 100_000])
def test_a_pair_of_weight_2_is_two_pairs(tiny, tmp_path, batch_tokens):
    """In losses, gradients and figures, in however many passes: the mean is a weighted one."""
    a, b = preference(1, "1\nReason: good", "4"), preference(2, "5", "2\nReason: clear and short")
    weighed, twice = [{**a, "weight": 2.0}, b], [a, {**a, "id": "again"}, b]

    def lines(name, pairs):
        folder = tmp_path / name
        write(folder / "preferences-train.jsonl.gz", pairs)
        write(folder / "preferences-dev.jsonl.gz", pairs)
        recipe = recipe_of(
            tiny, kind="preference", loss=["sigmoid", "sft"], loss_weights=[1.0, 0.5], epochs=3,
            learning_rate=1e-2, batch=len(pairs), batch_tokens=batch_tokens,
            evaluate={"every": 1}, checkpoint={"every": 9},
        )  # fmt: skip
        train(recipe, data=folder, out=folder / "run")
        told = ("loss", "accuracy", "margin")
        return [[line.get("eval", line)[key] for key in told if key in line.get("eval", line)]
                for line in curve(folder / "run")]  # fmt: skip

    found, expected = lines("weighed", weighed), lines("twice", twice)
    assert len(found) == len(expected) == 7
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=2e-5)


def test_totals_by_hand():
    coder = Coder(make_tokenizer(), model="tiny")
    a, b = (
        coder.preference(Preference.model_validate(preference(1, text, "2", weight=weight)))
        for text, weight in (("4", 3.0), ("5", 1.0))
    )
    assert [len(pair.chosen_ids) for pair in (a, b)] == [1, 1]  # a bare label ends no turn
    totals = Totals.of([a, b])
    assert (totals.pairs, totals.chosen_tokens) == (4.0, 4.0)
    stage = PreferenceStage(kind="preference", learning_rate=1e-3)
    one = stage.collate([BatchRow(0, True)], [a, b], totals, pad_id=0)
    assert (one["share"], one["sft_share"]) == (3 / 4, 3 / 4)
    assert stage.share_a_pass(a) != stage.share_a_pass(b)
