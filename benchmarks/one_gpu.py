"""Train a judge in a few minutes of one large GPU, and bring its adapter back in one file.

    python benchmarks/one_gpu.py --data FOLDER --out runs/medium --minutes 10

On the machine with the GPU: FOLDER is what `glider data` made, and the recipe is `medium` (the
1.5B) unless `--recipe` names another; `--set` is that of `glider train`. The base is fetched there
as anywhere, or `--set base=FOLDER_OR_GGUF` names one that was carried along. A few updates tell how
fast the machine is, and as many examples are taken, each at most `--epochs` times, as leave the
learning rate's schedule complete when the minutes are over. What comes back is OUT.tar.gz: the
adapter, the recipe as it was fitted, manifest, curve and data card. Unpacked, `glider judge -m OUT`
judges with it wherever the base is, and `glider export` puts the two together.
"""

import argparse
import json
import statistics
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from glider.training.forecast import dry_run
from glider.training.recipe import Recipe, load_recipe
from glider.training.run import train

_TRIED, _NOT_TIMED = 8, 3
"""Updates that tell the speed, and how many of them, in which shapes are new, do not count."""
_LEAST = 10
"""Updates below which nothing is trained."""
_KEPT_BACK = 0.15
"""Share of the time for measuring, saving, and a speed that was taken from too few updates."""
_BACK = ("manifest.json", "metrics.jsonl", "result.json", "data-card.md")


def main() -> None:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--data", type=Path, required=True, help="folder of examples (glider data)")
    made.add_argument("--out", type=Path, required=True, help="folder of the run")
    made.add_argument("--recipe", default="medium")
    made.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    made.add_argument("--minutes", type=float, default=10.0, help="from now to the adapter")
    made.add_argument("--epochs", type=float, default=3.0, help="most uses of one example")
    asked = made.parse_args()
    end = time.monotonic() + asked.minutes * 60
    recipe = load_recipe(asked.recipe, asked.changes)
    speed, seconds = tried(recipe, asked.data)
    left = end - time.monotonic() - seconds
    fitted, told = fit(recipe, asked.data, speed * max(left, 0) * (1 - _KEPT_BACK), asked.epochs)
    print(f"{speed:,.0f} tokens/s; {left:,.0f} s are left for {told}", flush=True)
    train(fitted, data=asked.data, out=asked.out, progress=shown)
    print(f"{packed(asked.out, fitted)}: done with {end - time.monotonic():,.0f} s to spare")


def tried(recipe: Recipe, data: Path) -> tuple[float, float]:
    """Tokens a second of the recipe's updates here, and the seconds it takes to begin."""
    stage = recipe.stages[0]
    few = changed(
        recipe, limit=stage.batch * _TRIED, epochs=1.0, dev=None,
        checkpoint={"every": _TRIED * 2, "keep": 1},
    )  # fmt: skip
    lines: list[dict[str, Any]] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="glider-tried-") as folder:
        train(few, data=data, out=Path(folder, "run"), progress=lines.append)
    updates = [line for line in lines if "tokens_per_s" in line]
    at_speed = updates[_NOT_TIMED:] or updates
    speed = statistics.median(line["tokens_per_s"] for line in at_speed)
    updating = sum(line["tokens"] / line["tokens_per_s"] for line in updates)
    return speed, time.monotonic() - began - updating


def fit(recipe: Recipe, data: Path, tokens: float, most_epochs: float) -> tuple[Recipe, str]:
    """The recipe with as many examples as `tokens` are, and what that comes to in words."""
    (stage,) = dry_run(recipe, data).stages
    epochs = min(most_epochs, tokens / stage.tokens)
    if epochs >= 1:
        return changed(recipe, epochs=epochs), f"{stage.examples:,} examples {epochs:.2f} times"
    n = int(stage.examples * epochs)
    if n < _LEAST * recipe.stages[0].batch:
        raise SystemExit(
            f"the time is enough for {n} examples, and {_LEAST} updates of "
            f"{recipe.stages[0].batch} is the least that is worth a run: give more --minutes"
        )
    return changed(recipe, limit=n, epochs=1.0), f"{n:,} of {stage.examples:,} examples"


def changed(recipe: Recipe, **stage: Any) -> Recipe:
    """The recipe with settings of its one stage changed."""
    settings = recipe.model_dump(mode="json")
    (only,) = settings["stages"]
    return Recipe.model_validate({**settings, "stages": [{**only, **stage}]})


def shown(line: dict[str, Any]) -> None:
    """Every measurement, and an update now and then."""
    if "eval" in line or line.get("step", 0) % 20 == 0:
        print(json.dumps(line), flush=True)


def packed(run: Path, recipe: Recipe) -> Path:
    """What is worth bringing back, as one file beside the run's folder."""
    result = json.loads((run / "result.json").read_text())
    (run / "recipe.yaml").write_text(
        yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False), "utf-8"
    )
    target = run.with_name(f"{run.name}.tar.gz")
    with tarfile.open(target, "w:gz") as archive:
        for name in (*_BACK, "recipe.yaml", result["folder"]):
            if (run / name).exists():
                archive.add(run / name, f"{run.name}/{name}")
    return target


if __name__ == "__main__":
    main()
