"""Find the adapter a training starts from, and check that recipe and base model fit it."""

import re
import shlex
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from glider.core.errors import ModelFileError, RecipeError, SetupError
from glider.models.adapters import read_config, sizes
from glider.models.catalog import base_named
from glider.models.resolve import TorchWeights, resolve
from glider.training.base_model import load_config
from glider.training.recipe import Lora, Recipe

_LAYER = re.compile(r"\blayers\.(\d+)\.")


def with_start(recipe: Recipe, base: TorchWeights) -> tuple[Recipe, Path | None]:
    """Return the recipe with the `lora` of its start adapter, and that adapter's folder.

    Raises:
        SetupError: the adapter does not exist or belongs to another base.
        RecipeError: the recipe's `lora` differs from the adapter's.
        ModelFileError: the adapter is damaged, or does not fit the base.
    """
    if recipe.start is None:
        return recipe, None
    adapter = _adapter_of(recipe.start)
    recipe = with_lora_of(recipe, adapter)
    check_fits(adapter, base)
    return recipe, adapter


def _adapter_of(start: str) -> Path:
    """Return the adapter that `start` names, by any name that `glider.models.resolve` knows."""
    adapter = resolve(start).adapter
    if adapter is None:
        raise SetupError(f"start: {start} has no adapter", hint="base takes a whole model")
    return adapter


def with_lora_of(recipe: Recipe, adapter: Path) -> Recipe:
    """Return the recipe with the adapter's `lora`, which does not change in further training.

    Raises:
        SetupError: the recipe trains no adapter.
        RecipeError: the recipe's `lora` differs from the adapter's.
        ModelFileError: the adapter's settings are missing or damaged.
    """
    wanted, there = recipe.lora, lora_of(adapter)
    if wanted is None:
        raise SetupError(
            "start names an adapter, and the recipe has no lora", hint="--set lora={} takes its own"
        )
    # `all-linear` stands for layer names that depend on the model.
    given = wanted.model_dump(exclude_unset=True, exclude={"targets"})
    if isinstance(wanted.targets, tuple):
        given["targets"] = tuple(sorted(wanted.targets))
    other = [key for key, value in given.items() if value != getattr(there, key)]
    if other:
        said = ", ".join(
            f"lora.{key} is {given[key]}, the adapter's {getattr(there, key)}" for key in other
        )
        own = (shlex.quote(f"lora.{key}={there.model_dump(mode='json')[key]}") for key in other)
        raise RecipeError(
            f"an adapter that is trained on keeps its settings: {said}",
            key=f"lora.{other[0]}",
            hint=" ".join(f"--set {change}" for change in own),
        )
    return recipe.model_copy(update={"lora": there})


def lora_of(adapter: Path) -> Lora:
    """Return an adapter's settings as a recipe's `lora`.

    Raises:
        ModelFileError: they are missing or damaged.
        SetupError: the adapter is not a LoRA.
    """
    config = read_config(adapter)
    targets = config.get("target_modules") or "all-linear"
    try:
        return Lora(
            rank=config["r"],
            alpha=config["lora_alpha"],
            dropout=config.get("lora_dropout") or 0.0,
            targets=targets if isinstance(targets, str) else tuple(sorted(targets)),
        )
    except (KeyError, TypeError, ValidationError) as exc:
        raise ModelFileError(f"{adapter.name}: adapter_config.json is damaged") from exc


def check_fits(adapter: Path, base: TorchWeights) -> None:
    """Raise if the adapter clearly belongs to another base.

    Folder names are arbitrary, so only catalogue names can tell bases of the same shape apart.

    Raises:
        SetupError: the adapter was trained on another catalogue model.
        ModelFileError: the adapter is damaged, or the base lacks layers that it changes.
    """
    trained_on = str(read_config(adapter).get("base_model_name_or_path") or "")
    known, ours = base_named(trained_on.lower()), base_named(base.name.lower())
    if known and ours and known != ours:
        raise SetupError(
            f"the adapter {adapter.name} was trained on {known}, and the base is {ours}",
            hint=f"--set base={known}",
        )
    import torch
    from transformers import AutoModelForCausalLM

    makes: Any = AutoModelForCausalLM
    with torch.device("meta"):
        model = makes.from_config(load_config(base))
    layers = dict(model.named_modules())
    for name, (outputs, inputs, _) in sizes(adapter).items():
        weight = getattr(layers.get(name), "weight", None)
        # Accept either orientation: some models store their matrices transposed.
        if weight is None or sorted(weight.shape) != sorted((outputs, inputs)):
            there = "not there" if weight is None else f"{tuple(weight.shape)}"
            raise ModelFileError(
                f"the adapter {adapter.name} does not fit {base.name}: it changes {name} of "
                f"{(outputs, inputs)}, which is {there}",
                hint=f"it was trained on {trained_on or 'an unnamed base'}",
            )


def n_trained(adapter: Path, frozen_layers: int) -> int:
    """Count an adapter's weights outside the frozen lowest layers.

    Raises:
        ModelFileError: the adapter is damaged.
    """
    found = 0
    for name, (outputs, inputs, rank) in sizes(adapter).items():
        layer = _LAYER.search(name)
        if layer is None or int(layer[1]) >= frozen_layers:
            found += rank * (outputs + inputs)
    return found
