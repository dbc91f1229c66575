"""`glider tune`: a person's own labels to an adapter, if it is shown to be better."""

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import typer
from rich.console import Console
from rich.table import Table

from glider.cli.card import card_of
from glider.cli.options import interrupted
from glider.cli.show import say
from glider.core.errors import RunError, SetupError
from glider.gold.own import own_labels
from glider.store.atomic import write_json

if TYPE_CHECKING:
    from glider.bench.results import Difference, Figure, Results
    from glider.studies.tune import Labels, Start
    from glider.training.folder import TrainingResult

Keep = Literal["ask", "yes", "no"]
_LABELS, _HOW, _OUT = "Labels", "Training", "Output"
_NOT_SHOWN = 5
"""Exit code."""


def tune(
    labels: Path = typer.Argument(
        ...,
        metavar="LABELS",
        help="Your labels: 50 to some thousands, as `glider data --set FILE` takes them.",
    ),
    criterion: str = typer.Option(
        None,
        "--criterion",
        "-c",
        help="What was asked, if the records do not say: a name or a file.",
        rich_help_panel=_LABELS,
    ),
    preset: str = typer.Option(
        None,
        help="judgements, prometheus, ultrafeedback, helpsteer [told by the columns].",
        rich_help_panel=_LABELS,
    ),
    model: str = typer.Option(
        None,
        "--model",
        "-m",
        help="Catalogue name, adapter's folder, finished training, or a model's folder [the model "
        "that comes with Glider].",
        rich_help_panel=_HOW,
    ),
    folds: int = typer.Option(
        5, min=2, max=20, help="Parts the prompts are cut into.", rich_help_panel=_HOW
    ),
    minutes: float = typer.Option(
        30.0, min=0.1, help="Train for about so long in all.", rich_help_panel=_HOW
    ),
    seed: int = typer.Option(0, help="Of folds, trainings and resamples.", rich_help_panel=_HOW),
    out: Path = typer.Option(..., "--out", "-o", help="Folder to make.", rich_help_panel=_OUT),
    keep: str = typer.Option(
        "ask",
        help="ask, yes or no. Without a terminal `ask` keeps it if the gain's whole interval is "
        "above zero.",
        rich_help_panel=_OUT,
    ),
    resume: bool = typer.Option(
        False, "--resume", help="Go on with the tuning in --out.", rich_help_panel=_OUT
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print the figures as JSON.", rich_help_panel=_OUT
    ),
) -> None:
    """Train a judge on your own labels, and say first whether that makes it better.

    Every label is predicted by a training that has not seen its prompt. The gain over the judge as
    it was comes with its interval, beside the length of the text and one answer for all. Only then
    all labels are trained on and OUT/adapter is kept. Exit 5: no gain is shown, nothing is kept.
    """
    from glider.training.base_model import needs_torch

    if keep not in get_args(Keep):
        raise SetupError(f"--keep takes {', '.join(get_args(Keep))}, not {keep!r}")
    needs_torch()
    try:
        _tune(labels, criterion, preset, model, folds, minutes, seed, out, keep, resume, as_json)
    except (KeyboardInterrupt, typer.Abort):
        raise interrupted(out) from None


def _tune(
    path: Path,
    criterion: str | None,
    preset: str | None,
    model: str | None,
    folds: int,
    minutes: float,
    seed: int,
    out: Path,
    keep: str,
    resume: bool,
    as_json: bool,
) -> None:
    from glider.bench.gain import gain, gains, is_shown
    from glider.models.catalog import DEFAULT
    from glider.studies.tune import Tuning, load, read_labels

    began = time.monotonic()
    labelled = own_labels(path, preset=preset, criterion=criterion)
    start, base, coder = load(model or DEFAULT)
    labels = read_labels(labelled, path.parent, coder, folds=folds, seed=seed)
    for note in labels.notes:
        say("[yellow]labels[/]:", note)
    say(
        "[bold]tuning[/]",
        f"{model or DEFAULT} on {len(labels.items)} labels of {labels.n_prompts} prompts, "
        f"{folds} folds",
    )
    with Tuning(
        out, labels, start, coder, base, folds=folds, minutes=minutes, seed=seed, resume=resume,
        tell=lambda what: say("", what), progress=_Progress(),
    ) as tuning:  # fmt: skip
        untuned = tuning.untuned()
        plan = tuning.plan()
        frozen = f", the lower {plan.frozen_layers} layers frozen" if plan.frozen_layers else ""
        say(
            "[bold]plan[/]",
            f"each label seen {plan.epochs:g} times{frozen}; about {plan.minutes:g} minutes in all",
        )
        results = gains(
            labelled,
            labels.items,
            labels.fold,
            tuned=tuning.tuned(),
            untuned=untuned,
            settings={
                "model": base.name,
                "folds": folds,
                "labels": len(labels.items),
                "prompts": labels.n_prompts,
                "plan": plan.model_dump(mode="json"),
            },
            notes=labels.notes,
            seed=seed,
        )
        shown = is_shown(gain(results))
        agreed = keep == "ask" and resume and _was_agreed(out)
        results = _with(results, shown=shown, kept=agreed or None)
        write_json(out / "tune.json", results.model_dump(mode="json"))
        _show(results)
        wanted = agreed or _wanted(keep, shown, len(labels.items))
        results = _with(results, shown=shown, kept=wanted)
        write_json(out / "tune.json", results.model_dump(mode="json"))
        if wanted:
            _keep(out, tuning.final(), labels, start, results)
    if as_json:
        print(results.model_dump_json(indent=1))
    say("", f"{(time.monotonic() - began) / 60:.1f} minutes")
    if not wanted and not shown:
        raise typer.Exit(_NOT_SHOWN)


# What is asked of the person


def _wanted(keep: str, shown: bool, n: int) -> bool:
    """Whether to train on all labels and keep that."""
    if keep == "ask" and sys.stdin.isatty():
        return typer.confirm(f"Train on all {n} labels and keep the adapter?", default=shown)
    if keep == "ask":
        rule = "the gain's whole interval is above zero" if shown else "no gain is shown"
        say("[bold]kept[/]" if shown else "[bold yellow]not kept[/]", f"{rule}; nobody to ask")
        return shown
    return keep == "yes"


def _was_agreed(out: Path) -> bool:
    """It was to be kept, before the tuning was interrupted; who said no may be asked again."""
    try:
        found = json.loads((out / "tune.json").read_text("utf-8"))
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as exc:
        raise RunError(f"{out / 'tune.json'} is damaged: {exc}") from exc
    return bool(found["settings"]["kept"])


# What is kept


def _keep(
    out: Path, done: "TrainingResult", labels: "Labels", start: "Start", results: "Results"
) -> None:
    import shutil

    from glider.bench.results import estimate_of
    from glider.models.catalog import base_named
    from glider.release.export import copy_adapter
    from glider.release.model_card import Measured

    folder = out / "adapter"
    if not folder.exists():
        measured = [
            Measured(f"{one.benchmark}, cross-validated", one.system, one.metric, estimate_of(one))
            for one in results.figures
        ]
        run = done.folder.parent.parent
        card = partial(
            card_of,
            name=out.resolve().name,
            base=done.base,
            kind="adapter",
            run=run,
            measured=measured,
        )
        copy_adapter(done.folder, folder, card=card)
    for checkpoint in done.folder.parent.glob("checkpoint-*"):
        shutil.rmtree(checkpoint, ignore_errors=True)
    say("[bold green]kept[/]", str(folder))
    if base_named(done.base) is not None:
        asked = "record" if labels.labelled.part else "CRITERION"
        say("use it:", f"glider judge FILE -c {asked} --model {folder}")
    else:
        say("use it:", f"glider export {folder} --to hf --base {start.base} --out FOLDER")


# What is shown


class _Progress:
    """Says now and then how far a training is."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, line: dict[str, Any]) -> None:
        if "loss" in line and time.monotonic() - self._last > 20:
            self._last = time.monotonic()
            say("", f"  update {line['step']}, loss {line['loss']:.3f}, "
                    f"{line['tokens_per_s']:,.0f} tokens/s")  # fmt: skip


def _show(results: "Results") -> None:
    """The table of figures, the gain that decides, and which rules are not surely beaten."""
    from glider.bench.gain import UNTUNED, gain, is_shown
    from glider.bench.standing import title_of

    (about,) = results.settings["benchmarks"].values()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("cross-validated", *map(title_of, about["metrics"])):
        table.add_column(column)
    figures = {(one.system, one.metric): one for one in results.figures}
    for system in results.settings["systems"]:
        cells = [_interval(figures[system, metric], digits=2) for metric in about["metrics"]]
        table.add_row(system, *cells)
    Console(stderr=True, highlight=False).print(table)
    decides = gain(results)
    how = decides.method or decides.undefined
    found = f"{title_of(decides.metric)}: {_interval(decides)}, n={decides.n}, {how}"
    if is_shown(decides):
        say("[bold green]gain[/] in", found)
    else:
        say("[bold yellow]no gain is shown[/] in", found)
    for one in results.differences:
        of_rule = one.b != UNTUNED and one.metric == decides.metric and one.value is not None
        if of_rule and not is_shown(one):
            say("[yellow]not surely better than[/]", f"{one.b}: {_interval(one)}")


def _interval(one: "Figure | Difference", *, digits: int = 3) -> str:
    if one.value is None:
        return "undefined"
    if one.low is None or one.high is None:
        return f"{one.value:.{digits}f}, no interval"
    return f"{one.value:.{digits}f} [{one.low:.{digits}f}, {one.high:.{digits}f}]"


def _with(results: "Results", **more: Any) -> "Results":
    return results.model_copy(update={"settings": {**results.settings, **more}})
