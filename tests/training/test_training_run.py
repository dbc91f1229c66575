"""A training run: learns, measures, stops, survives, and says what went wrong."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from forked import Training
from tiny_models import build, example, recipe_of, shrunk, toy, write

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("trl", reason="training needs trl")

import yaml  # noqa: E402

from glider.core.errors import (  # noqa: E402
    CannotSave,
    DataError,
    EmptySplit,
    ManifestMismatch,
    ModelFileError,
    NoChatTemplate,
    NotFinite,
    OutOfMemory,
    RunError,
    SetupError,
    UnknownName,
)
from glider.models.dequantise import save_tokenizer  # noqa: E402
from glider.stats.correlation import pearson  # noqa: E402
from glider.training import logits, trainer  # noqa: E402
from glider.training.agreement import mean_level  # noqa: E402
from glider.training.base_model import find_base, load_tokenizer  # noqa: E402
from glider.training.checkpoints import best_step, checkpoints  # noqa: E402
from glider.training.folder import curve, load_manifest, result  # noqa: E402
from glider.training.predict import level_probabilities, load_to_ask  # noqa: E402
from glider.training.recipe import SHIPPED  # noqa: E402
from glider.training.run import train  # noqa: E402
from glider.training.stage_data import stage_data  # noqa: E402
from glider.training.tokens import Coder  # noqa: E402

LORA = {"rank": 4, "alpha": 8, "dropout": 0.2}


def losses(out):
    return {(line["stage"], line["step"]): line["loss"] for line in curve(out) if "loss" in line}


def weights(folder):
    from safetensors.torch import load_file

    (file,) = folder.glob("*model.safetensors")
    return load_file(file)


def test_eight_examples_are_learnt_by_heart(tiny, tmp_path):
    eight = [
        example(n, n % 5 + 1, text=f"text {n}", completion=f"{n % 5 + 1}\nReason: {'abcdefgh'[n]}", whole=True)
        for n in range(8)
    ]  # fmt: skip
    write(tmp_path / "train.jsonl.gz", eight)
    recipe = recipe_of(tiny, dev=None, epochs=400, learning_rate=1e-2, checkpoint={"every": 400})
    found = train(recipe, data=tmp_path, out=tmp_path / "run")
    last = list(curve(tmp_path / "run"))[-1]
    assert last["loss"] < 0.05

    from transformers import AutoModelForCausalLM, AutoTokenizer

    from glider.corpus.examples import Example
    from glider.training.tokens import Coder

    model = AutoModelForCausalLM.from_pretrained(found.folder)
    coder = Coder(AutoTokenizer.from_pretrained(found.folder), model="tiny")
    for one in eight:
        encoded = coder.example(Example.model_validate(one))
        asked = torch.tensor([encoded.ids[: encoded.n_prompt]])
        answer = model.generate(
            asked, attention_mask=torch.ones_like(asked), do_sample=False, max_new_tokens=20
        )
        assert answer[0].tolist() == encoded.ids


def test_an_adapter_learns_and_is_better_than_its_base(tiny, data, tmp_path):
    recipe = recipe_of(tiny, lora={"rank": 16, "alpha": 64}, learning_rate=1e-2, epochs=10,
                       evaluate={"every": 10, "metric": "loss", "examples": 40})  # fmt: skip
    found = train(recipe, data=data, out=tmp_path / "run")
    begin = next(line["eval"] for line in curve(tmp_path / "run") if "eval" in line)
    assert found.metrics["loss"] < begin["loss"] - 0.2
    assert found.kind == "adapter"
    settings = json.loads((found.folder / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == "tiny-llama"


@pytest.mark.parametrize(
    ("batch_tokens", "seed"), [(64, 0), (512, 0), (4096, 0)], ids=["small", "middling", "big"]
)
def test_many_small_passes_are_one_big_batch(tiny, data, tmp_path, batch_tokens, seed):
    """The same curve to rounding: what memory allows does not decide what is learnt."""
    reference = tmp_path / "reference"
    train(recipe_of(tiny, batch_tokens=100_000, batch=16), data=data, out=reference)
    recipe = recipe_of(tiny, batch_tokens=batch_tokens, batch=16)
    train(recipe, data=data, out=tmp_path / "run")
    assert losses(tmp_path / "run") == pytest.approx(losses(reference), rel=1e-5)


def test_frozen_layers_stay_and_the_rest_moves(tiny, data, tmp_path):
    from safetensors.torch import load_file

    found = train(recipe_of(tiny, frozen_layers=1), data=data, out=tmp_path / "run")
    before, after = (
        load_file(tiny / "model.safetensors"),
        load_file(found.folder / "model.safetensors"),
    )
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and all(name.startswith(("model.layers.1.", "model.norm")) for name in moved)

    recipe = recipe_of(tiny, frozen_layers=1, lora=LORA)
    found = train(recipe, data=data, out=tmp_path / "adapter")
    names = load_file(found.folder / "adapter_model.safetensors")
    assert names and all(".layers.1." in name for name in names)

    both = train(recipe_of(tiny, lora=LORA), data=data, out=tmp_path / "both")
    on = recipe_of(tiny, frozen_layers=1, lora=LORA, start=str(tmp_path / "both"))
    went_on = train(on, data=data, out=tmp_path / "on")
    before, after = (
        load_file(found.folder / "adapter_model.safetensors") for found in (both, went_on)
    )
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and all(".layers.1." in name for name in moved)
    assert any(".layers.0." in name for name in before)
    with pytest.raises(SetupError, match="frozen_layers is 2, and the model has 2"):
        train(recipe_of(tiny, frozen_layers=2), data=data, out=tmp_path / "none")


def test_recomputed_activations_and_bf16_come_to_the_same(tiny, data, tmp_path):
    plain = recipe_of(tiny, lora=LORA)
    train(plain, data=data, out=tmp_path / "plain")
    again = plain.model_copy(update={"recompute_activations": True})
    train(again, data=data, out=tmp_path / "again")
    assert losses(tmp_path / "again") == pytest.approx(losses(tmp_path / "plain"), rel=1e-4)
    half = plain.model_copy(update={"precision": "bf16"})
    train(half, data=data, out=tmp_path / "half")
    assert losses(tmp_path / "half") == pytest.approx(losses(tmp_path / "plain"), rel=2e-2)


# Measuring and stopping


def evals(stage, *values, metric="loss"):
    return [{"step": 10 * n, "eval": {metric: value}} for n, value in enumerate(values)]


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        ("loss", [0.1, 3.0, 2.0, 2.5], 20),  # before any update there is nothing to keep
        ("loss", [9.0, 2.0, 2.0], 10),  # the first of equals
        ("pearson", [0.9, 0.1, 0.3, 0.2], 20),
        ("loss", [1.0], -1),
    ],
)
def test_the_best_step(tiny, metric, values, best):
    stage = recipe_of(tiny, evaluate={"metric": metric}).stages[0]
    assert best_step(evals(stage, *values, metric=metric), stage) == best


def test_it_stops_when_it_gets_no_better_and_keeps_the_best(tiny, data, tmp_path):
    # The development part's labels say the opposite: every update makes it worse.
    opposite = toy(40, start=1000)
    for one in opposite:
        one["score"] = 6 - one["score"]
        one["completion"] = str(one["score"])
    write(data / "dev.jsonl.gz", opposite)
    recipe = recipe_of(
        tiny, epochs=40, learning_rate=2e-2, evaluate={"every": 5, "patience": 3, "metric": "loss"}
    )
    found = train(recipe, data=data, out=tmp_path / "run")
    lines = list(curve(tmp_path / "run"))
    (stopped,) = [line for line in lines if line.get("event") == "stopped"]
    assert stopped["step"] < 200
    assert stopped["step"] - stopped["best"] == 15
    best = [line["eval"] for line in lines if line["step"] == stopped["best"] and "eval" in line]
    assert found.metrics == best[0]
    assert stopped["best"] in dict(checkpoints(tmp_path / "run/1-sft"))
    later = [line["eval"]["loss"] for line in lines if "eval" in line and line["step"]]
    assert min(later) == found.metrics["loss"]


def test_a_stage_cannot_stop_on_a_figure_its_examples_cannot_give(tiny, data, tmp_path):
    write(data / "dev.jsonl.gz", toy(40)[::5])  # eight, all of one label
    recipe = recipe_of(tiny, evaluate={"metric": "pearson"})
    with pytest.raises(SetupError, match="no set with enough scores"):
        train(recipe, data=data, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def asks(examples):
    """What examples of `toy` ask, as `glider data` writes it beside them."""
    return [
        {
            "version": 1, "id": one["id"],
            "sample": {"id": one["id"], "fields": [
                {"name": "output", "text": one["messages"][1]["content"], "role": "judged"}]},
            "criterion": {"name": "q", "question": "How good is it?", "rubric": {
                "1": "a", "2": "b", "3": "c", "4": "d", "5": "e"}},
        }
        for one in examples
    ]  # fmt: skip


def test_the_bench_can_decide(tiny, data, tmp_path):
    recipe = recipe_of(tiny, epochs=2, evaluate={"every": 2, "examples": 30, "metric": "bench"})
    with pytest.raises(SetupError, match="by bench, and .*tasks.jsonl.gz is not there"):
        train(recipe, data=data, out=tmp_path / "run")
    write(data / "tasks.jsonl.gz", asks(toy(40, start=1000)))
    found = train(recipe, data=data, out=tmp_path / "run")
    measured = {line["step"]: line["eval"] for line in curve(tmp_path / "run") if "eval" in line}
    # Of one graded set that no list knows it is Pearson's r, random 0 and perfect 1 as it stands.
    assert all(one["bench"] == pytest.approx(one["pearson"]) for one in measured.values())
    later = {step: one["bench"] for step, one in measured.items() if step}
    assert len(set(later.values())) > 1
    assert found.metrics["bench"] == max(later.values())
    few = recipe_of(tiny, evaluate={"examples": 19, "metric": "bench"})
    with pytest.raises(SetupError, match="no set of its development part has 20 items"):
        train(few, data=data, out=tmp_path / "few")


def test_checkpoints_are_few(tiny, data, tmp_path):
    recipe = recipe_of(tiny, epochs=3, dev=None, checkpoint={"every": 2, "keep": 2})
    train(recipe, data=data, out=tmp_path / "run")
    assert [step for step, _ in checkpoints(tmp_path / "run/1-sft")] == [14, 15]
    assert not list((tmp_path / "run/1-sft").glob(".*"))


def test_nothing_names_this_machine(tiny, data, tmp_path):
    out = tmp_path / "run"
    found = train(recipe_of(tiny, lora=LORA), data=data, out=out)
    for path in [out / "manifest.json", out / "result.json", out / "metrics.jsonl"]:
        assert str(tmp_path) not in path.read_text()
        assert str(tiny.parent) not in path.read_text()
    for path in [*found.folder.iterdir(), *(out / "1-sft").glob("checkpoint-*/*")]:
        assert str(tiny.parent).encode() not in path.read_bytes(), path.name


# Going on


@pytest.fixture
def begin():
    """Trainings in processes of their own; none is left behind."""
    begun = []

    def begin(*where, **how):
        begun.append(Training(*where, **how))
        return begun[-1]

    yield begin
    for training in begun:
        training.end()


@pytest.mark.parametrize(
    "form", ["whole", "lora", pytest.param("judge-8b-lora", marks=pytest.mark.slow)]
)
def test_killed_and_resumed_gives_the_same_curve_and_weights(
    begin, tiny, tiny_of, data, tmp_path, form
):
    """kill -9 at several moments; dropout, the order of examples and the schedule go on."""
    if form in tiny_of:
        recipe = shrunk(form, tiny_of[form], **{"lora.dropout": 0.2})
        kills = [("1-sft", 4), ("1-sft", 8), ("2-preference", 4)]
    else:
        lora = LORA if form == "lora" else None
        recipe = recipe_of(tiny, lora=lora, epochs=4, checkpoint={"every": 3, "keep": 2})
        kills = [("1-sft", 4), ("1-sft", 8), ("1-sft", 13)]
    whole = train(recipe, data=data, out=tmp_path / "whole")
    out = tmp_path / "killed"
    for kill, until in enumerate(kills):
        training = begin(recipe, data, out, resume=kill > 0)
        assert any((line["stage"], line["step"]) >= until for line in training)
        training.kill()
    resumed = train(recipe, data=data, out=out, resume=True)
    assert losses(out) == losses(tmp_path / "whole")
    events = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    went_on = [(one["stage"], one["step"]) for one in events if one.get("event") == "resumed"]
    assert went_on == [(stage, step - step % 3) for stage, step in kills]
    ours, theirs = weights(resumed.folder), weights(whole.folder)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_a_preference_stage_goes_on_too(begin, tiny, data, tmp_path):
    recipe = recipe_of(tiny, kind="preference", lora=LORA, epochs=4, checkpoint={"every": 3})
    train(recipe, data=data, out=tmp_path / "whole")
    out = tmp_path / "killed"
    training = begin(recipe, data, out)
    assert any(line["step"] >= 5 for line in training)
    training.kill()
    train(recipe, data=data, out=out, resume=True)
    assert losses(out) == losses(tmp_path / "whole")


def test_killed_before_its_first_checkpoint_a_stage_begins_anew(tiny, data, tmp_path):
    recipe, out = recipe_of(tiny, evaluate={"every": 100}), tmp_path / "run"
    twice = recipe.model_copy(update={"stages": recipe.stages * 2})

    def kill(line):
        if "loss" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(twice, data=data, out=out, progress=kill)
    train(twice, data=data, out=out, resume=True)
    told = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line for line in told if "event" in line] == [
        {"stage": "1-sft", "step": 0, "event": "resumed"}
    ]
    measured = [(line["stage"], line["step"]) for line in curve(out) if "eval" in line]
    assert measured == [(f"{n}-sft", step) for n in (1, 2) for step in (0, 5)]


def test_a_broken_last_line_of_metrics_is_cut(tiny, data, tmp_path):
    recipe, out = recipe_of(tiny), tmp_path / "run"
    train(recipe, data=data, out=out)
    (out / "result.json").unlink()
    with (out / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "1-s')
    assert list(curve(out))
    train(recipe, data=data, out=out, resume=True)
    assert all(json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines())


def test_a_finished_run_gives_its_result_again(tiny, data, tmp_path):
    recipe, out = recipe_of(tiny), tmp_path / "run"
    first = train(recipe, data=data, out=out)
    before = (out / "metrics.jsonl").read_bytes()
    assert train(recipe, data=data, out=out, resume=True) == first == result(out)
    assert (out / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 5}, "recipe.seed: 0 before, 5 now"),
        ({"learning_rate": 0.5}, "recipe.stages.1.learning_rate: 0.001 before, 0.5 now"),
        ({"batch": 4}, "recipe.stages.1.batch: 8 before, 4 now"),
    ],
)
def test_going_on_as_something_else_is_refused(tiny, data, tmp_path, change, said):
    out = tmp_path / "run"
    train(recipe_of(tiny), data=data, out=out)
    with pytest.raises(ManifestMismatch, match=said):
        train(recipe_of(tiny, **change), data=data, out=out, resume=True)


def test_other_data_and_another_base_are_something_else(tiny, data, tmp_path):
    out = tmp_path / "run"
    train(recipe_of(tiny), data=data, out=out)
    write(data / "train.jsonl.gz", toy(41))
    with pytest.raises(ManifestMismatch, match=r"data.train.jsonl.gz.examples: 40 before, 41 now"):
        train(recipe_of(tiny), data=data, out=out, resume=True)
    write(data / "train.jsonl.gz", toy(40))
    other = build(tmp_path / "tiny-llama", seed=1)
    with pytest.raises(ManifestMismatch, match="base.revision"):
        train(recipe_of(other), data=data, out=out, resume=True)


def test_what_only_decides_the_speed_may_change(tiny, data, tmp_path):
    recipe, out = recipe_of(tiny), tmp_path / "run"
    first = train(recipe, data=data, out=out)
    smaller = recipe_of(tiny, batch_tokens=64)
    assert train(smaller, data=data, out=out, resume=True) == first


def test_a_folder_in_use_or_not_empty(begin, tiny, data, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    with pytest.raises(RunError, match="is not empty"):
        train(recipe_of(tiny), data=data, out=out)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    with pytest.raises(RunError, match="no training"):
        train(recipe_of(tiny), data=data, out=tmp_path / "nothing", resume=True)
    recipe = recipe_of(tiny, epochs=50)
    next(iter(begin(recipe, data, tmp_path / "busy")))
    with pytest.raises(RunError, match="in use by another process"):
        train(recipe, data=data, out=tmp_path / "busy", resume=True)


# What goes wrong


def test_nan_stops_it_and_the_last_checkpoint_is_good(tiny, data, tmp_path):
    recipe = recipe_of(tiny, epochs=4, checkpoint={"every": 2})
    out = tmp_path / "run"

    def poison(line):
        # From the third update on, one example weighs infinitely much.
        if line["step"] == 2 and "loss" in line:
            real = logits.cross_entropies

            def infinite(output, one):
                return real(output, one) * float("nan")

            patched.setattr(logits, "cross_entropies", infinite)

    with (
        pytest.MonkeyPatch.context() as patched,
        pytest.raises(NotFinite, match="loss became nan at step 3") as caught,
    ):
        train(recipe, data=data, out=out, progress=poison)
    assert caught.value.step == 3
    assert [step for step, _ in checkpoints(out / "1-sft")] == [2]
    found = train(recipe, data=data, out=out, resume=True)
    assert len(losses(out)) == 20
    assert found.metrics["loss"] > 0


def test_a_rate_that_is_too_high_is_told(tiny, data, tmp_path):
    recipe = recipe_of(tiny, learning_rate=1e30, epochs=4, max_grad_norm=1e30)
    with pytest.raises(NotFinite) as caught:
        train(recipe, data=data, out=tmp_path / "run")
    assert "learning_rate" in caught.value.hint


def test_a_gradient_without_a_number_is_told(tiny, data, tmp_path, monkeypatch):
    class Infinite(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad * float("inf")

    real = logits.cross_entropies
    monkeypatch.setattr(
        logits, "cross_entropies", lambda output, one: Infinite.apply(real(output, one))
    )
    with pytest.raises(NotFinite, match="gradient became"):
        train(recipe_of(tiny, dev=None), data=data, out=tmp_path / "run")


def test_a_full_disk_leaves_the_checkpoint_before(begin, tiny, data, tmp_path):
    """No file may grow beyond what a checkpoint needs: the system's own refusal, as of a full disk."""
    recipe = recipe_of(tiny, epochs=4, dev=None, checkpoint={"every": 2})
    out = tmp_path / "run"
    *_, (code, said) = begin(recipe, data, out, slow=False, most_bytes=20000)
    assert code == CannotSave.code
    assert said.startswith("cannot save the checkpoint of step 4:")
    assert [step for step, _ in checkpoints(out / "1-sft")] == [2]
    assert not list((out / "1-sft").glob(".*"))
    train(recipe, data=data, out=out, resume=True)
    assert len(losses(out)) == 20


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="writes to /dev/full")
def test_a_tokenizer_that_finds_no_room_says_so(tokenizer, tmp_path):
    """What its writer in Rust raises is no OSError."""
    (tmp_path / "tokenizer.json").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        save_tokenizer(tokenizer, tmp_path)


def test_too_little_memory_says_what_to_change(tiny, data, tmp_path, monkeypatch):
    def none_left(output, one):
        raise RuntimeError(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        )

    monkeypatch.setattr(logits, "cross_entropies", none_left)
    with pytest.raises(OutOfMemory, match="in update 1, with passes of 512 tokens") as caught:
        train(recipe_of(tiny, dev=None), data=data, out=tmp_path / "run")
    assert "--set stages.0.batch_tokens=256" in caught.value.hint


def test_a_model_that_memory_does_not_hold(tiny, data, tmp_path, monkeypatch):
    def too_large(*_others):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

    monkeypatch.setattr(trainer.StageTrainer, "_move_model_to_device", too_large, raising=False)
    with pytest.raises(OutOfMemory, match="the model does not fit into it") as caught:
        train(recipe_of(tiny, dev=None), data=data, out=tmp_path / "run")
    assert caught.value.step == 0 and "smaller base" in caught.value.hint


def test_empty_splits(tiny, data, tmp_path):
    write(data / "train.jsonl.gz", [])
    with pytest.raises(EmptySplit, match="train split is empty: train.jsonl.gz has no examples"):
        train(recipe_of(tiny), data=data, out=tmp_path / "run")
    write(data / "train.jsonl.gz", toy(3))
    with pytest.raises(EmptySplit, match="longer than 5 tokens") as caught:
        train(recipe_of(tiny, max_tokens=5), data=data, out=tmp_path / "run")
    assert "the shortest has" in caught.value.hint
    write(data / "dev.jsonl.gz", [])
    with pytest.raises(EmptySplit, match="dev split") as caught:
        train(recipe_of(tiny), data=data, out=tmp_path / "run")
    assert "stages.0.dev=null" in caught.value.hint
    (data / "train.jsonl.gz").unlink()
    with pytest.raises(DataError, match="has no train.jsonl.gz"):
        train(recipe_of(tiny), data=data, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_long_examples_are_left_out_and_counted(tiny, data, tmp_path):
    write(data / "train.jsonl.gz", [*toy(10), example(99, text="so " * 500)])
    train(recipe_of(tiny, max_tokens=300), data=data, out=tmp_path / "run")
    assert load_manifest(tmp_path / "run").data["train.jsonl.gz"]["too_long"] == 1


@pytest.mark.parametrize("name", ["/nowhere/at/all", "./nowhere", "nowhere", "nobody/nothing"])
def test_an_unknown_model(data, tmp_path, name):
    with pytest.raises((ModelFileError, UnknownName)):
        train(recipe_of(name), data=data, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_model_without_a_chat_template(data, tmp_path):
    folder = build(tmp_path / "raw")
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(NoChatTemplate, match="raw has no chat template"):
        train(recipe_of(folder), data=data, out=tmp_path / "run")


def test_a_recipe_for_several_processes_names_the_command(tiny, data, tmp_path):
    # Without a number of threads the processes are not started here.
    recipe = recipe_of(tiny, processes=2).model_copy(update={"threads": None})
    with pytest.raises(SetupError, match="for 2 processes") as caught:
        train(recipe, data=data, out=tmp_path / "run")
    assert "accelerate launch" in caught.value.hint


# Several processes


def torchrun(recipe, data, out, *arguments, **environment):
    file = out.with_suffix(".yaml")
    file.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    here = Path(__file__).parent
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2",
        "--rdzv_backend", "c10d", "--rdzv_endpoint", "localhost:0",
        str(here / "sharded.py"), str(file), "--data", str(data), "--out", str(out), *arguments,
    ]  # fmt: skip
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=250,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip


def fsdp():
    """The shipped accelerate file, as `accelerate launch` hands it on."""
    file = SHIPPED / "accelerate" / "fsdp-8gpu.yaml"
    settings = yaml.safe_load(file.read_text())["fsdp_config"]
    given = {key.upper(): str(value) for key, value in settings.items()}
    return {"ACCELERATE_USE_FSDP": "true", **given}


def in_two(recipe, data, out, *arguments, **environment):
    two = recipe.model_copy(update={"processes": 2})
    told = torchrun(two, data, out, *arguments, **environment)
    assert told.returncode == 0, told.stderr[-3000:]
    return losses(out)


def cut_back(out, stage, step):
    """Leave a run as a kill right after this checkpoint would have."""
    (out / "result.json").unlink()
    for folder in out.glob("[0-9]-*"):
        if folder.name > stage:
            shutil.rmtree(folder)
    (out / stage / "kept.json").unlink()
    shutil.rmtree(out / stage / "model")
    there = dict(checkpoints(out / stage))
    for later in sorted(there):
        if later > step:
            shutil.rmtree(there[later])
    assert step in there
    told = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    kept = [line for line in told if (line["stage"], line["step"]) <= (stage, step)]
    (out / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))


def scores(recipe, data, folder):
    """(score, gold) of each development example, of the model in a folder in this one process."""
    adapter = folder if (folder / "adapter_config.json").exists() else None
    base = find_base(recipe.base if adapter else str(folder))
    coder = Coder(load_tokenizer(base), model=base.name)
    asked = stage_data(recipe, data, coder)[0].dev.kept
    model = load_to_ask(base, adapter, recipe)
    found = level_probabilities(model, asked, recipe, pad_id=0)
    return [mean_level(p) for p in found], [mean_level(one.score.probs) for one in asked]


@pytest.mark.slow
@pytest.mark.timeout(600)  # four trainings
@pytest.mark.parametrize("launched", [dict, fsdp], ids=["ddp", "fsdp"])
@pytest.mark.parametrize("name", ["glider-3.8b", "judge-8b-lora"])
def test_two_processes_learn_what_one_does(tiny_of, data, tmp_path, name, launched):
    """A recipe's architecture and stages, tiny: the losses of one process, a resume, the model."""
    recipe = shrunk(name, tiny_of[name])
    one = train(recipe, data=data, out=tmp_path / "one")
    out = tmp_path / "two"
    found = in_two(recipe, data, out, **launched())
    assert found == pytest.approx(losses(tmp_path / "one"), rel=2e-4)

    # What was saved, loaded whole, scores as it did in two processes, and as what one process saved.
    measured = json.loads((out / "1-sft" / "kept.json").read_text())["metrics"]
    assert pearson(*scores(recipe, data, out / "1-sft" / "model")) == pytest.approx(
        measured["pearson"], abs=1e-4
    )
    last = result(out).folder
    expected, _ = scores(recipe, data, one.folder)
    assert scores(recipe, data, last)[0] == pytest.approx(expected, abs=1e-4)

    # Killed in the second stage, then in the first: what was saved last goes on.
    before = weights(last)
    for stage in ("2-preference", "1-sft"):
        cut_back(out, stage, 3)
        again = in_two(recipe, data, out, "--resume", **launched())
        assert again == pytest.approx(found, rel=1e-5)
        after = weights(last)
        assert before.keys() == after.keys()
        assert all(torch.allclose(before[key], after[key], atol=1e-5) for key in before)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["glider-3.8b", "judge-8b-lora"])
def test_sharded_in_bf16_comes_to_the_same(tiny_of, data, tmp_path, name):
    """What the model says is not rounded to bf16, in which a loss of 5 is known to 0.03 only."""
    few = {"stages.0.epochs": 1, "stages.1.epochs": 1}
    recipe = shrunk(name, tiny_of[name], precision="bf16", **few)
    train(recipe, data=data, out=tmp_path / "one")
    found = in_two(recipe, data, tmp_path / "two", **fsdp())
    assert found == pytest.approx(losses(tmp_path / "one"), rel=1e-3)


@pytest.mark.slow
def test_sharded_activations_are_recomputed_with_the_same_dropout(tiny_of, data, tmp_path):
    plain = shrunk("judge-8b-lora", tiny_of["judge-8b-lora"],
                   **{"lora.dropout": 0.5, "stages.0.dev": "null"})  # fmt: skip
    plain = plain.model_copy(update={"stages": plain.stages[:1]})
    assert plain.recompute_activations
    again = in_two(plain, data, tmp_path / "again", **fsdp())
    kept = plain.model_copy(update={"recompute_activations": False})
    not_asked = fsdp() | {"FSDP_ACTIVATION_CHECKPOINTING": "false"}
    assert again == pytest.approx(in_two(kept, data, tmp_path / "kept", **not_asked), rel=1e-5)
