"""`glider tune`: train an adapter on your own labels, and keep it if it is better."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import typer

from glider.cli.flags import from_flags
from glider.cli.options import interrupted
from glider.cli.show import print_json, say
from glider.core.errors import SetupError
from glider.studies.tuning.settings import TuningSettings

if TYPE_CHECKING:
    from glider.bench.results import Difference, Figure, Results
    from glider.studies.tuning.run import Tuned

Keep = Literal["ask", "yes", "no"]
_OUT = "Output"
_NOT_SHOWN = 5
"""Exit code."""


@from_flags
def tune(
    labels: Path = typer.Argument(
        ...,
        metavar="LABELS",
        help="Your labels: 50 to a few thousand, in a file as for `glider data --set`, or a "
        "reviewed run.",
    ),
    *,
    settings: TuningSettings,
    out: Path = typer.Option(..., "--out", "-o", help="Folder to create.", rich_help_panel=_OUT),
    keep: str = typer.Option(
        "ask",
        help="ask, yes or no. Without a terminal `ask` keeps it if the gain's whole interval is "
        "above zero.",
        rich_help_panel=_OUT,
    ),
    resume: bool = typer.Option(
        False, "--resume", help="Resume the tuning in --out.", rich_help_panel=_OUT
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print the figures as JSON.", rich_help_panel=_OUT
    ),
) -> None:
    """Train a judge on your own labels, and measure first whether that makes it better.

    The gain is cross-validated: every label is predicted by a model that has not seen its
    prompt. It is shown with its interval, next to the length of the text and a constant answer.
    Only then is OUT/adapter trained on all labels and kept. Exits 5 if no gain is shown;
    nothing is kept.
    """
    from glider.studies import tune as train_and_compare

    if keep not in get_args(Keep):
        raise SetupError(f"--keep takes {', '.join(get_args(Keep))}, not {keep!r}")
    began = time.monotonic()

    def decide(results: "Results", agreed: bool) -> bool:
        _show(results)
        return (agreed and keep == "ask") or _wanted(keep, results)

    try:
        done = train_and_compare(
            labels,
            out,
            settings,
            decide=decide,
            resume=resume,
            notify=lambda text: say("", text),
            progress=_Progress(),
        )
    except (KeyboardInterrupt, typer.Abort):
        raise interrupted(out) from None
    if done.adapter is not None:
        _show_kept(done)
    if as_json:
        print_json(done.results.model_dump(mode="json"), indent=1)
    say("", f"{(time.monotonic() - began) / 60:.1f} minutes")
    if done.adapter is None and not done.shown:
        raise typer.Exit(_NOT_SHOWN)


def _wanted(keep: str, results: "Results") -> bool:
    """Whether to train on all labels and keep that."""
    shown, n = bool(results.settings["shown"]), results.settings["labels"]
    if keep == "ask" and sys.stdin.isatty():
        return typer.confirm(f"Train on all {n} labels and keep the adapter?", default=shown)
    if keep == "ask":
        rule = "the gain's whole interval is above zero" if shown else "no gain is shown"
        say(
            "[bold]kept[/]" if shown else "[bold yellow]not kept[/]",
            f"{rule}; no terminal to ask on",
        )
        return shown
    return keep == "yes"


def _show_kept(done: "Tuned") -> None:
    from glider.models.catalog import base_named

    say("[bold green]kept[/]", str(done.adapter))
    if base_named(done.base) is not None:
        asked = "record" if done.criterion_in_records else "CRITERION"
        say("use it:", f"glider judge FILE -c {asked} --model {done.adapter}")
    else:
        say("use it:", f"glider export {done.adapter} --to hf --base {done.base} --out FOLDER")


# What is shown


class _Progress:
    """Prints a training's progress every few seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, line: dict[str, Any]) -> None:
        if "loss" in line and time.monotonic() - self._last > 20:
            self._last = time.monotonic()
            say("", f"  update {line['step']}, loss {line['loss']:.3f}, "
                    f"{line['tokens_per_s']:,.0f} tokens/s")  # fmt: skip


def _show(results: "Results") -> None:
    """Print the figures, the gain that decides, and the baselines not significantly beaten."""
    from rich.console import Console
    from rich.table import Table

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
            say("[yellow]not significantly better than[/]", f"{one.b}: {_interval(one)}")


def _interval(one: "Figure | Difference", *, digits: int = 3) -> str:
    if one.value is None:
        return "undefined"
    if one.low is None or one.high is None:
        return f"{one.value:.{digits}f}, no interval"
    return f"{one.value:.{digits}f} [{one.low:.{digits}f}, {one.high:.{digits}f}]"
