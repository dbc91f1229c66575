"""`glider train`: train your own judge from a recipe and a folder of examples."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
import yaml

from glider.cli.options import interrupted
from glider.cli.show import say
from glider.core.errors import SetupError

if TYPE_CHECKING:
    from glider.training.forecast import Forecast
    from glider.training.recipe import Recipe

_DATA, _RUN = "Data and settings", "Output"
# As `glider.training.recipe.shipped`, which takes longer to import than `--help` may take.
_SHIPPED = Path(__file__).parents[1] / "training" / "recipes"
_RECIPES = ", ".join(sorted(path.stem for path in _SHIPPED.glob("*.yaml")))


def train(
    recipe: str = typer.Argument(None, metavar="RECIPE", help=f"A YAML file, or {_RECIPES}."),
    data: list[Path] = typer.Option(
        [Path("examples")],
        "--data",
        metavar="EXAMPLES",
        help="Folder made by `glider data` or `glider rationalize`; "
        "repeatable. Each stage uses the "
        "first folder that has its file.",
        rich_help_panel=_DATA,
    ),
    changes: list[str] = typer.Option(
        None,
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting of the recipe, such as stages.0.batch=8; repeatable.",
        rich_help_panel=_DATA,
    ),
    out: Path = typer.Option(None, "--out", "-o", help="Folder for the run.", rich_help_panel=_RUN),
    resume: bool = typer.Option(
        False, "--resume", help="Resume the run in --out.", rich_help_panel=_RUN
    ),
    dry_run: bool = typer.Option(
        False,
        "--dry-run",
        help="Show settings, tokens, time and memory without training.",
        rich_help_panel=_RUN,
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print metrics, or the dry run, as JSON Lines.", rich_help_panel=_RUN
    ),
) -> None:
    """Train a judge from a recipe: SFT, preference stages, LoRA or all weights.

        If killed, continue with --resume. Several GPUs: `accelerate launch
    --config_file FILE -m glider.training.run RECIPE --data DIR --out DIR`.
    """
    from glider.training.recipe import load_recipe

    if recipe is None:
        raise SetupError("name a recipe", hint=f"{_RECIPES}, or a YAML file")
    settings = load_recipe(recipe, changes or ())
    if dry_run:
        _dry_run(settings, data, as_json=as_json)
        return
    if out is None:
        raise SetupError("give a folder for the run with --out")
    from glider.training import train as run

    progress = _Progress(as_json=as_json)
    try:
        result = run(settings, data=data, out=out, resume=resume, progress=progress)
    except KeyboardInterrupt:
        raise interrupted(out) from None
    if as_json:
        print(json.dumps({"folder": str(result.folder), "kind": result.kind, **result.metrics}))
        return
    figures = ", ".join(f"{name} {value:.4g}" for name, value in result.metrics.items())
    say(
        "[bold green]done[/]",
        f"{result.kind} in {result.folder}" + (f": {figures}" if figures else ""),
    )


class _Progress:
    """Prints metrics: all of them as JSON, or a line every few seconds for people."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json, self._last = as_json, 0.0

    def __call__(self, line: dict[str, Any]) -> None:
        if self._as_json:
            print(json.dumps(line), flush=True)
            return
        where = f"{line['stage']} {line['step']:>5}"
        if "eval" in line:
            figures = "  ".join(f"{name} {value:.4g}" for name, value in line["eval"].items())
            say("[bold]measured[/]", f"{where}  {figures}")
        elif "event" in line:
            say(f"[bold]{line['event']}[/]", where)
        elif time.monotonic() - self._last > 10:
            self._last = time.monotonic()
            say(
                "",
                f"{where}  loss {line['loss']:.4f}  rate {line['learning_rate']:.2e}  "
                f"{line['tokens_per_s']:,.0f} tokens/s  {line['peak_mb']:,} MB",
            )


def _dry_run(recipe: "Recipe", data: list[Path], *, as_json: bool) -> None:
    from dataclasses import asdict

    from glider.training import dry_run as forecast

    found = forecast(recipe, data)
    settings = found.recipe.model_dump(mode="json")
    if as_json:
        print(json.dumps(asdict(found) | {"recipe": settings}))
        return
    print(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
    print("\n".join(_lines(found)))


def _lines(found: "Forecast") -> list[str]:
    share = found.trained / found.weights
    lines = [
        f"model      {found.base.name}@{found.base.revision}: {found.weights:,} weights, "
        f"{found.trained:,} trained ({share:.1%}), products in {found.precision}",
        f"memory     about {found.memory_gb:.1f} GB in each process (rough)",
    ]
    for stage in found.stages:
        lines += [
            "",
            f"stage      {stage.name}",
            f"examples   {stage.examples:,}, {stage.too_long:,} left out as too long; "
            + (
                "no development examples" if stage.dev is None else f"{stage.dev:,} for development"
            ),
            f"tokens     {stage.tokens:,}, longest {stage.longest:,}; trained on: "
            f"{stage.learnt_score:,} of scores, {stage.learnt_text:,} of text",
            f"updates    {stage.updates:,}, {stage.padding:.0%} of computed tokens are padding",
            f"time       about {_time(stage.hours)} (rough: within a factor of two)",
        ]
        if stage.example:
            lines += ["first example, as the model sees it:", stage.example]
    return lines


def _time(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.1f} hours"
    return f"{max(hours * 60, 0.1):.1f} minutes"
