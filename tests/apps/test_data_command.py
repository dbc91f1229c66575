"""`glider data` by its function: files, card and manifest appear whole, or not at all."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner
from unit.corpus.cases import LEVELS

from glider.cli.data import data
from glider.core.errors import RunError, SetupError, UnknownName
from glider.corpus.data_card import read_record
from glider.corpus.examples import read_examples, read_tasks
from glider.formats import make_format
from glider.studies import SelectionSettings, select

DATA = Path(__file__).parents[3] / "shared" / "data"

app = typer.Typer()
app.command("data")(data)


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "mine.jsonl"
    rows = [
        {"id": str(n), "input": f"Question {n}?", "output": f"Answer {n}.", "label": n % 5 + 1,
         "scale": [1, 5], "criterion": {"name": "quality", "description": "Is it good?"},
         "rubric": LEVELS}
        for n in range(50)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_own_labels(own, tmp_path):
    out = tmp_path / "out"
    run("--set", own, "--out", out, "--dev", 0.2)
    manifest = json.loads((out / "manifest.json").read_text())
    for name in ("train", "dev"):
        file = out / f"{name}.jsonl.gz"
        assert len(list(read_examples(file))) == manifest[name]["examples"]
        assert manifest["files"][file.name] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert manifest["train"]["examples"] + manifest["dev"]["examples"] == 50
    assert str(tmp_path) not in (out / "card.md").read_text() + (out / "manifest.json").read_text()
    assert manifest["own"] == {"mine": "mine.jsonl"}


@pytest.mark.parametrize("kind", ["--set", "--preferences"])
def test_a_folder_that_is_not_empty_is_refused_before_the_work(kind, own):
    with pytest.raises(RunError, match="not empty"):
        run(kind, "none.jsonl", "--out", own.parent)


def test_a_selection_has_a_record_of_its_own_for_the_card_of_a_judge(own, tmp_path):
    whole, part = tmp_path / "whole", tmp_path / "part"
    run("--set", own, "--out", whole, "--dev", 0.2)
    select(whole, part, SelectionSettings(by="random", size=10, model=""))
    every, chosen = read_record(whole), read_record(part)
    assert every.train.examples == 40 and chosen.train.examples == 10
    assert sum(chosen.train.by_label.values()) == 10
    assert chosen.model_copy(update={"train": every.train, "files": every.files}) == every
    for name in ("train.jsonl.gz", "dev.jsonl.gz"):
        assert chosen.files[name] == hashlib.sha256((part / name).read_bytes()).hexdigest()


def test_the_tasks_beside_the_examples_render_their_very_prompts(own, tmp_path):
    recipe = tmp_path / "mix.yaml"
    recipe.write_text("sets: {mine.jsonl: {}}\naugment: {paraphrase: 1, names: 1, scale: 1}\n")
    out = tmp_path / "out"
    run(recipe, "--out", out, "--dev", 0.2)
    tasks = {one.id: one.task for one in read_tasks(out / "tasks.jsonl.gz")}
    form, n = make_format("nano"), 0
    for example in (
        e for name in ("train", "dev") for e in read_examples(out / f"{name}.jsonl.gz")
    ):
        asked = [(m.role, m.content) for m in form.render(tasks[example.id]).messages]
        assert asked == [(turn.role, turn.content) for turn in example.messages]
        n += 1
    assert n == len(tasks) == 50


def test_a_recipe_with_a_file_beside_it_and_flags_before_it(own, tmp_path):
    recipe = tmp_path / "mix.yaml"
    recipe.write_text("sets: {mine.jsonl: {cap: 20}}\nseed: 3\ndev: 0.1\n")
    run(recipe, "--out", tmp_path / "out", "--dev", 0)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["train"]["examples"] == 20 and manifest["dev"]["examples"] == 0
    assert (manifest["settings"]["seed"], manifest["settings"]["dev"]) == (3, 0)


def test_columns_of_another_project(tmp_path):
    path = tmp_path / "steer.jsonl"
    row = {"response": "Hi!", "helpfulness": 3, "correctness": 4}
    path.write_text("".join(json.dumps({"prompt": f"Say {n}.", **row}) + "\n" for n in range(30)))
    run("--set", path, "--out", tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert set(manifest["train"]["by_part"]) == {"steer / helpfulness", "steer / correctness"}


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        (["--set", "llmbr"], UnknownName, "did you mean 'llmbar'"),
        (["--set", "llmbar"], SetupError, "kept out of training"),
        (["--set", "saf_short_answers"], SetupError, "no data folder"),
        (["{tmp}/no.yaml"], SetupError, "cannot be read"),
        (["{tmp}/bad.yaml"], SetupError, "sed: Extra inputs"),
        (["{tmp}/latin.yaml"], SetupError, r"latin\.yaml:1: byte 0xe9 is not UTF-8"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_left(words, error, says, tmp_path, monkeypatch):
    monkeypatch.delenv("GLIDER_DATA", raising=False)
    (tmp_path / "bad.yaml").write_text("sed: 3\n")
    (tmp_path / "latin.yaml").write_bytes(b"# caf\xe9\nseed: 3\n")
    with pytest.raises(error, match=says):
        run(*(word.format(tmp=tmp_path) for word in words), "--out", tmp_path / "out")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bad.yaml", "latin.yaml"]


def test_a_file_that_is_no_tokenizer(own, tmp_path):
    pytest.importorskip("tokenizers", reason="counting tokens needs tokenizers")
    with pytest.raises(SetupError, match=r"mine\.jsonl: no tokenizer"):
        run("--set", own, "--tokenizer", own, "--out", tmp_path / "out")


def test_a_full_disk_leaves_nothing(own, tmp_path, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match="No space left"):
        run("--set", own, "--out", tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == [own.name]


@pytest.mark.skipif(not DATA.is_dir(), reason="the data folder is not here")
def test_a_shipped_set_against_benchmarks(tmp_path):
    some = tmp_path / "some"  # of the benchmarks: all of them are read for half a minute
    some.mkdir()
    for name in ("ragchecker_human_pairs", "llmbar", "judgebench", "evalbiasbench", "qags"):
        (some / f"{name}.jsonl.gz").symlink_to(DATA / f"{name}.jsonl.gz")
    run("--set", "ragchecker_human_pairs", "--data", some, "--out", tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    train = list(read_examples(tmp_path / "out" / "train.jsonl.gz"))
    assert manifest["train"]["pairs"] == len(train) == manifest["train"]["examples"]
    # Both orders of each pair: labels are even, and ties are half and half.
    assert sum(e.score == 0 for e in train) == len(train) / 2
    assert {e.soft for e in train} == {None, (0.5, 0.5)}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe")
def test_interrupted_it_says_that_nothing_was_written(tmp_path):
    """In the middle of reading: labels come from a pipe that nobody closes."""
    os.mkfifo(tmp_path / "mine.jsonl")
    # A background shell may have it ignored, and children inherit that.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    words = ["data", "--set", "mine.jsonl", "--out", "made"]
    process = subprocess.Popen(
        [sys.executable, "-c", f"{listen}from glider.cli.main import main; main()", *words],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with open(tmp_path / "mine.jsonl", "w"):  # opens once somebody reads
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told.strip() == "interrupted; nothing was written"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.jsonl"]
