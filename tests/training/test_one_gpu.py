"""The script for one GPU, on the processor: a few updates of a tiny model, and what comes back."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from tiny_models import toy, write

from glider.training.recipe import load_recipe

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "one_gpu.py"
SMALL = ["precision=fp32", "threads=1", "stages.0.batch=8", "stages.0.batch_tokens=512",
         "stages.0.evaluate.examples=16"]  # fmt: skip


@pytest.mark.slow
def test_it_fits_the_schedule_into_the_minutes_and_brings_the_adapter_back(tiny, tmp_path):
    data, out = tmp_path / "examples", tmp_path / "medium"
    write(data / "train.jsonl.gz", toy(120))
    write(data / "dev.jsonl.gz", toy(24, start=1000))
    words = [sys.executable, str(SCRIPT), "--data", str(data), "--out", str(out)]
    words += ["--epochs", "1.5"]
    for change in [f"base={tiny}", *SMALL]:
        words += ["--set", change]
    too_short = subprocess.run(
        [*words, "--minutes", "0"], capture_output=True, text=True, check=False
    )
    assert too_short.returncode and "give more --minutes" in too_short.stderr and not out.exists()
    done = subprocess.run([*words, "--minutes", "4"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "tokens/s" in done.stdout and "done with" in done.stdout
    with tarfile.open(tmp_path / "medium.tar.gz") as archive:
        archive.extractall(tmp_path / "back", filter="data")
    back = tmp_path / "back" / "medium"
    result = json.loads((back / "result.json").read_text())
    assert (back / result["folder"] / "adapter_model.safetensors").stat().st_size > 0
    fitted = yaml.safe_load((back / "recipe.yaml").read_text())
    (stage,) = fitted["stages"]
    assert stage["epochs"] == 1.5 and stage["limit"] is None
    lines = [json.loads(line) for line in (back / "metrics.jsonl").read_text().splitlines()]
    updates = [line for line in lines if "learning_rate" in line]
    assert updates[-1]["learning_rate"] < 0.1 * max(line["learning_rate"] for line in updates)
    assert load_recipe("medium").stages[0].schedule == "cosine"
