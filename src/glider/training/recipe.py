"""Recipes: a training as a YAML file with model, examples, stages and settings.

Every setting documents its meaning and the source of its default. An unknown key is an error that
suggests the closest name. A run's manifest stores the resolved recipe with all defaults filled in,
so a run can be reproduced from its folder alone.

    base: smollm2-135m-instruct
    lora: {rank: 32}
    stages:
      - kind: sft
        learning_rate: 1e-3
"""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import Field, ValidationError, model_validator

from glider.core.errors import RecipeError, UnknownName
from glider.data.yaml_files import mapping, read_text
from glider.training.stages import STAGES, AnyStage
from glider.training.stages.base import (
    Checkpoint,
    Count,
    Evaluate,
    Positive,
    RecipePart,
    Share,
    Stage,
)

SHIPPED = Path(__file__).parent / "recipes"
"""Folder of the recipes shipped with the package; `accelerate` holds the files for accelerate."""


class Lora(RecipePart):
    """Train low-rank additions to the linear layers and nothing else (Hu et al. 2021)."""

    rank: Count = 32
    """Rank of each addition. 32 for nano; `benchmarks/ablation.py` puts 8 beside it."""
    alpha: Positive = 64
    """The addition is scaled by alpha / rank; twice the rank is the usual choice."""
    dropout: Share = 0.0
    """Of the input of each addition, while training. EvalYaks used 0.1 at rank 256."""
    targets: str | tuple[str, ...] = "all-linear"
    """Names of the layers that get one; `all-linear` is every linear layer but the output's."""


class Recipe(RecipePart):
    """One training: a model, and stages that each start from the one before."""

    name: str = "own"
    """What the result is called."""
    base: str
    """Model to start from: a catalogue name, a .gguf file, a Hugging Face folder or hub id."""
    revision: str | None = None
    """Of a hub id; null is its main branch."""
    start: str | None = None
    """Folder of an adapter, or of a finished run with one, to train further; null for none. It
    keeps its own `lora`; a recipe that says something else is refused."""
    seed: int = 0
    """Of the draw and order of examples, of new adapters and of dropout."""
    max_tokens: Count = 2048
    """Longest example, answer included. A longer one is left out and counted, never cut: a cut
    prompt is not what serving asks. GLIDER: 8192."""
    lora: Lora | None = None
    """Train an adapter; null trains the model's own weights."""
    frozen_layers: int = Field(default=0, ge=0)
    """Lowest layers that are not trained. They need no backward pass, which is most of the time."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Of the matrix products. auto: bf16 where the device has instructions for it, else fp32."""
    attention: Literal["auto", "blocks", "eager", "sdpa", "flash_attention_2"] = "auto"
    """How attention is computed. blocks: as plain matrix products over blocks, ours, quicker on
    processors; auto: blocks there, where the model's attention is plain, else sdpa."""
    recompute_activations: bool = False
    """Compute a layer's inside again in the backward pass: a third more time, far less memory."""
    compile: bool = False
    """torch.compile. Minutes at the first pass of each shape: not worth it for short runs."""
    threads: Count | None = None
    """Processor threads of one process; null is torch's own choice."""
    processes: Count = 1
    """How many the recipe is made for. With `threads`, for processors, `glider train` starts them;
    else `accelerate launch` does."""
    stages: tuple[AnyStage, ...]
    """In order; each starts from what the one before ended with."""

    @model_validator(mode="after")
    def _enough_examples(self) -> "Recipe":
        if not self.stages:
            raise ValueError("a recipe has one stage at least")
        for stage in self.stages:
            if stage.batch < self.processes:
                raise ValueError(f"batch {stage.batch} is less than one example per process")
        return self


def shipped() -> list[str]:
    """Return the names of the shipped recipes."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def load_recipe(source: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Load a recipe from a file, or a shipped one by name.

    Args:
        changes: `key=value` overrides, with YAML values; `stages.0.batch=8` addresses a nested
            setting.

    Raises:
        UnknownName: there is no such file and no shipped recipe of that name.
        RecipeError: not YAML, or a setting is unknown or has a wrong type.
    """
    path, where = Path(source), str(source)
    if not path.is_file():
        if where not in shipped():
            raise UnknownName("recipe", where, shipped(), hint="or give a YAML file")
        path = SHIPPED / f"{source}.yaml"
        where = path.name
    data = mapping(read_text(path, RecipeError), where, RecipeError)
    return parse_recipe(data, changes, where=where)


def parse_recipe(
    data: dict[str, Any], changes: Sequence[str] = (), *, where: str = "recipe"
) -> Recipe:
    """Build a recipe from plain data, with changes as for `load_recipe`.

    Raises:
        RecipeError: names every wrong setting, with the closest name for an unknown one.
    """
    for change in changes:
        _set(data, change)
    try:
        return Recipe.model_validate(data)
    except ValidationError as exc:
        problems = list(_problems(exc, data))
        raise RecipeError(
            f"{where}: " + "; ".join(text for _, text in problems),
            key=problems[0][0],
            hint="docs/training.md lists every setting",
        ) from exc


def _problems(error: ValidationError, data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for problem in error.errors():
        place = problem["loc"]
        key = ".".join(map(str, place))
        if problem["type"] != "extra_forbidden":
            said = problem["msg"].removeprefix("Value error, ")
            yield key, f"{key}: {said}" if key else said
            continue
        last = str(place[-1])
        near = get_close_matches(last, _part_at(place[:-1], data).model_fields, n=2, cutoff=0.5)
        near = near or [n for n in _stage_settings() if get_close_matches(last, [n], cutoff=0.8)]
        meant = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        yield key, f"no setting called {key!r}{meant}"


_PARTS: dict[str, type[RecipePart]] = {"lora": Lora, "evaluate": Evaluate, "checkpoint": Checkpoint}


def _kinds() -> list[type[Stage]]:
    return [STAGES.get(name) for name in STAGES.names()]


def _stage_settings() -> list[str]:
    return sorted({key for kind in _kinds() for key in kind.model_fields})


def _part_at(place: tuple[int | str, ...], data: dict[str, Any]) -> type[RecipePart]:
    """Return the class at a path of a recipe: the recipe, a kind of stage, or a nested part."""
    if place and place[-1] in _PARTS:
        return _PARTS[str(place[-1])]
    if len(place) == 2:
        return STAGES.get(data["stages"][place[1]]["kind"])
    return Recipe


def _set(data: dict[str, Any], change: str) -> None:
    """Set one `key=value` in plain data; parsing the recipe finds unknown keys later."""
    key, equals, text = change.partition("=")
    if not equals:
        raise RecipeError(f"--set needs key=value, got {change!r}")
    *way, last = key.strip().split(".")
    try:
        value = yaml.safe_load(text)
        here: Any = data
        for part in way:
            if isinstance(here, list):
                here = here[int(part)]
            else:
                if here.get(part) is None:
                    here[part] = {}
                here = here[part]
        if isinstance(here, list):
            here[int(last)] = value
        else:
            here[last] = value
    except (yaml.YAMLError, ValueError, IndexError, TypeError, AttributeError) as exc:
        raise RecipeError(f"there is no place {key!r} to set", key=key) from exc


def described() -> str:
    """Return every setting with its default and meaning as Markdown, for docs/training.md."""
    lines: list[str] = []
    parts: list[tuple[str, type[RecipePart]]] = [
        ("The recipe", Recipe),
        ("`lora:`", Lora),
        ("A stage, of any kind", Stage),
        *((f"A stage of kind `{name}`", STAGES.get(name)) for name in STAGES.names()),
        ("`evaluate:` of a stage", Evaluate),
        ("`checkpoint:` of a stage", Checkpoint),
    ]
    shown: set[tuple[str, str, str]] = set()
    for name, part in parts:
        lines += [f"### {name}", "", "| setting | default | meaning |", "|---|---|---|"]
        for key, field in part.model_fields.items():
            meaning = " ".join((field.description or "").split()).replace("|", "\\|")
            row = (key, _default(field), meaning)
            if row in shown:
                continue  # Common to all stages and listed once.
            shown.add(row)
            lines.append(f"| `{key}` | {row[1]} | {meaning or _of(field)} |")
        lines.append("")
    return "\n".join(lines)


def _default(field: Any) -> str:
    if field.is_required():
        return "needed"
    value = field.default
    if isinstance(value, RecipePart):
        return "see below"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{yaml.safe_dump(value).strip().removesuffix('...').strip()}`"


def _of(field: Any) -> str:
    kinds = [field.annotation, *get_args(field.annotation)]
    return next(" ".join((k.__doc__ or "").split()) for k in kinds if k in _PARTS.values())
