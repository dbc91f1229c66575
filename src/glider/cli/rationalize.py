"""`glider rationalize`: make training pairs from a judge's own right and wrong answers."""

import time
from pathlib import Path

import typer

from glider.cli.flags import from_flags
from glider.cli.options import interrupted
from glider.cli.show import downloading, print_json, say
from glider.studies.rationalizing.settings import AnswererSettings, RationalizationSettings

_OUT = "Output"


@from_flags
def rationalize(
    data: Path = typer.Argument(
        ..., metavar="EXAMPLES", help="Folder made by `glider data`.", show_default=False
    ),
    *,
    answerer: AnswererSettings,
    settings: RationalizationSettings,
    out: Path = typer.Option(..., "--out", "-o", help="Folder to create.", rich_help_panel=_OUT),
    resume: bool = typer.Option(
        False,
        "--resume",
        help="Keep the answers in --out, ask for the missing ones, rebuild the pairs.",
        rich_help_panel=_OUT,
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print the figures as JSON.", rich_help_panel=_OUT
    ),
) -> None:
    """Let a judge answer its training prompts several times; pair right answers with wrong
    ones.

    Writes preferences-train.jsonl.gz and -dev.jsonl.gz for a preference stage of `glider
    train`, card.md and result.json. If killed, continue with --resume. When resuming, --choose,
    --margin and --pairs may change, and --samples and --limit may grow.
    """
    from glider.studies import rationalize as make_pairs

    try:
        with downloading() as download:
            made = make_pairs(
                data,
                out,
                answerer,
                settings,
                resume=resume,
                notify=lambda text: say("", text),
                progress=_Progress(),
                fetching=download,
            )
    except KeyboardInterrupt:
        raise interrupted(out, "finished answers are kept. To resume:") from None
    if as_json:
        print_json(made.figures.model_dump(mode="json"), indent=1)
    splits = made.figures.splits
    train = splits["train"]
    if settings.limit is not None and settings.limit > train.there:
        say("[yellow]fewer prompts[/]", f"than asked for: {train.there} of {settings.limit}")
    if train.missing:
        codes = ", ".join(f"{n} {code}" for code, n in made.lost.items())
        say("[yellow]missing[/]", f"{train.missing} answers ({codes}); --resume asks for them")
    if train.unconstrained:
        say("[yellow]not constrained by the grammar[/]:", f"{train.unconstrained} answers")
    say(
        "[bold]made[/]",
        f"{train.pairs} pairs of {train.prompts} prompts; {train.readable} of {train.asked} "
        f"answers read, {train.right} of them right",
    )
    if "dev" not in splits or not splits["dev"].pairs:
        say("[yellow]no development pairs[/]:", "train with --set stages.0.dev=null")
    say("card:", str(out / "card.md"))


class _Progress:
    """Prints progress every few seconds."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()

    def __call__(self, done: int, missing: int) -> None:
        now = time.monotonic()
        if now - self._last > 10 or done == missing:
            self._last = now
            rate = 60 * done / max(now - self._began, 1e-9)
            say("", f"{done} of {missing} answers, {rate:.0f} a minute")
