"""One training in two processes, started by `glider train` itself."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tiny_models import recipe_of

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("trl", reason="training needs trl")

from glider.core.errors import RunError
from glider.training import processes
from glider.training.processes import others, starts_others
from glider.training.run import train

# A background shell may have it ignored, and children inherit that.
LISTEN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
GLIDER = [sys.executable, "-c", f"{LISTEN}from glider.cli.main import main; main()", "train"]


@pytest.fixture
def recipe(tiny, tmp_path):
    def write(**settings) -> Path:
        path = tmp_path / "toy.yaml"
        path.write_text(yaml.safe_dump(recipe_of(tiny, **settings).model_dump(mode="json")))
        return path

    return write


def curve(out):
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def test_two_processes_learn_what_one_does(tiny, recipe, data, tmp_path):
    train(recipe_of(tiny), data=data, out=tmp_path / "one")
    words = [recipe(), "--data", data, "--out", tmp_path / "two", "--set", "processes=2",
             "--set", "threads=1"]  # fmt: skip
    told = subprocess.run([*GLIDER, *map(str, words)], capture_output=True, text=True, timeout=200)
    assert told.returncode == 0, told.stderr
    assert curve(tmp_path / "two") == pytest.approx(curve(tmp_path / "one"), rel=2e-4)
    manifest = json.loads((tmp_path / "two" / "manifest.json").read_text())
    assert manifest["processes"] == 2


@pytest.fixture
def no_leftovers():
    """Processes that a failed test would leave behind."""
    left = []
    yield left
    for process in left:
        process.kill()
        process.wait()
        process.stderr.close()


def started(out, words, left):
    """A run that would take for ever, once its first updates are done; and its other process."""
    process = subprocess.Popen([*GLIDER, *map(str, words)], stderr=subprocess.PIPE, text=True)
    left.append(process)
    deadline = time.monotonic() + 120
    while not (out / "metrics.jsonl").exists() or len(curve(out)) < 3:
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
        time.sleep(0.2)
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return process, int(child)


def is_there(pid):
    return Path(f"/proc/{pid}").exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_none_of_them_outlives_the_others(recipe, data, tmp_path, no_leftovers):
    path = recipe(epochs=100_000, checkpoint={"every": 100_000})
    words = [path, "--data", data, "--set", "processes=2", "--set", "threads=1", "--out"]

    process, child = started(tmp_path / "a", [*words, tmp_path / "a"], no_leftovers)
    os.kill(child, signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 3, said
    assert "one of 2 processes ended: killed by SIGKILL" in said and "--resume" in said

    process, child = started(tmp_path / "b", [*words, tmp_path / "b"], no_leftovers)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "--resume" in said
    assert not is_there(child)

    process, child = started(tmp_path / "c", [*words, tmp_path / "c"], no_leftovers)
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while is_there(child) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not is_there(child)


def test_what_went_wrong_in_another_is_told(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_GRACE", 100.0)  # it has to start first
    two = recipe_of(tiny).model_copy(update={"processes": 2})
    words = ["nowhere", "--data", str(tmp_path), "--out", str(tmp_path / "run")]
    told = r"one of 2 processes ended: error \(unknown_name\): no recipe called 'nowhere'"
    with pytest.raises(RunError, match=told), others(two, words):
        raise ConnectionError("the other side is gone")


def test_who_starts_them(tiny, monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    two = recipe_of(tiny).model_copy(update={"processes": 2, "threads": None})
    assert not starts_others(two)  # made for graphics cards: `accelerate launch`
    assert starts_others(two.model_copy(update={"threads": 1}))
    assert not starts_others(recipe_of(tiny).model_copy(update={"threads": 1}))
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not starts_others(two.model_copy(update={"threads": 1}))  # somebody did
