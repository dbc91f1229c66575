"""A tail-patch on a tiny model: finds the set that helps and the one that harms, and survives."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml
from tiny_models import WORDS_OF, build, example, recipe_of, write

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("trl", reason="training needs trl")

import typer
from typer.testing import CliRunner

from glider.cli.tail_patch import tail_patch as command
from glider.core.errors import (
    DataError,
    ManifestMismatch,
    RunError,
    SetupError,
    UnknownName,
)
from glider.studies import PatchSettings, tail_patch
from glider.studies.tail_patching.start import start_of
from glider.training.run import train

app = typer.Typer()
app.command("tail-patch")(command)

STEPS = 60
FASTER = (
    "stages.0.epochs=30", "stages.0.learning_rate=1e-2", "stages.0.schedule=constant_with_warmup",
)  # fmt: skip


def told(name, n, start, *, upside_down=False):
    """Texts whose score is a word in them, or the score at the other end of the scale."""
    made = []
    for index in range(start, start + n):
        score = index % 5 + 1
        text = f"{'so ' * (index % 7)}{WORDS_OF[score]} number {index}"
        given = 6 - score if upside_down else score
        made.append(example(f"{name}{index}", given, text=text, set=name, cluster=f"{index // 2}"))
    return made


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    kinds = {"one": {}, "twin": {}, "upside": {"upside_down": True}}
    for split, n, start in (("train", 40, 0), ("dev", 40, 1000)):
        rows = [row for name, kind in kinds.items() for row in told(name, n, start, **kind)]
        write(folder / f"{split}.jsonl.gz", rows)
    return folder


@pytest.fixture(scope="module")
def run(tiny, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "adapter"
    recipe = recipe_of(tiny, lora={"rank": 16, "alpha": 64}, evaluate={"every": 100, "examples": 8})
    train(recipe, data=data, out=out)
    return out


@pytest.fixture(scope="module")
def half(tiny, data, tmp_path_factory):
    """A model trained whole, as it is while the training goes on."""
    out = tmp_path_factory.mktemp("run") / "half"
    train(recipe_of(tiny, dev=None, checkpoint={"every": 3, "keep": 9}), data=data, out=out)
    (out / "result.json").unlink()
    shutil.rmtree(out / "1-sft" / "model")
    return out


def patched(tiny, run, data, out, *, only=(), boost=(), **options):
    settings = PatchSettings(steps=STEPS, per_set=40, metric="loss", only=tuple(only), boost=tuple(boost),
                             changes=(f"base={tiny}", *FASTER))  # fmt: skip
    return tail_patch(run, data=data, out=out, settings=settings, **options)


def test_it_tells_help_from_harm_and_goes_on_by_set(tiny, run, data, tmp_path):
    out = tmp_path / "patch"
    first = patched(tiny, run, data, out, only=["one"])
    effects = first.sets["one"].effects
    assert first.sets["one"].updates == STEPS and first.sets["one"].own.value > 0
    assert effects["twin"].rating > 0 > effects["upside"].rating
    assert effects.keys() == {"twin", "upside"}  # its own development part rates nothing
    assert not (out / "work" / "one").exists()
    stamp = (out / "sets" / "one.json").stat().st_mtime_ns
    with pytest.raises(RunError, match="not empty"):
        patched(tiny, run, data, out)
    both = patched(tiny, run, data, out, only=["one", "upside"], resume=True)
    assert (out / "sets" / "one.json").stat().st_mtime_ns == stamp
    assert both.sets["one"] == first.sets["one"]
    assert list(both.sets) == ["one", "upside"]
    assert both.sets["upside"].effects["one"].value < 0 < both.sets["upside"].own.value
    assert "| upside | 40 | 60 |" in (out / "tail-patch.md").read_text()
    weights = yaml.safe_load((out / "mixture.yaml").read_text())["sets"]
    assert weights.keys() == {"one", "twin", "upside"} and weights["twin"] == {}
    with pytest.raises(ManifestMismatch, match="settings.steps: 60 before, 9 now"):
        settings = PatchSettings(steps=9, metric="loss", changes=(f"base={tiny}", *FASTER))
        tail_patch(run, data=data, out=out, settings=settings, resume=True)


@pytest.mark.slow
def test_killed_it_goes_on(tiny, run, data, tmp_path):
    """A set that is half trained when the kill comes ends with the same figures."""
    whole = patched(tiny, run, data, tmp_path / "whole", only=["one"])
    out = tmp_path / "killed"
    words = ["tail-patch", run, "--data", data, "--out", out, "--only", "one", "--steps", STEPS,
             "--metric", "loss", "--set", f"base={tiny}"]  # fmt: skip
    words += [word for change in FASTER for word in ("--set", change)]
    process = subprocess.Popen(
        [sys.executable, "-m", "glider.cli.main", *map(str, words)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        for _ in range(3000):
            if list(out.glob("work/one/run/1-sft/checkpoint-*")) or process.poll() is not None:
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert (out / "before.json").exists() and not (out / "sets" / "one.json").exists()
    again = patched(tiny, run, data, out, only=["one"], resume=True)
    assert again.sets["one"].updates == STEPS
    assert again.sets["one"].effects["twin"].value == pytest.approx(
        whole.sets["one"].effects["twin"].value, abs=1e-4
    )


def test_the_command(tiny, run, data, tmp_path):
    found = CliRunner().invoke(app, list(map(str, [
        run / "1-sft" / "model", "--data", data, "--out", tmp_path / "patch", "--only", "twin",
        "--steps", 2, "--per-set", 20, "--metric", "loss", "--set", f"base={tiny}", "--boost", "one",
        "--json",
    ])))  # fmt: skip
    assert found.exit_code == 0, found.output
    table = json.loads(found.stdout)
    assert table["sets"]["twin"]["updates"] == 2
    assert table["categories"] == {"one": ["one"], "twin": ["twin"], "upside": ["upside"]}


def test_a_checkpoint_is_the_last_or_the_one_that_is_named(run, half):
    assert start_of(run).weights == run / "1-sft" / "model"
    assert start_of(run).recipe.start == str(run / "1-sft" / "model")
    last = start_of(half)
    assert last.weights.name == "checkpoint-15"
    assert last.recipe.base == str(last.weights) and last.recipe.start is None
    assert start_of(half / "1-sft" / "checkpoint-3").weights.name == "checkpoint-3"
    assert last.stage.dev is None and start_of(half, ["stages.0.batch=2"]).stage.batch == 2


def test_what_was_trained_whole_goes_on_as_it_is(tiny, half, data, tmp_path):
    """Of its base it takes the tokenizer alone."""
    last = start_of(half)
    assert start_of(half, [f"base={tiny}"]).recipe == last.recipe
    with pytest.raises(SetupError, match="base may only say where tiny-llama is"):
        start_of(half, [f"base={build(tmp_path / 'other')}"])
    out = tmp_path / "patch"
    settings = PatchSettings(steps=1, per_set=20, metric="loss", only=("one",),
                             changes=(f"base={tiny}", "stages.0.learning_rate=1e-12"))  # fmt: skip
    tail_patch(half, data=data, out=out, settings=settings)
    before, after = (
        {name: score["expected"] for name, score in json.loads(path.read_text())["scores"].items()}
        for path in (out / "before.json", out / "sets" / "one.json")
    )
    assert after == pytest.approx(before, abs=1e-6)
    assert not (out / "start").exists()


def test_mistakes(tiny, run, data, tmp_path):
    out = tmp_path / "patch"
    with pytest.raises(RunError, match="no training"):
        patched(tiny, tmp_path, data, out)
    with pytest.raises(UnknownName, match="did you mean 'twin'"):
        patched(tiny, run, data, out, only=["twn"])
    with pytest.raises(UnknownName, match="category"):
        patched(tiny, run, data, out, boost=["nothing"])
    with pytest.raises(DataError, match="cannot be read"):
        patched(tiny, run, tmp_path / "none", out)
    reasons = tmp_path / "reasons"
    late = [
        example(n, completion="good\nScore: 4", opening="Reason: ", whole=True) for n in range(3)
    ]
    for split in ("train", "dev"):
        write(reasons / f"{split}.jsonl.gz", late)
    with pytest.raises(SetupError, match="no score of the development part"):
        patched(tiny, run, reasons, out)
    assert not out.exists()
