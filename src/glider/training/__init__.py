"""Train a judge from a recipe and a folder of examples: stages, trainers, run folders."""

from typing import TYPE_CHECKING, Any

from glider.core.lazy import attribute

if TYPE_CHECKING:
    from glider.training.folder import TrainingResult
    from glider.training.forecast import dry_run
    from glider.training.recipe import Recipe, load_recipe
    from glider.training.run import train

_HOMES = {
    "Recipe": "glider.training.recipe",
    "TrainingResult": "glider.training.folder",
    "dry_run": "glider.training.forecast",
    "load_recipe": "glider.training.recipe",
    "train": "glider.training.run",
}
__all__ = ["Recipe", "TrainingResult", "dry_run", "load_recipe", "train"]


def __getattr__(name: str) -> Any:
    return attribute(__name__, _HOMES, name)
