"""The starting point of a tail-patch: a training's weights and its recipe."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glider.core.errors import RunError, SetupError
from glider.training.base_model import find_base
from glider.training.folder import load_manifest, result
from glider.training.recipe import Recipe, parse_recipe
from glider.training.stages import STAGES
from glider.training.stages.base import Stage


@dataclass(frozen=True, slots=True)
class PatchStart:
    """Weights to train further, and the recipe that made them."""

    weights: Path
    recipe: Recipe
    """The recipe of a patch: one stage, without its epochs. Full weights are its base."""
    trained_on: Recipe
    """The same recipe on the run's base, whose tokenizer checkpoints of full weights lack."""

    @property
    def stage(self) -> Stage:
        """Return the stage of a patch."""
        (stage,) = self.recipe.stages
        return stage


def start_of(run: Path, changes: Sequence[str] = ()) -> PatchStart:
    """Find the checkpoint of a training.

    Args:
        run: the training's folder (its result if finished, else its last checkpoint), or the folder
            of one of its checkpoints.
        changes: `key=value` overrides of the run's recipe, as in `glider train --set`.

    Raises:
        RunError: there is no training, or no checkpoint yet.
        SetupError: the training has no supervised stage, or full weights are given another base.
        RecipeError: a change is invalid.
    """
    weights = run
    if _has_weights(run):
        manifest = load_manifest(run.resolve().parent.parent)
    else:
        manifest = load_manifest(run)
        if (run / "result.json").exists():
            weights = result(run).folder
        else:
            there = [path for path in run.glob("*-*/checkpoint-*") if _has_weights(path)]
            if not there:
                raise RunError(f"{run} has no checkpoint yet")
            weights = max(there, key=_place_in_run)
    every = manifest.recipe["stages"]
    stages = [stage for stage in every if STAGES.get(stage["kind"]).learns_scores]
    if not stages:
        raise SetupError(f"{run} has no sft stage, whose settings a tail-patch takes")
    adapter = (weights / "adapter_config.json").exists()
    data = {**manifest.recipe, "processes": 1, "start": str(weights) if adapter else None}
    if adapter:
        data["lora"] = {}  # Keep the adapter's own settings.
    data["stages"] = [{**stages[0], "dev": None, "limit": None, "evaluate": {}}]
    recipe = parse_recipe(data, changes, where="the run's recipe")
    if len(recipe.stages) != 1 or not recipe.stages[0].learns_scores:
        raise SetupError("a tail-patch has one stage, of a kind that learns scores: sft")
    if adapter:
        return PatchStart(weights, recipe, recipe)
    name = manifest.base["name"]
    if recipe.base != name and find_base(recipe.base, recipe.revision).name != name:
        raise SetupError(
            f"{weights.name} has weights of its own, and base may only say where {name} is"
        )
    own = recipe.model_copy(update={"base": str(weights), "revision": None})
    return PatchStart(weights, own, recipe)


def _has_weights(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("adapter_config.json", "config.json"))


def _place_in_run(checkpoint: Path) -> tuple[int, int]:
    stage = int(checkpoint.parent.name.partition("-")[0])
    return stage, int(checkpoint.name.partition("-")[2])
