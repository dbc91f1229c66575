"""`glider export` on small adapters; once with the real model, whose scores the check compares."""

import json
import os
from pathlib import Path

import gguf
import numpy as np
import pytest
import typer
from small_models import write_adapter, write_gguf, write_hf_folder, write_safetensors
from typer.testing import CliRunner

from glider.cli.export import export
from glider.core.errors import DataError, GliderError, ModelFileError, RunError, SetupError
from glider.corpus.examples import Example, Turn, write_lines
from glider.judging.settings import JudgeSettings
from glider.models.catalog import DEFAULT, cache_dir, find

app = typer.Typer()
app.command()(export)


def run(*words, code=0):
    done = CliRunner().invoke(app, [*map(str, words)])
    if isinstance(done.exception, GliderError):
        raise done.exception
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


FORM = {"format": "nano", "order": "reason-first"}


def finished_training(folder, adapter=True):
    """What `glider train` leaves of a run of one stage, on the small llama."""
    model = folder / "1-sft/model"
    if adapter:
        write_adapter(model, base_model_name_or_path="base")
    else:
        write_hf_folder(model)
    (model / "glider.json").write_text(json.dumps(FORM))
    manifest = {
        "version": 1, "run_id": "1", "created_at": "now", "glider": "0.1", "code_sha256": "c0de",
        "recipe": {"name": "mine", "base": "base", "seed": 3, "lora": None, "stages": [{"kind": "sft"}]},
        "base": {"name": "base", "revision": "0" * 12}, "start": None,
        "data": {"train.jsonl.gz": {"sha256": "f00d", "examples": 5, "too_long": 0}},
        "processes": 1, "python": "3.12", "libraries": {},
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    result = {"folder": "1-sft/model", "kind": "adapter", "base": "base", "stage": "1-sft",
              "step": 4, "metrics": {"loss": 0.25}}  # fmt: skip
    (folder / "result.json").write_text(json.dumps(result))
    lines = [{"stage": "1-sft", "step": 1, "tokens": 3600, "tokens_per_s": 1.0}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_a_training_becomes_what_each_program_reads(tmp_path):
    training = finished_training(tmp_path / "run")
    out = run(training, "--to", "adapter", "--out", tmp_path / "adapter")
    assert "written" in out
    card = (tmp_path / "adapter/README.md").read_text()
    assert card.startswith("---") and "# mine" in card and "loss 0.25" in card
    assert "seed 3, 1.0 hours" in card

    base = write_hf_folder(tmp_path / "base")
    told = run(training, "--to", "hf", "--base", base, "--out", tmp_path / "hf")
    assert "another base" in told and "it was trained on 000000000000" in told
    assert (tmp_path / "hf/model.safetensors").is_file() and (tmp_path / "hf/README.md").is_file()
    for folder in ("adapter", "hf"):
        assert json.loads((tmp_path / folder / "glider.json").read_text()) == FORM

    llama = write_gguf(tmp_path / "llama.gguf")
    made = tmp_path / "new/mine.gguf"
    out = run(training, "--to", "gguf", "--base", llama, "--out", made, "--quantise", "q4_0")
    assert "not checked" in out and "card:" in out
    assert gguf.GGUFReader(made).tensors[0].tensor_type.name == "Q4_0"
    assert sorted(p.name for p in made.parent.iterdir()) == ["mine.gguf", "mine.md"]
    everything = "".join(p.read_text() for p in tmp_path.rglob("*.md"))
    assert str(tmp_path) not in everything


def test_a_model_trained_whole(tmp_path):
    training = finished_training(tmp_path / "run", adapter=False)
    run(training, "--to", "hf", "--out", tmp_path / "hf")
    assert json.loads((tmp_path / "hf/glider.json").read_text()) == FORM
    llama = write_gguf(tmp_path / "llama.gguf")
    run(training / "1-sft/model", "--to", "gguf", "--base", llama, "--out", tmp_path / "x.gguf")
    with pytest.raises(SetupError, match="no adapter"):
        run(training, "--to", "adapter", "--out", tmp_path / "adapter")


def test_figures_and_data_of_the_card(tmp_path):
    training = finished_training(tmp_path / "run")
    figure = {"benchmark": "summeval", "system": "mine", "metric": "pearson", "value": 0.4,
              "low": 0.3, "high": 0.5, "n": 90, "asked": 100, "judged": 90}  # fmt: skip
    others = [figure | {"part": "fluency"}, figure | {"metric": "mae"},
              figure | {"protocol": "judged only"}, figure | {"system": "base", "value": None,
              "undefined": "constant"}]  # fmt: skip
    results = {"made_at": "now", "glider": "0.1", "settings": {}, "samples": {},
               "figures": [figure, *others]}  # fmt: skip
    (tmp_path / "results.json").write_text(json.dumps(results))
    run(
        training, "--to", "adapter", "--out", tmp_path / "a", "--results", tmp_path / "results.json"
    )
    card = (tmp_path / "a/README.md").read_text()
    assert [line for line in card.splitlines() if line.startswith("| summeval")] == [
        "| summeval | mine | pearson | 0.400 [0.300, 0.500] | 90 |",
        "| summeval | base | pearson | none: constant | 90 |",
    ]
    with pytest.raises(DataError, match="no results"):
        run(
            training,
            "--to",
            "adapter",
            "--out",
            tmp_path / "b",
            "--results",
            training / "result.json",
        )
    with pytest.raises(DataError, match="no manifest"):
        run(training, "--to", "adapter", "--out", tmp_path / "b", "--data", tmp_path)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("words", "error", "problem"),
    [
        (["run", "--to", "onnx", "--out", "x"], SetupError, "--to takes"),
        (["run", "--to", "gguf", "--out", "x"], SetupError, "ends in .gguf"),
        (["run", "--to", "gguf", "--out", "x.gguf", "--quantise", "q2"], SetupError, "--quantise takes"),
        (["run", "--to", "hf", "--out", "x", "--check", "dev"], SetupError, "compares quantised"),
        (["run", "--to", "hf", "--out", "run"], RunError, "exists"),
        (["run", "--to", "hf", "--out", "x"], SetupError, "trained on base, which is not on this machine"),
        (["run", "--to", "gguf", "--out", "x.gguf"], SetupError, "trained on base.*knows no GGUF"),
        (["run", "--to", "gguf", "--out", "x.gguf", "--base", "base.gguf"], ModelFileError, "is not what was trained on"),
        (["empty", "--to", "hf", "--out", "x"], ModelFileError, "no finished training"),
        (["run", "--to", "gguf", "--out", "notes.gguf", "--base", "other.gguf"], RunError, "notes.md, where the card goes"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_before_it_is_begun(
    tmp_path, monkeypatch, words, error, problem
):
    monkeypatch.chdir(tmp_path)
    finished_training(tmp_path / "run")
    write_gguf(tmp_path / "base.gguf")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.md").write_text("mine")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(error, match=problem):
        run(*words)
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.slow
def test_a_quantised_file_is_compared_and_refused(tmp_path):
    if not (cache_dir() / "models" / DEFAULT).is_dir():
        pytest.skip("the default model is not in the cache")
    adapter = real_adapter(tmp_path / "adapter")
    dev = tmp_path / "dev.jsonl.gz"
    write_lines(dev, [question(n) for n in range(6)])
    words = ["--check", dev, "--max-changed", "1", "--out", tmp_path / "out/x.gguf", "--to", "gguf"]
    out = run(adapter, *words, "--max-shift", "0", code=5)
    assert "q8_0 against f16" in out and "not kept" in out and "n=6" in out
    assert list((tmp_path / "out").iterdir()) == []
    run(adapter, *words, "--max-shift", "0.5")
    assert (tmp_path / "out/x.gguf").is_file()
    card = (tmp_path / "out/x.md").read_text()
    assert "q8_0 against f16: expected scores move by" in card and "Apache-2.0" in card


def test_an_exported_judge_is_asked_as_it_was_trained_whatever_its_name(tmp_path):
    if not (cache_dir() / "models" / DEFAULT).is_dir():
        pytest.skip("the default model is not in the cache")
    trained = real_adapter(tmp_path / "trained")
    (trained / "glider.json").write_text(json.dumps(FORM))
    judge = tmp_path / "my-glider"
    run(trained, "--to", "adapter", "--out", judge)
    with JudgeSettings(model=str(judge), context_tokens=512).open() as opened:
        assert opened.format.id == "nano/reason-first/criterion-first"
    (judge / "glider.json").unlink()  # as it was made elsewhere: its name is all there is
    with JudgeSettings(model=str(judge), context_tokens=512).open() as opened:
        assert opened.format.id == "glider"


def real_adapter(folder: Path) -> Path:
    """A small random adapter of rank 2 for the default model, on two layers."""
    rng = np.random.default_rng(5)
    layers = gguf.GGUFReader(find(DEFAULT).path).get_field("llama.block_count").contents()
    tensors = {}
    for layer in (0, layers - 1):
        at = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        tensors[f"{at}.lora_A.weight"] = rng.normal(scale=0.05, size=(2, 576))
        tensors[f"{at}.lora_B.weight"] = rng.normal(scale=0.05, size=(576, 2))
    folder.mkdir()
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": DEFAULT}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    write_safetensors(folder / "adapter_model.safetensors", tensors)
    return folder


def question(n):
    return Example(
        id=str(n), set="s", part="p", cluster=str(n), lang="en", licence="MIT", criterion="c",
        messages=(Turn(role="user", content=f"From 1 to 5, how good is this? {'word ' * n}"),),
        opening="Score: ", labels=tuple("12345"), after="Score: ", score=3, completion="3",
        whole=False,
    )  # fmt: skip
